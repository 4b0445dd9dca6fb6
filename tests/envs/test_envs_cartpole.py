import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rllab.envs.cartpole import SeededCartPoleVectorEnv

N = 3


def make_pair(**kwargs):
    """Ours, and Gymnasium's single CartPole N times."""
    ours = SeededCartPoleVectorEnv(N, **kwargs)
    return ours, SyncVectorEnv([lambda: gymnasium.make("CartPole-v1", **kwargs)] * N)


@pytest.mark.parametrize("kwargs", [{"max_episode_steps": 20}, {"sutton_barto_reward": True}])
def test_equals_the_single_cartpole_step_for_step(kwargs):
    ours, theirs = make_pair(**kwargs)
    seeds = [11, 5, 2**32 - 1]
    np.testing.assert_array_equal(ours.reset(seed=seeds)[0], theirs.reset(seed=seeds)[0])
    rng = np.random.default_rng(0)
    num_terminated = num_truncated = 0
    rewards = set()
    for _ in range(2000):
        action = rng.integers(0, 2, N)
        got, want = ours.step(action)[:4], theirs.step(action)[:4]
        np.testing.assert_allclose(got[0], want[0], rtol=1e-5, atol=1e-6)
        for x, y in zip(got[1:], want[1:], strict=True):
            np.testing.assert_array_equal(x, y)
        num_terminated += got[2].sum()
        num_truncated += got[3].sum()
        rewards |= set(got[1].tolist())
    assert num_terminated > 50
    assert num_truncated > 50 or "max_episode_steps" not in kwargs
    assert rewards == ({-1.0, 0.0} if "sutton_barto_reward" in kwargs else {0.0, 1.0})  # 0: reset rows


def test_few_sub_envs_and_many_give_the_same_numbers_to_the_last_bit():
    few, many = SeededCartPoleVectorEnv(N), SeededCartPoleVectorEnv(40)
    assert np.array_equal(few.reset(seed=7)[0], many.reset(seed=7)[0][:N])
    rng = np.random.default_rng(0)
    for _ in range(300):
        action = rng.integers(0, 2, 40)
        few.step(action[:N])
        many.step(action)
        assert np.array_equal(few.state, many.state[:, :N])


def test_a_whole_episode_lasts_500_steps():
    env = SeededCartPoleVectorEnv(1)
    obs, _ = env.reset(seed=[0])
    for step in range(1, 501):
        _, _, theta, theta_dot = obs[0]
        obs, _, terminated, truncated, _ = env.step(np.array([int(theta + 0.5 * theta_dot > 0)]))
        assert not terminated[0]
        assert truncated[0] == (step == 500)


def test_seed_may_be_one_to_count_up_from_and_says_it_autoresets_in_the_next_step():
    env = SeededCartPoleVectorEnv(N)
    assert env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    one, _ = env.reset(seed=7)
    several, _ = env.reset(seed=[7, 8, 9])
    assert np.array_equal(one, several)
    goes_on, _ = env.reset()  # without a seed the generators go on
    assert not np.array_equal(goes_on, several)
    assert SeededCartPoleVectorEnv(2).reset()[0].shape == (2, 4)


def test_reset_bounds_are_honoured():
    env = SeededCartPoleVectorEnv(N)
    obs, _ = env.reset(seed=0, options={"low": 0.01, "high": 0.02})
    assert ((obs >= 0.01) & (obs <= 0.02)).all()


def test_reset_in_the_middle_of_an_episode_begins_anew():
    env = SeededCartPoleVectorEnv(N, max_episode_steps=4)
    first = [env.reset(seed=3)[0]] + [env.step(np.ones(N, int)) for _ in range(4)]
    assert first[-1][3].all()
    again = [env.reset(seed=3)[0]] + [env.step(np.ones(N, int)) for _ in range(4)]  # all rows were done
    for x, y in zip(first, again, strict=True):
        np.testing.assert_array_equal(x[0], y[0])
    assert again[-1][3].all()


def test_one_rows_actions_do_not_change_anothers_episodes():
    histories = []
    for constant in (0, 1):
        env = SeededCartPoleVectorEnv(2)
        env.reset(seed=[1, 2])
        rng = np.random.default_rng(0)
        rows = [env.step(np.array([constant, rng.integers(0, 2)])) for _ in range(200)]
        assert sum(row[2][1] for row in rows) > 3  # row 1 drew several resets
        histories.append([row[0] for row in rows])
    first, second = (np.stack(history) for history in histories)
    assert np.array_equal(first[:, 1], second[:, 1])
    assert not np.array_equal(first[:, 0], second[:, 0])
