import copy

import gymnasium.spaces as gs
import numpy as np
import torch

from rllab.buffers.prioritized import PrioritizedReplayBuffer, SumTree, tree_width
from rllab.random.streams import Streams


def test_sum_tree_finds_by_running_sum():
    tree = SumTree(2, 5)
    tree.set(np.array([[0, 1, 3, 4]] * 2), np.array([[1.0, 2.0, 4.0, 1.0], [0.0, 0.0, 0.0, 3.0]]))
    assert tree.totals().tolist() == [8, 3]
    # running sums of the first tree 1, 3, 3, 7, 8: leaf 2 is never found, nor any beyond the last by rounding
    mass = np.array([[0.0, 0.99, 1.0, 2.9, 3.0, 6.9, 7.0, 8.0], [0.0, 1.0, 2.0, 2.9, 3.0, 3.0, 3.0, 3.1]])
    assert tree.find(mass).tolist() == [[0, 0, 1, 1, 3, 3, 4, 4], [4] * 8]
    tree.set(np.array([[3], [4]]), np.array([[0.5], [0.25]]))
    assert tree.totals().tolist() == [4.5, 0.25]
    assert tree.get(np.array([[3, 4], [3, 4]])).tolist() == [[0.5, 1.0], [0.0, 0.25]]


def make_buffer(num_steps=4, num_sessions=1, alpha=0.5):
    spaces = gs.Box(-1.0, 1.0, (1,)), gs.Discrete(2)
    return PrioritizedReplayBuffer(num_steps, num_sessions, 1, *spaces, alpha=alpha, eps=0.0)


def play(buffer, steps):
    """`steps`: t, and whether the episode terminates there."""
    for t, terminated in steps:
        x = np.full((buffer.num_sessions, 1), t)
        obs = x[..., np.newaxis].astype(np.float32)
        buffer.add(obs, x % 2, x, x * 0 + terminated == 1, x < 0, obs + 1, {})


def sample(buffer, batch_size=1000):
    streams = Streams(0, buffer.num_sessions, "minibatch")
    return buffer.sample(batch_size, streams, gamma=0.9)["obs"].flatten(1)


def test_new_transitions_come_with_the_highest_priority_and_reset_rows_with_none():
    buffer = make_buffer()
    play(buffer, [(0, 0), (1, 1), (2, 0), (3, 0)])  # step 2 only resets
    assert buffer.tree.totals() == 0  # not listed yet
    assert sample(buffer).unique().tolist() == [0, 1, 3]
    assert buffer.tree.leaves().tolist() == [[1, 1, 0, 1, 0]]
    buffer.update_priorities(np.array([[0]]), torch.tensor([[9.0]]))  # 9 ** 0.5
    play(buffer, [(4, 0)])
    sample(buffer)
    assert buffer.tree.leaves().tolist() == [[0, 1, 0, 1, 3]]  # step 0 is overwritten


def test_draws_are_in_proportion_and_weights_undo_it():
    buffer = make_buffer()
    play(buffer, [(0, 0), (1, 0), (2, 0)])
    rows = np.array([[0, 1, 2]])
    sample(buffer)
    buffer.update_priorities(rows, torch.tensor([[1.0, -4.0, 25.0]]))  # roots 1, 2, 5: probabilities 1/8, 1/4, 5/8
    drawn, counts = sample(buffer, 8000).unique(return_counts=True)
    assert drawn.tolist() == [0, 1, 2]
    np.testing.assert_allclose(counts, [1000, 2000, 5000], atol=1)  # one from each of 8000 equal ranges
    # (3 / 8) ** -beta, (3 / 4) ** -beta, (15 / 8) ** -beta, over the first
    torch.testing.assert_close(buffer.weights(rows, 1.0), torch.tensor([[1.0, 1 / 2, 1 / 5]]))
    torch.testing.assert_close(buffer.weights(rows, 0.5), torch.tensor([[1.0, 2**-0.5, 5**-0.5]]))
    torch.testing.assert_close(buffer.weights(rows, 0.0), torch.ones(1, 3))


def test_sessions_have_priorities_of_their_own():
    buffer = make_buffer(num_sessions=2)
    play(buffer, [(0, 0), (1, 0)])
    sample(buffer)
    rows = np.array([[0, 2], [1, 3]])  # row = step * S + session
    buffer.update_priorities(rows, torch.tensor([[1.0, 0.0], [0.0, 4.0]]))
    drawn = sample(buffer)
    assert (drawn[0] == 0).all()
    assert (drawn[1] == 1).all()
    assert buffer.highest.tolist() == [1, 2]


def test_state_round_trip():
    first, second = make_buffer(), make_buffer()
    play(first, [(0, 0), (1, 0)])
    sample(first)
    first.update_priorities(np.array([[0, 1]]), torch.tensor([[4.0, 9.0]]))
    play(first, [(2, 1), (3, 0), (4, 0)])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for buffer in (first, second):
        play(buffer, [(5, 0)])
    assert torch.equal(sample(first), sample(second))
    assert np.array_equal(first.tree.leaves(), second.tree.leaves())
    assert second.highest.tolist() == [3]


def test_memory():
    spaces = gs.Box(-1.0, 1.0, (1,)), gs.Discrete(2)
    buffer = PrioritizedReplayBuffer(7, 2, 3, *spaces, alpha=0.5)
    arrays = [*buffer.arrays.values(), buffer.rows, buffer.count, buffer.tree.nodes]
    assert PrioritizedReplayBuffer.num_bytes(7, 2, 3, *spaces) == sum(a.nbytes for a in arrays)
    assert [tree_width(n) for n in (1, 2, 5, 8)] == [1, 2, 8, 8]
