import copy

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch

from rllab.buffers.rollout import RolloutBuffer

OBS = gs.Box(-1.0, 1.0, (1,), np.float32)
ACTION = gs.Discrete(5)


def make_buffer(num_steps=3, obs_space=OBS, action_space=ACTION, num_kept=0):
    return RolloutBuffer(num_steps, 1, 2, obs_space, action_space, num_kept=num_kept)  # S = 1, N = 2


def play(buffer, steps):
    """Vector step t has obs (t, 10 t), action t mod 5, reward t / 2; `steps` gives t and what ends."""
    for t, terminated, truncated in steps:
        ends = np.zeros((2, 1, 2), bool)
        ends[0, 0, terminated] = True
        ends[1, 0, truncated] = True
        obs = np.array([[[t], [10 * t]]], np.float32)
        action = np.full((1, 2), t % 5)
        reward = np.full((1, 2), t / 2)
        following = np.array([[[t + 1], [10 * (t + 1)]]], np.float32)
        buffer.add(obs, action, reward, *ends, following, {})


def test_a_full_rollout_holds_every_row_and_the_last_successor():
    buffer = make_buffer()
    play(buffer, [(0, [], []), (1, [1], []), (2, [], [0])])
    rollout = buffer.tensors("cpu")
    assert rollout["obs"].shape == (4, 1, 2, 1)
    assert rollout["obs"][:, 0, :, 0].tolist() == [[0, 0], [1, 10], [2, 20], [3, 30]]
    assert rollout["action"][:, 0].tolist() == [[0, 0], [1, 1], [2, 2]]
    assert rollout["action"].dtype == torch.int64
    assert rollout["reward"][:, 0].tolist() == [[0, 0], [0.5, 0.5], [1, 1]]
    assert rollout["terminated"][:, 0].tolist() == [[False, False], [False, True], [False, False]]
    assert rollout["truncated"][:, 0].tolist() == [[False, False], [False, False], [True, False]]
    # row 2 of env 1 only resets; the end of env 0 falls on the border and is seen in the next rollout
    assert rollout["valid"][:, 0].tolist() == [[True, True], [True, True], [True, False]]


def test_valid_flags_cross_the_border_of_two_rollouts():
    buffer = make_buffer()
    play(buffer, [(0, [], []), (1, [], []), (2, [1], [0])])
    play(buffer, [(3, [], []), (4, [], [])])
    with pytest.raises(AssertionError, match="not full"):
        buffer.tensors("cpu")
    play(buffer, [(5, [], [])])
    rollout = buffer.tensors("cpu")
    assert rollout["obs"][:, 0, 0, 0].tolist() == [3, 4, 5, 6]
    assert rollout["valid"][:, 0].tolist() == [[False, False], [True, True], [True, True]]
    play(buffer, [(6, [], []), (7, [], []), (8, [], [])])  # and no flag is left over for the third
    assert buffer.tensors("cpu")["valid"].all()


def test_what_came_before_a_rollout_is_kept_in_front_of_it():
    buffer = make_buffer(2, num_kept=3)
    play(buffer, [(0, [], []), (1, [0], [])])
    first = buffer.tensors("cpu")
    assert first["obs"].shape == (6, 1, 2, 1)
    assert first["valid"][:, 0, 0].tolist() == [False, False, False, True, True]  # nothing came before
    play(buffer, [(2, [], []), (3, [], [])])
    second = buffer.tensors("cpu")
    assert second["obs"][1:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert second["reward"][1:, 0, 0].tolist() == [0, 0.5, 1, 1.5]
    assert second["terminated"][1:, 0, 0].tolist() == [False, True, False, False]
    assert second["valid"][:, 0].tolist() == [[False, False], [True, True], [True, True], [False, True], [True, True]]
    play(buffer, [(4, [], []), (5, [], [])])
    assert buffer.tensors("cpu")["obs"][:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5, 6]


def test_restart_in_the_middle_forgets_what_has_no_successor():
    buffer = make_buffer(4)
    play(buffer, [(0, [], []), (1, [0], [])])
    buffer.restart()  # the reset row that followed the end of env 0 never comes
    play(buffer, [(7, [], []), (8, [], [])])
    rollout = buffer.tensors("cpu")
    assert rollout["valid"][:, 0].tolist() == [[False, False], [False, False], [True, True], [True, True]]


def test_restart_between_two_rollouts_begins_with_a_valid_row():
    buffer = make_buffer(2)
    play(buffer, [(0, [], []), (1, [0, 1], [])])
    buffer.restart()
    play(buffer, [(5, [], []), (6, [], [])])
    assert buffer.tensors("cpu")["valid"].all()


@pytest.mark.parametrize("num_before", [1, 3])
def test_state_round_trip(num_before):
    steps = [(0, [1], []), (1, [], []), (2, [], [0]), (3, [], []), (4, [], [1]), (5, [], [])]
    whole, first, second = make_buffer(), make_buffer(), make_buffer()
    play(whole, steps)
    play(first, steps[:num_before])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    play(second, steps[num_before:])
    expected, actual = whole.tensors("cpu"), second.tensors("cpu")
    assert expected.keys() == actual.keys()
    assert all(torch.equal(expected[name], actual[name]) for name in expected)


def test_loading_does_not_tie_the_buffer_to_the_saved_arrays():
    first, second = make_buffer(), make_buffer()
    play(first, [(1, [], [])])
    second.load_state_dict(first.state_dict())
    play(first, [(9, [0], [])])
    assert second.position == 1
    assert second.arrays["valid"].all()


def test_dtypes_follow_the_spaces():
    images = make_buffer(obs_space=gs.Box(0, 255, (2, 2), np.uint8), action_space=gs.MultiDiscrete([2, 3]))
    assert images.arrays["obs"].dtype == np.uint8
    assert images.arrays["action"].shape == (3, 1, 2, 2)
    doubles = make_buffer(obs_space=gs.Box(0, 1, (2,), np.float64), action_space=gs.Box(-1, 1, (3,)))
    assert doubles.arrays["obs"].dtype == doubles.arrays["action"].dtype == np.float32
    assert make_buffer(action_space=gs.MultiBinary(3)).arrays["action"].dtype == np.int64


def test_memory_is_what_the_arrays_take():
    for obs_space in (OBS, gs.Box(0, 255, (4, 3, 3), np.uint8)):
        for action_space in (ACTION, gs.Box(-1, 1, (3,)), gs.MultiDiscrete([2, 3])):
            buffer = RolloutBuffer(5, 2, 3, obs_space, action_space)
            taken = sum(array.nbytes for array in buffer.arrays.values())
            assert RolloutBuffer.num_bytes(5, 2, 3, obs_space, action_space) == taken


def test_the_rows_of_a_session_are_a_view():
    buffer = RolloutBuffer(3, 2, 2, gs.Box(0, 255, (4, 3, 3), np.uint8), ACTION)
    buffer.position = 3  # full
    obs = buffer.tensors("cpu")["obs"]
    assert obs.shape == (4, 2, 2, 4, 3, 3)
    rows = obs.transpose(0, 1).flatten(1, 2)
    assert rows.data_ptr() == obs.data_ptr()
    assert rows.is_contiguous()


def test_extras_are_stored_beside_their_row():
    buffer = RolloutBuffer(2, 1, 2, OBS, ACTION, {"value": (), "outputs": (3,)})
    zeros, ends = np.zeros((1, 2)), np.zeros((1, 2), bool)
    for t in range(3):  # the third begins a new rollout
        extras = {"value": torch.full((1, 2), float(t)), "outputs": torch.full((1, 2, 3), 10.0 * t)}
        buffer.add(zeros[..., None], zeros, zeros, ends, ends, zeros[..., None], extras)
    buffer.position = 2
    rollout = buffer.tensors("cpu")
    assert rollout["value"][:, 0].tolist() == [[2, 2], [1, 1]]
    assert rollout["outputs"][:, 0, 0].tolist() == [[20, 20, 20], [10, 10, 10]]
