import pytest
import torch

from rllab.nets.critics import Critics, RenormCritics
from rllab.nets.flat import FlatParameters
from rllab.nets.mlp import MLP


def make_critics(make_generators, randomized):
    critics = Critics([5, 8, 3], num_critics=2, generators=make_generators(3))
    randomized(critics)
    return critics.double()


def test_each_critic_of_each_session_is_a_network_of_its_own(make_generators, randomized):
    critics = make_critics(make_generators, randomized)
    x = torch.randn(3, 7, 5, dtype=torch.float64)
    for session in range(3):
        for critic in range(2):
            alone = MLP([5, 8, 3], generators=make_generators(1), activation="relu").double()
            for theirs, p in zip(alone.parameters(), critics.parameters(), strict=True):
                theirs.data = p.data[2 * session + critic].unsqueeze(0)
            torch.testing.assert_close(critics(x)[session, critic], alone(x[session].unsqueeze(0))[0])


def test_vjp_equals_autograd(make_generators, randomized, check_gradients):
    critics = make_critics(make_generators, randomized)
    x = torch.randn(3, 7, 5, dtype=torch.float64)
    grad = torch.randn(3, 2, 7, 3, dtype=torch.float64)

    def by_hand():
        y, pullback = critics.vjp(x)
        torch.testing.assert_close(y, critics(x))
        pullback(grad)

    def loss():
        return (critics(x) * grad).sum()

    check_gradients(critics, by_hand, loss)


def make_renorm_critics(make_generators, randomized):
    critics = RenormCritics([5, 8, 3], num_critics=2, generators=make_generators(3), warmup=0)
    randomized(critics)
    return critics.double()


@pytest.mark.parametrize("make", [make_critics, make_renorm_critics])
def test_input_vjp_equals_autograd_and_leaves_the_parameters_gradients(make, make_generators, randomized):
    critics = make(make_generators, randomized)
    x = torch.randn(3, 7, 5, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(3, 2, 7, 3, dtype=torch.float64)
    (expected,) = torch.autograd.grad((critics(x) * grad).sum(), x)
    flat = FlatParameters(critics)
    flat.grad.fill_(7.0)
    with torch.no_grad():
        y, pullback = critics.input_vjp(x)
        torch.testing.assert_close(y, critics(x))
        torch.testing.assert_close(pullback(grad), expected)
    assert (flat.grad == 7.0).all()
