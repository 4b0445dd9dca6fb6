import pytest
import torch

from rllab.functional.streams import Streams
from rllab.nets.flat import FlatParameters


def generators(num_sessions, seed=0):
    return Streams(seed, num_sessions, "weights").generators


def randomize(module, seed=0):
    """Parameters that are no special case: biases away from 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * 0.5)


def assert_same_gradients(module, by_hand, by_autograd):
    """`by_hand()` writes gradients of every parameter; `by_autograd()` returns a loss with the same ones."""
    flat = FlatParameters(module)
    flat.grad.fill_(float("nan"))  # every entry must be written, not added to
    with torch.no_grad():
        by_hand()
    written = [p.grad.clone() for p in module.parameters()]
    expected = torch.autograd.grad(by_autograd(), list(module.parameters()), materialize_grads=True)
    assert any(g.abs().max() > 1e-3 for g in expected)
    for got, want in zip(written, expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-10)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def make_generators():
    return generators


@pytest.fixture
def randomized():
    return randomize


@pytest.fixture
def check_gradients():
    return assert_same_gradients
