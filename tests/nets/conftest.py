import pytest
import torch

from rllab.functional.streams import Streams


def generators(num_sessions, seed=0):
    return Streams(seed, num_sessions, "weights").generators


def randomize(module, seed=0):
    """Parameters that are no special case: biases away from 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * 0.5)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def make_generators():
    return generators


@pytest.fixture
def randomized():
    return randomize
