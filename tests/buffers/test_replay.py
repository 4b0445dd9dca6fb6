"""Replay against a scripted env: the observation of step t is (t, 100 + t), its reward t, its action t mod 5."""

import copy

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch

from rllab.buffers.replay import ReplayBuffer
from rllab.random.streams import Streams

OBS, ACTION = gs.Box(-1.0, 1.0, (1,)), gs.Discrete(5)


def make_buffer(num_steps, num_sessions=1, **options):
    return ReplayBuffer(num_steps, num_sessions, 2, OBS, ACTION, **options)  # N = 2


def play(buffer, steps):
    """`steps`: t, and the sub-envs that terminate and that truncate there, in every session."""
    for t, terminated, truncated in steps:
        ends = np.zeros((2, buffer.num_sessions, 2), bool)
        ends[0, :, terminated] = True
        ends[1, :, truncated] = True
        obs = np.tile(np.array([[[t], [100 + t]]], np.float32), (buffer.num_sessions, 1, 1))
        full = np.full((buffer.num_sessions, 2), t)
        buffer.add(obs, full % 5, full, *ends, obs + 1, {})


def transitions(buffer, *, gamma=0.5, n_step=1, session=0):
    """All that can be drawn, oldest first: (obs, action, reward, next obs, discount)."""
    first, end = buffer._numbers()
    number = np.arange(first[session], end[session]) % buffer.rows.shape[1]
    batch = buffer.gather(buffer.rows[[session]][:, number], gamma=gamma, n_step=n_step)
    columns = (batch[name].flatten().tolist() for name in ("obs", "action", "reward", "next_obs", "discount"))
    return list(zip(*columns, strict=True))


EPISODE = [(0, [], []), (1, [1], []), (2, [], [0]), (3, [], [])]  # row 2 of env 1 and row 3 of env 0 only reset


def test_transitions_have_their_true_successors_and_reset_rows_are_left_out():
    buffer = make_buffer(4)
    play(buffer, EPISODE)
    assert transitions(buffer) == [
        (0, 0, 0, 1, 0.5),
        (100, 0, 0, 101, 0.5),
        (1, 1, 1, 2, 0.5),
        (101, 1, 1, 102, 0.0),  # terminated
        (2, 2, 2, 3, 0.5),  # truncated: its successor counts
        (103, 3, 3, 104, 0.5),  # the newest: so does its
    ]


def test_the_newest_steps_say_which_rows_count():
    buffer = make_buffer(3)
    play(buffer, EPISODE)
    newest = buffer.newest(2)
    assert newest["obs"][:, 0, :, 0].tolist() == [[2, 102], [3, 103]]
    assert newest["valid"][:, 0].tolist() == [[True, False], [False, True]]
    assert len(buffer.newest(9)["obs"]) == 3  # all that there are


def test_n_step_sums_stop_at_termination_truncation_and_the_newest_step():
    buffer = make_buffer(5)
    play(buffer, [*EPISODE, (4, [], [])])
    assert transitions(buffer, n_step=3) == [
        (0, 0, 0 + 1 / 2 + 2 / 4, 3, 0.125),  # three rewards; the last is truncated
        (100, 0, 0 + 1 / 2, 102, 0.0),  # terminated after two
        (1, 1, 1 + 2 / 2, 3, 0.25),  # truncated after two
        (101, 1, 1, 102, 0.0),
        (2, 2, 2, 3, 0.5),
        (103, 3, 3 + 4 / 2, 105, 0.25),  # no more is known
        (4, 4, 4, 5, 0.5),
        (104, 4, 4, 105, 0.5),
    ]


def test_the_oldest_step_is_overwritten_and_none_is_mixed_with_a_newer_one():
    buffer = make_buffer(4)
    play(buffer, [*EPISODE, (4, [], []), (5, [0], []), (6, [], [])])
    assert buffer.num_frames == 8
    assert transitions(buffer) == [
        (103, 3, 3, 104, 0.5),
        (4, 4, 4, 5, 0.5),
        (104, 4, 4, 105, 0.5),
        (5, 0, 5, 6, 0.0),
        (105, 0, 5, 106, 0.5),
        (106, 1, 6, 107, 0.5),
    ]
    # the window of the newest rows runs over the edge of the ring, where older steps lie
    assert transitions(buffer, n_step=3)[-1] == (106, 1, 6, 107, 0.5)
    assert transitions(buffer, n_step=3)[2] == (104, 4, 4 + 5 / 2 + 6 / 4, 107, 0.125)


def test_after_a_restart_the_newest_step_keeps_its_successor():
    buffer = make_buffer(3)
    play(buffer, [(0, [], []), (1, [1], [])])
    buffer.restart()
    play(buffer, [(7, [], [])])
    expected = [(1, 1, 1, 2, 0.5), (101, 1, 1, 102, 0.0), (7, 2, 7, 8, 0.5), (107, 2, 7, 108, 0.5)]
    assert transitions(buffer, n_step=2)[-4:] == expected
    make_buffer(3).restart()  # nothing there yet: nothing to do


def test_draws_are_uniform_over_the_transitions():
    buffer = make_buffer(4)
    play(buffer, [*EPISODE, (4, [], [])])
    batch = buffer.sample(60_000, Streams(0, 1, "minibatch"), gamma=0.9)
    drawn, counts = batch["obs"].unique(return_counts=True)
    assert drawn.tolist() == [1, 2, 4, 101, 103, 104]
    np.testing.assert_allclose(counts, 10_000, rtol=0.04)


def test_a_session_draws_the_same_rows_whatever_runs_beside_it():
    one, three = make_buffer(4), make_buffer(4, num_sessions=3)
    for buffer in (one, three):
        play(buffer, EPISODE)
    alone = one.sample(20, Streams(0, 1, "minibatch"), gamma=0.9, n_step=2)
    beside = three.sample(20, Streams(0, 3, "minibatch"), gamma=0.9, n_step=2)
    for name, x in alone.items():
        assert torch.equal(x[0], beside[name][0]), name
    assert not torch.equal(beside["obs"][0], beside["obs"][1])


@pytest.mark.parametrize("num_before", [1, 3, 6])
def test_state_round_trip(num_before):
    steps = [*EPISODE, (4, [1], []), (5, [], [0]), (6, [], []), (7, [], [])]
    whole, first, second = make_buffer(4, 2), make_buffer(4, 2), make_buffer(4, 2)
    play(whole, steps)
    play(first, steps[:num_before])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    play(second, steps[num_before:])
    assert transitions(whole, n_step=2) == transitions(second, n_step=2)
    drawn = [buffer.sample(50, Streams(0, 2, "minibatch"), gamma=0.9) for buffer in (whole, second)]
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])


def test_a_buffer_that_is_not_saved_fills_anew_and_knows_which_rows_reset():
    first, second = make_buffer(4, save=False), make_buffer(4, save=False)
    play(first, EPISODE[:2])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.num_frames == 0
    play(second, EPISODE[2:])
    assert [t[0] for t in transitions(second)] == [2, 103]


def test_dtypes_follow_the_spaces_and_memory_is_what_the_arrays_take():
    for obs_space, action_space in (
        (gs.Box(0, 255, (2, 3, 3), np.uint8), ACTION),
        (gs.Box(0, 1, (2,), np.float64), gs.Box(-1, 1, (3,))),
    ):
        buffer = ReplayBuffer(5, 2, 3, obs_space, action_space)
        assert buffer.arrays["obs"].dtype == (np.uint8 if obs_space.dtype == np.uint8 else np.float32)
        assert buffer.arrays["action"].dtype == (np.int64 if action_space is ACTION else np.float32)
        taken = buffer.rows.nbytes + buffer.count.nbytes + sum(array.nbytes for array in buffer.arrays.values())
        assert ReplayBuffer.num_bytes(5, 2, 3, obs_space, action_space) == taken
