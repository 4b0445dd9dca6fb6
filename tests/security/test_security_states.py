"""Checkpoints of somebody else: what they restore is plain data, of the size that is expected."""

import numpy as np
import pytest

from rllab import checkpoint
from strangers import some

LAST = "checkpoints/last.safetensors"


def generator(layers):
    layers[-1]["generators"][0]["bit_generator"] = "test"  # numpy.random.test runs the tests of numpy


def module(layers):
    layers[-1]["generators"][0]["bit_generator"] = "mtrand"


def short_array(layers):
    layers[-1]["state"] = layers[-1]["state"][:1]


def other_type(layers):
    layers[-1]["state"] = layers[-1]["state"].astype(np.float32)


def other_env(layers):
    layers[-1]["kind"] = 1


def more_envs(layers):
    layers[-1]["num_envs"] = 10**6


def fewer_generators(layers):
    del layers[-1]["generators"][1:]


def no_array(layers):
    layers[-1]["steps"] = 3


DAMAGES = [generator, module, short_array, other_type, other_env, more_envs, fewer_generators, no_array]


@pytest.mark.parametrize("damage", some(DAMAGES, "generator", "short_array"))
def test_a_resume_restores_nothing_else(damage, stranger, command):
    state = checkpoint.read(stranger.path / LAST)
    layers = state["envs"]["envs"]
    if "generators" not in layers[-1]:
        pytest.skip("there is no compiler here for envs in C++")
    damage(layers)
    checkpoint.write(stranger.path / LAST, state)
    result = command("meta.resume=run")
    assert result.err.startswith("error: meta.resume: got 'run', whose checkpoints do not fit its config.yaml"), (
        result.err
    )
    assert result.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("no_picture")
def test_as_it_was_it_goes_on(stranger, command):
    checkpoint.write(stranger.path / LAST, checkpoint.read(stranger.path / LAST))
    assert command("meta.resume=run").code == 0
