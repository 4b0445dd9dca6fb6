import copy

import pytest
import torch

from rllab.random.streams import Streams, session_seeds

PURPOSES = ["env", "eval", "weights", "action", "minibatch", "test"]


def draw(streams):
    """Some of everything, `[..., S, ...]` with the session axis moved to the front."""
    normal, uniform = streams.normal(5, 2, 3), streams.uniform(4, 2)
    return [normal.transpose(0, 1), uniform.transpose(0, 1), streams.permutations(7)]


def test_shapes_and_ranges():
    streams = Streams(0, 3, "action")
    assert streams.normal(5, 2, 4).shape == (5, 3, 2, 4)
    uniform = streams.uniform(1000, 2)
    assert uniform.shape == (1000, 3, 2)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert streams.permutations(7).sort(dim=1).values.tolist() == [list(range(7))] * 3


def test_session_draws_the_same_however_many_run_beside_it():
    one, five = draw(Streams(3, 1, "action")), draw(Streams(3, 5, "action"))
    for x, y in zip(one, five, strict=True):
        assert torch.equal(x[0], y[0])


def test_sessions_purposes_and_seeds_draw_differently():
    draws = [
        Streams(seed, 2, purpose).normal(1, 4)[0, session].tolist()
        for seed in (0, 1)
        for purpose in PURPOSES
        for session in (0, 1)
    ]
    assert len({tuple(numbers) for numbers in draws}) == 2 * len(PURPOSES) * 2


def test_state_round_trip():
    streams = Streams(0, 2, "minibatch")
    streams.normal(3, 1)  # somewhere in the middle
    state = copy.deepcopy(streams.state_dict())
    expected = draw(streams)
    other = Streams(99, 2, "minibatch")
    other.load_state_dict(state)
    assert all(torch.equal(x, y) for x, y in zip(draw(other), expected, strict=True))


def test_state_of_another_number_of_sessions_is_refused():
    with pytest.raises(ValueError, match="zip"):
        Streams(0, 3, "action").load_state_dict(Streams(0, 2, "action").state_dict())


def test_session_seeds_differ_in_every_argument_and_repeat():
    base = session_seeds(0, 0, "env", 4)
    assert base == session_seeds(0, 0, "env", 4)
    assert len(base) == len(set(base)) == 4
    assert all(0 <= seed < 2**32 for seed in base)
    others = [
        session_seeds(1, 0, "env", 4),
        session_seeds(0, 1, "env", 4),
        session_seeds(0, 0, "eval", 4),
        session_seeds(0, 0, "env", 4, 1000),
        session_seeds(0, 0, "env", 4, 2000),
    ]
    flat = [seed for seeds in [base, *others] for seed in seeds]
    assert len(set(flat)) == len(flat)


def test_integers_below_each_sessions_own_bound():
    drawn = Streams(0, 2, "minibatch").integers([3, 1000], 500)
    assert drawn[0].unique().tolist() == [0, 1, 2]
    assert 900 < drawn[1].max() < 1000
    assert drawn[0].tolist() == Streams(0, 1, "minibatch").integers([3], 500)[0].tolist()
