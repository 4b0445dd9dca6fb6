import warnings
from itertools import product

import numpy as np
import pytest
import torch

from rllab.nets import mlp as mlp_module
from rllab.nets.mlp import MLP, HostMLP
from rllab.optim.flat import FlatParameters

ACTIVATIONS = ["tanh", "relu", "elu"]
SMALL, LARGE = 5, 300  # rows; a layer of 16 units switches its tanh at 4096 elements: 300 * 16 = 4800


@pytest.fixture
def make_mlp(make_generators, randomized):
    def make(sizes, num_sessions=1, *, random=True, **kwargs):
        net = MLP(sizes, generators=make_generators(num_sessions), **kwargs)
        if random:
            randomized(net)
        return net

    return make


@pytest.mark.parametrize(
    ("activation", "activate_last", "shape"),
    list(product(ACTIVATIONS, [False, True], [(1, SMALL), (3, SMALL), (1, LARGE), (3, LARGE)])),
)
def test_it_is_the_textbook_network_and_so_are_its_gradients(make_mlp, activation, activate_last, shape):
    net = make_mlp([5, 16, 3], shape[0], activation=activation, activate_last=activate_last).double()
    x = torch.randn(*shape, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(*shape, 3, dtype=torch.float64)
    function = {"tanh": torch.tanh, "relu": torch.relu, "elu": torch.nn.functional.elu}[activation]
    expected = []
    for s in range(shape[0]):
        y = function(x[s] @ net.weight_0[s].T + net.bias_0[s]) @ net.weight_1[s].T + net.bias_1[s]
        expected.append(function(y) if activate_last else y)
    expected, actual = torch.stack(expected), net(x)
    torch.testing.assert_close(actual, expected)
    inputs = [x, *net.parameters()]
    gradients = (torch.autograd.grad((y * weight).sum(), inputs) for y in (actual, expected))
    for a, e in zip(*gradients, strict=True):
        assert a.abs().max() > 1e-3
        torch.testing.assert_close(a, e, rtol=1e-9, atol=1e-10)


def test_fast_tanh_is_taken_for_many_elements_and_as_exact_as_float32(make_mlp, monkeypatch):
    net, x = make_mlp([5, 16], activate_last=True), torch.randn(1, LARGE, 5)
    fast = net(x)
    fast_grad = torch.autograd.grad(fast.sum(), net.weight_0)[0]
    monkeypatch.setattr(mlp_module, "_MANY", 10**9)
    slow = net(x)
    torch.testing.assert_close(fast, slow, rtol=0, atol=5e-7)
    torch.testing.assert_close(fast_grad, torch.autograd.grad(slow.sum(), net.weight_0)[0], rtol=0, atol=5e-5)
    assert not torch.equal(fast, slow)  # else this test no longer covers the fast one


def test_sessions_do_not_move_each_other(make_mlp):
    net = make_mlp([5, 16, 3], 3)
    flat = FlatParameters(net)
    x = torch.randn(3, SMALL, 5)
    before = net(x).detach()
    flat.backward(net(x).sum((1, 2)) * torch.tensor([0.0, 1.0, 0.0]))
    assert flat.grad[1].abs().sum() > 0
    assert flat.grad[[0, 2]].abs().sum() == 0
    flat.data[1] += 1.0
    after = net(x)
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.equal(before[1], after[1])


@torch.no_grad()
@pytest.mark.parametrize(
    ("activation", "activate_last", "num_sessions"), list(product(ACTIVATIONS, [False, True], [1, 3]))
)
def test_host_mlp_equals_forward(make_mlp, activation, activate_last, num_sessions):
    net = make_mlp([5, 16, 3], num_sessions, activation=activation, activate_last=activate_last)
    host = HostMLP(net)
    x = torch.randn(num_sessions, SMALL, 5) * 3
    np.testing.assert_allclose(host(x.numpy()), net(x).numpy(), rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("flat_first", [True, False])
def test_host_mlp_sees_parameter_updates(make_mlp, flat_first):
    net, x = make_mlp([5, 16, 3], 2), torch.randn(2, SMALL, 5)
    if flat_first:  # as in an algorithm: the parameters are views of one buffer
        flat = FlatParameters(net)
        host = HostMLP(net)
        flat.data.mul_(-2)
    else:
        host = HostMLP(net)
        for parameter in net.parameters():
            parameter.mul_(-2)
    np.testing.assert_allclose(host(x.numpy()), net(x).numpy(), rtol=1e-5, atol=1e-5)
    net.load_state_dict({name: p + 1 for name, p in net.state_dict().items()})
    np.testing.assert_allclose(host(x.numpy()), net(x).numpy(), rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_host_mlp_leaves_its_input_alone_and_takes_large_numbers_in_silence(make_mlp, activation):
    net = make_mlp([2, 3, 2], activation=activation)
    x = np.full((1, 2, 2), 500.0, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = HostMLP(net)(x)
    assert (x == 500).all()
    np.testing.assert_allclose(y, net(torch.from_numpy(x)).numpy(), rtol=1e-5)


@pytest.mark.parametrize(("fan_in", "fan_out"), [(4, 9), (9, 4)])
def test_weights_are_orthogonal_and_biases_zero(make_mlp, fan_in, fan_out):
    net = make_mlp([fan_in, fan_out, 2], 2, random=False, last_gain=0.01)
    for session in range(2):
        weight = net.weight_0[session]
        gram = weight @ weight.T if fan_out < fan_in else weight.T @ weight
        torch.testing.assert_close(gram, 2.0 * torch.eye(4), rtol=1e-5, atol=1e-5)  # gain sqrt(2), squared
        last = net.weight_1[session]
        torch.testing.assert_close(last @ last.T, 1e-4 * torch.eye(2), rtol=1e-5, atol=1e-9)
    assert net.bias_0.abs().sum() == net.bias_1.abs().sum() == 0
    assert not torch.equal(net.weight_0[0], net.weight_0[1])


def test_a_session_begins_the_same_however_many_run_beside_it(make_mlp):
    one, four = make_mlp([5, 16, 3], 1, random=False), make_mlp([5, 16, 3], 4, random=False)
    for x, y in zip(one.parameters(), four.parameters(), strict=True):
        assert torch.equal(x[0], y[0])
