"""Classic control in C++ against Gymnasium's, from the same states with the same actions."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rllab import envs
from rllab.config import EnvConfig
from rllab.envs.backends import BACKENDS
from rllab.envs.classic_control import ClassicControlVectorEnv

pytestmark = pytest.mark.skipif(not BACKENDS["native"].is_installed(), reason="no compiler, or an old processor")

N = 3
SEEDS = [11, 5, 2**32 - 1]
TASKS = [
    ("CartPole-v1", {}),
    ("CartPole-v1", {"sutton_barto_reward": True}),
    ("Acrobot-v1", {}),
    ("Pendulum-v1", {}),
    ("Pendulum-v1", {"g": 9.81}),
    ("MountainCar-v0", {}),
    ("MountainCar-v0", {"goal_velocity": 0.02}),
    ("MountainCarContinuous-v0", {}),
]


def make(env_id, num_envs=N, **fields):
    made = envs.make(EnvConfig(id=env_id, num_envs=num_envs, backend="native", **fields), num_sessions=1)
    assert isinstance(made.vector.unwrapped, ClassicControlVectorEnv)
    return made.vector.unwrapped


def actions(rng, env, num_envs):
    """Random ones, some of them beyond the space, which keep their direction for a while: so the car comes far."""
    space = env.single_action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        return rng.integers(0, space.n, num_envs)
    return (1.5 * rng.uniform(space.low, space.high, (num_envs, 1))).astype(np.float32)


def put(theirs, ours):
    """Gymnasium's envs into the states of ours."""
    for env, state in zip(theirs.envs, ours.state, strict=True):
        dtype = np.float32 if env.spec.id.startswith("MountainCarContinuous") else np.float64
        env.unwrapped.state = state[: 4 if env.spec.id.startswith(("CartPole", "Acrobot")) else 2].astype(dtype)


@pytest.mark.parametrize(("env_id", "kwargs"), TASKS)
def test_each_step_is_gymnasiums(env_id, kwargs):
    ours = make(env_id, kwargs=kwargs, max_episode_steps=40)
    theirs = SyncVectorEnv(
        [lambda: gymnasium.make(env_id, max_episode_steps=40, disable_env_checker=True, **kwargs)] * N,
        autoreset_mode=AutoresetMode.NEXT_STEP,
    )
    np.testing.assert_allclose(ours.reset(seed=SEEDS)[0], theirs.reset(seed=SEEDS)[0], rtol=1e-6, atol=1e-7)
    rng = np.random.default_rng(0)
    num_terminated = num_truncated = 0
    for _ in range(1000):
        action = actions(rng, theirs, N)
        got, want = ours.step(action)[:4], theirs.step(action)[:4]
        np.testing.assert_allclose(got[0], want[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(got[1], want[1], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(got[2], want[2])
        np.testing.assert_array_equal(got[3], want[3])
        num_terminated += got[2].sum()
        num_truncated += got[3].sum()
        put(theirs, ours)  # or rounding would grow until the two part
    assert num_truncated > 10
    assert num_terminated > 10 or not env_id.startswith("CartPole")


@pytest.mark.parametrize(
    ("env_id", "state", "action", "reward"),
    [
        ("Acrobot-v1", [3.1, 0.1, 0.5, 0.5], 1, 0.0),
        ("MountainCar-v0", [0.499, 0.06, 0, 0], 2, -1.0),
        ("MountainCarContinuous-v0", [0.449, 0.06, 0, 0], 1.0, 99.9),
    ],
)
def test_the_goal_is_gymnasiums(env_id, state, action, reward):
    ours, theirs = make(env_id, 1), gymnasium.make(env_id)
    ours.reset(seed=0)
    theirs.reset(seed=0)
    ours.state[0] = state
    theirs.unwrapped.state = np.array(state[: 4 if env_id == "Acrobot-v1" else 2])
    real = isinstance(action, float)
    got = ours.step(np.array([[action]], np.float32) if real else np.array([action]))
    want = theirs.step(np.array([action], np.float32) if real else action)
    np.testing.assert_allclose(got[0][0], want[0], rtol=1e-5, atol=1e-6)
    assert got[1][0] == pytest.approx(reward)
    assert want[1] == pytest.approx(reward)
    assert got[2][0]
    assert want[2]


def test_a_row_draws_its_resets_from_its_own_generator():
    histories = []
    for constant in (0, 1):
        env = make("CartPole-v1", 2)
        env.reset(seed=[1, 2])
        rng = np.random.default_rng(0)
        rows = [env.step(np.array([constant, rng.integers(0, 2)])) for _ in range(200)]
        assert sum(row[2][1] for row in rows) > 3  # row 1 drew several resets
        histories.append(np.stack([row[0] for row in rows]))
    assert np.array_equal(histories[0][:, 1], histories[1][:, 1])
    assert not np.array_equal(histories[0][:, 0], histories[1][:, 0])


def test_seed_may_be_one_to_count_up_from():
    env = make("Acrobot-v1")
    one, _ = env.reset(seed=7)
    several, _ = env.reset(seed=[7, 8, 9])
    assert np.array_equal(one, several)
    goes_on, _ = env.reset()  # without a seed the generators go on
    assert not np.array_equal(goes_on, several)
    assert make("Pendulum-v1").reset()[0].shape == (N, 3)


def test_what_it_does_not_mean_is_left_to_gymnasium():
    def backend(env_id, **fields):
        return envs.inspect(EnvConfig(id=env_id, **fields)).backend

    for env_id, kwargs in TASKS:
        assert backend(env_id, kwargs=kwargs) == "native"
    assert backend("Acrobot-v1", wrappers=["gymnasium.wrappers.TimeAwareObservation"]) == "sync"
    assert backend("CartPole-v1", kwargs={"max_episode_steps": 7}) == "vector_entry_point"
    with pytest.raises(
        ValueError, match=r"^env\.backend: got 'native', .* and not LunarLander-v3 .*write env\.backend"
    ):
        backend("LunarLander-v3", backend="native")


def test_without_a_compiler_it_is_gymnasiums(monkeypatch):
    monkeypatch.setattr(type(BACKENDS["native"]), "_reason", lambda _self: "there is no C++ compiler")
    assert envs.inspect(EnvConfig(id="CartPole-v1")).backend == "vector_entry_point"
    assert envs.inspect(EnvConfig(id="Acrobot-v1")).backend == "sync"
    with pytest.raises(ValueError, match=r"^env\.backend: got 'native', for which there is no C\+\+ compiler; write"):
        envs.inspect(EnvConfig(id="Acrobot-v1", backend="native"))
