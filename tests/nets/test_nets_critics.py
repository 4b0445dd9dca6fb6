import pytest
import torch

from rllab.nets.batch_renorm import RenormMLP
from rllab.nets.critics import Critics, RenormCritics
from rllab.nets.mlp import MLP

SIZES = [5, 8, 3]


@pytest.mark.parametrize("renorm", [False, True])
def test_each_critic_of_each_session_is_a_network_of_its_own(make_generators, randomized, renorm):
    critics = (RenormCritics if renorm else Critics)(SIZES, num_critics=2, generators=make_generators(3))
    randomized(critics)
    x = torch.randn(3, 7, 5)
    for session in range(3):
        for critic in range(2):
            one = make_generators(1)
            alone = RenormMLP(SIZES, generators=one) if renorm else MLP(SIZES, generators=one, activation="relu")
            for theirs, p in zip(alone.parameters(), critics.parameters(), strict=True):
                theirs.data = p.data[2 * session + critic].unsqueeze(0)
            torch.testing.assert_close(critics(x)[session, critic], alone(x[session].unsqueeze(0))[0])
