import pytest
import torch

from rllab.functional.returns import discounted_sums, ended_since, gae


def column(*numbers):
    return torch.tensor(numbers, dtype=torch.float32).unsqueeze(-1)  # [T, 1]


def flags(*rows, length):
    x = torch.zeros(length, 1, dtype=torch.bool)
    x[list(rows)] = True
    return x


def test_gae_with_termination_truncation_and_reset_rows_by_hand():
    # gamma = lambda = 1/2, so an advantage carries 1/4 of the next one.
    # row  what         reward  V(obs)  V(next)   delta                    advantage
    # 0    step           1       1       2       1 + 2/2 - 1 = 1          1 + 4/4 = 2
    # 1    terminated     6       2      100      6 + 0   - 2 = 4          4     (100 is V of a dead end)
    # 2    reset row      -       100     4       meaningless
    # 3    truncated      3       4       8       3 + 8/2 - 4 = 3          3     (8 counts, row 4 does not)
    # 4    reset row      -       8       6       meaningless
    # 5    last row       4       6      10       4 + 10/2 - 6 = 3         3
    advantage = gae(
        column(1, 6, 0, 3, 0, 4),
        column(1, 2, 100, 4, 8, 6, 10),
        flags(1, length=6),
        flags(3, length=6),
        gamma=0.5,
        gae_lambda=0.5,
    )
    valid = [0, 1, 3, 5]
    assert advantage[valid, 0].tolist() == [2.0, 4.0, 3.0, 3.0]


def test_gae_does_not_see_what_stands_in_a_reset_row():
    reward, value = column(1, 6, 0, 3), column(1, 2, 0, 4, 10)
    args = (flags(1, length=4), flags(length=4))
    before = gae(reward, value, *args, gamma=0.9, gae_lambda=0.8)
    reward[2], value[2] = 1e4, -1e4  # value[2] is that of the terminal observation
    after = gae(reward, value, *args, gamma=0.9, gae_lambda=0.8)
    assert torch.equal(before[[0, 1, 3]], after[[0, 1, 3]])
    assert before[2] != after[2]


@pytest.mark.parametrize(
    ("terminated", "truncated", "expected"),
    # one row: reward 1, V = 2, V(successor) = 8, gamma 1/2 -> 1 + 8/2 - 2 = 3, or 1 - 2 = -1 at an end
    [(False, False, 3.0), (False, True, 3.0), (True, False, -1.0), (True, True, -1.0)],
)
def test_gae_of_the_last_row_bootstraps_unless_terminated(terminated, truncated, expected):
    advantage = gae(
        column(1),
        column(2, 8),
        torch.tensor([[terminated]]),
        torch.tensor([[truncated]]),
        gamma=0.5,
        gae_lambda=0.9,
    )
    assert advantage.tolist() == [[expected]]


def test_gae_lambda_from_td_error_to_monte_carlo():
    reward, value, no = column(1, 2, 4), column(3, 5, 7, 8), flags(length=3)
    # lambda 0: 1 + 5/2 - 3, 2 + 7/2 - 5, 4 + 8/2 - 7
    assert gae(reward, value, no, no, gamma=0.5, gae_lambda=0.0)[:, 0].tolist() == [0.5, 0.5, 1.0]
    # lambda 1: 1 + 2/2 + 4/4 + 8/8 - 3, 2 + 4/2 + 8/4 - 5, 4 + 8/2 - 7
    assert gae(reward, value, no, no, gamma=0.5, gae_lambda=1.0)[:, 0].tolist() == [1.0, 1.0, 1.0]


def random_rollout(*, steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (steps, 2, 3)
    reward = torch.randn(shape, generator=generator, dtype=torch.float64)
    value = torch.randn(steps + 1, 2, 3, generator=generator, dtype=torch.float64)
    terminated, truncated = (torch.rand(shape, generator=generator) < 0.15 for _ in range(2))
    assert terminated.any()
    assert truncated.any()
    return reward, value, terminated, truncated


@pytest.mark.parametrize("steps", [1, 2, 32, 37])
def test_gae_equals_the_sequential_recursion(steps):
    reward, value, terminated, truncated = random_rollout(steps=37)
    reward, terminated, truncated = reward[:steps], terminated[:steps], truncated[:steps]
    value = value[: steps + 1]
    gamma, lam = 0.97, 0.9
    expected = torch.zeros_like(reward)
    for s in range(2):
        for n in range(3):
            later = 0.0
            for t in reversed(range(steps)):
                successor = 0.0 if terminated[t, s, n] else value[t + 1, s, n]
                delta = reward[t, s, n] + gamma * successor - value[t, s, n]
                done = terminated[t, s, n] or truncated[t, s, n]
                later = delta + (0.0 if done else gamma * lam * later)
                expected[t, s, n] = later
    actual = gae(reward, value, terminated, truncated, gamma=gamma, gae_lambda=lam)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_gae_leaves_its_arguments_alone():
    arguments = random_rollout(steps=9, seed=4)
    copies = [x.clone() for x in arguments]
    gae(*arguments, gamma=0.9, gae_lambda=0.9)
    assert all(torch.equal(x, copy) for x, copy in zip(arguments, copies, strict=True))


def test_discounted_sums_by_hand():
    # gamma 1/2, an inherited sum of 4; row 1 finishes its episode, row 2 only resets
    # 1 + 4/2 = 3;  2 + 3/2 = 3.5;  0, begun anew;  3 + 0/2 = 3;  1 + 3/2 = 2.5
    done = flags(1, length=5)
    sums = discounted_sums(column(1, 2, 0, 3, 1), done, torch.tensor([4.0]), gamma=0.5)
    assert sums[:, 0].tolist() == [3.0, 3.5, 0.0, 3.0, 2.5]


def test_discounted_sums_equals_the_sequential_recursion():
    reward, _, terminated, truncated = random_rollout(steps=37)
    done = terminated | truncated
    start = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    expected, carried = [], start
    for t in range(37):
        expected.append(reward[t] + 0.9 * carried)
        carried = torch.where(done[t], 0.0, expected[-1])
    actual = discounted_sums(reward, done, start, gamma=0.9)
    torch.testing.assert_close(actual, torch.stack(expected), rtol=1e-12, atol=1e-12)


def test_discounted_sums_continue_over_the_border_of_two_rollouts():
    reward, _, terminated, truncated = random_rollout(steps=20)
    done = terminated | truncated
    done[9, 0] = True  # some finish exactly at the border, others go on
    done[9, 1] = False
    start = torch.zeros(2, 3, dtype=torch.float64)
    whole = discounted_sums(reward, done, start, gamma=0.9)
    first = discounted_sums(reward[:10], done[:10], start, gamma=0.9)
    second = discounted_sums(reward[10:], done[10:], first[-1] * ~done[9], gamma=0.9)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-12, atol=1e-12)


def test_ended_since_by_hand():
    # two envs; ends in rows 1 and 4, and in row 2 alone. From row 3 on only the end in row 4 counts: rows 2 to 4
    done = torch.tensor([[0, 0], [1, 0], [0, 1], [0, 0], [1, 0], [0, 0]]).bool()
    assert ended_since(done, 3).T.tolist() == [[False, False, True, True, True, False], [False] * 6]
    assert ended_since(done, 2).T.tolist() == [[False, False, True, True, True, False], [True] * 3 + [False] * 3]
    assert ended_since(done, 0).T.tolist() == [[True] * 5 + [False], [True] * 3 + [False] * 3]
