import pytest
import torch
from torch import nn

from rllab.nets.stacked import Stacked
from rllab.optim.flat import FlatParameters


class Torso(nn.Module):
    """An ordinary module of a user: nested, with a buffer, and with nothing of the session axis."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        self.register_buffer("offset", torch.rand(3))

    def forward(self, x):
        return self.body(x) + self.offset


class HalfFrozen(Torso):
    def __init__(self):
        super().__init__()
        self.body[0].requires_grad_(False)


class Frozen(Torso):
    def __init__(self):
        super().__init__()
        self.requires_grad_(False)


def separate(generators):
    modules = []
    for generator in generators:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            modules.append(Torso())
    return modules


@pytest.mark.parametrize("num_sessions", [1, 3])
def test_equals_separate_modules_seeded_alike(make_generators, num_sessions):
    stacked = Stacked(Torso, make_generators(num_sessions))
    modules = separate(make_generators(num_sessions))
    flat = FlatParameters(stacked)
    x, weight = torch.randn(num_sessions, 5, 4), torch.randn(num_sessions, 5, 3)
    expected = torch.stack([module(x[s]) for s, module in enumerate(modules)])
    torch.testing.assert_close(stacked(x), expected)
    flat.backward((stacked(x) * weight).sum((1, 2)))
    (expected * weight).sum().backward()
    for s, module in enumerate(modules):
        for ours, theirs in zip(stacked.parameters(), module.parameters(), strict=True):
            torch.testing.assert_close(ours.grad[s], theirs.grad)
    assert not torch.allclose(expected[0], modules[-1](x[0]), atol=1e-3) or num_sessions == 1


def test_every_parameter_and_buffer_has_a_session_axis(make_generators):
    stacked = Stacked(Torso, make_generators(3))
    shapes = sorted(tuple(p.shape) for p in stacked.parameters())
    assert shapes == [(3, 3), (3, 3, 8), (3, 8), (3, 8, 4)]
    assert [tuple(b.shape) for b in stacked.buffers()] == [(3, 3)]
    assert all(p.requires_grad and p.is_leaf for p in stacked.parameters())


def test_a_session_begins_the_same_however_many_run_beside_it(make_generators):
    one, four = Stacked(Torso, make_generators(1)), Stacked(Torso, make_generators(4))
    for x, y in zip(one.state_dict().values(), four.state_dict().values(), strict=True):
        assert torch.equal(x[0], y[0])
        assert not torch.equal(y[0], y[1])


def test_building_leaves_the_global_generator_alone(make_generators):
    before = torch.get_rng_state()
    Stacked(Torso, make_generators(2))
    assert torch.equal(before, torch.get_rng_state())


@torch.no_grad()
def test_state_dict_round_trip(make_generators):
    first, second = Stacked(Torso, make_generators(2)), Stacked(Torso, make_generators(2, seed=1))
    x = torch.randn(2, 5, 4)
    assert not torch.equal(first(x), second(x))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x), second(x))


def test_frozen_parameters_are_buffers(make_generators):
    stacked, plain = (Stacked(make, make_generators(3)) for make in (HalfFrozen, Torso))
    assert {name for name, _ in stacked.named_parameters()} == {"body__2__weight", "body__2__bias"}
    assert {name for name, _ in stacked.named_buffers()} == {"body__0__weight", "body__0__bias", "offset"}
    x = torch.randn(3, 5, 4)
    assert torch.equal(stacked(x), plain(x))
    plain.load_state_dict(stacked.state_dict())  # what was saved before it was frozen, and the other way round


def test_the_gradient_of_what_is_not_frozen_is_the_same(make_generators):
    stacked, plain = (Stacked(make, make_generators(2)) for make in (HalfFrozen, Torso))
    x, grad = torch.randn(2, 5, 4), torch.randn(2, 5, 3)
    for module in (stacked, plain):
        FlatParameters(module).backward((module(x) * grad).sum((1, 2)))
    for name, parameter in stacked.named_parameters():
        torch.testing.assert_close(parameter.grad, plain.get_parameter(name).grad)


def test_a_module_that_is_wholly_frozen_passes_on_the_gradient_of_its_input(make_generators):
    stacked, plain = (Stacked(make, make_generators(2)) for make in (Frozen, Torso))
    assert not list(stacked.parameters())
    x, weight = torch.randn(2, 5, 4, requires_grad=True), torch.randn(2, 5, 3)
    assert torch.equal(stacked(x), plain(x))
    actual, expected = (torch.autograd.grad((module(x) * weight).sum(), x)[0] for module in (stacked, plain))
    torch.testing.assert_close(actual, expected)


@torch.no_grad()
def test_alone_it_is_the_users_module_frozen_as_before(make_generators):
    stacked = Stacked(HalfFrozen, make_generators(1))
    alone = stacked.alone()
    x = torch.randn(1, 5, 4)
    torch.testing.assert_close(alone(x), stacked(x))
    assert [p.requires_grad for p in alone.parameters()] == [False, False, True, True]
