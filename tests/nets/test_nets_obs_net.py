import gymnasium.spaces as gs
import numpy as np
import pytest
import torch
from torch import nn

from rllab.nets.batch_renorm import RenormMLP
from rllab.nets.mlp import MLP
from rllab.nets.obs_net import Critics, ObsNet

OBS, IMAGE = gs.Box(-1, 1, (3,)), gs.Box(0, 255, (2, 12, 12), np.uint8)


class Torso(nn.Module):
    def __init__(self, obs_space):
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, obs):
        return self.linear(obs).relu()


@pytest.mark.parametrize("kind", [MLP, RenormMLP])
def test_each_critic_of_each_session_is_a_network_of_its_own(make_generators, randomized, kind):
    critics = Critics(OBS, 3, num_told=2, hidden=[8], num_critics=2, generators=make_generators(3), kind=kind)
    randomized(critics)
    obs, told = torch.randn(3, 7, 3), torch.randn(3, 7, 2)
    for session in range(3):
        for critic in range(2):
            alone = kind([5, 8, 3], generators=make_generators(1))
            for theirs, p in zip(alone.parameters(), critics.parameters(), strict=True):
                theirs.data = p.data[2 * session + critic].unsqueeze(0)
            x = torch.cat([obs, told], -1)[session].unsqueeze(0)
            torch.testing.assert_close(critics(obs, told)[session, critic], alone(x)[0])


@pytest.mark.parametrize(
    ("obs_space", "network"), [(OBS, "mlp"), (OBS, f"{__name__}:Torso"), (IMAGE, "auto"), (IMAGE, "mlp")]
)
def test_sessions_and_critics_are_independent_whatever_the_observation(make_generators, obs_space, network):
    options = {"network": network, "hidden": [8], "num_told": 2}
    critics = Critics(obs_space, 1, num_critics=2, generators=make_generators(2), **options)
    obs = torch.from_numpy(np.stack([[obs_space.sample() for _ in range(5)]] * 2))
    values = critics(obs, torch.ones(2, 5, 2))
    assert values.shape == (2, 2, 5, 1)
    values[1, 0].sum().backward()
    for parameter in critics.parameters():  # [S * num_critics, ...]
        assert len(parameter) == 4
        assert not parameter.grad[[0, 1, 3]].any()
    assert any(parameter.grad[2].any() for parameter in critics.parameters())


def test_without_a_torso_bytes_are_numbers(make_generators):
    net = ObsNet(IMAGE, 3, network="mlp", hidden=[], generators=make_generators(1), last_gain=1.0)
    obs = torch.from_numpy(np.stack([[IMAGE.sample()]]))
    expected = torch.einsum("i,oi->o", obs.flatten().float(), net.mlp.weight_0[0])
    torch.testing.assert_close(net(obs)[0, 0], expected)
