"""EnvPool's envs are Gymnasium's and ALE's: same spaces, dynamics, rewards, ends, limits and autoreset."""

from contextlib import closing

import gymnasium
import gymnasium.spaces as gs
import numpy as np
import pytest

from rllab import envs
from rllab.config import EnvConfig
from rllab.envs.backends.envpool import SAME_TASK, EnvPool, EnvPoolEnvs

pytest.importorskip("envpool")
BOX2D = sorted(name for name in SAME_TASK if name.endswith("-v3"))
MUJOCO = sorted(SAME_TASK.difference(BOX2D))
OFFSETS = {"Ant-v5": 2, "Humanoid-v5": 2, "HumanoidStandup-v5": 2, "Swimmer-v5": 2, "InvertedPendulum-v5": 0}
"""Leading positions that are left out of the observation; one, where not said."""


def make(env_id, backend, num_envs=2, *, num_sessions=1, seeds=None, **fields):
    cfg = EnvConfig(id=env_id, num_envs=num_envs, backend=backend, num_threads=1, **fields)
    made = envs.make(cfg, num_sessions=num_sessions)
    made.reset(seeds or list(range(num_sessions * num_envs)))
    return made


def play(made, steps):
    """Rewards, ends and observations `[steps, S, N]` under random actions; session s draws its own."""
    space, rngs = made.action_space, [np.random.default_rng(s) for s in range(made.shape[0])]
    rows = []
    for _ in range(steps):
        if isinstance(space, gs.Discrete):
            action = np.stack([rng.integers(0, space.n, made.shape[1]) for rng in rngs])
        else:
            action = np.stack([rng.uniform(-1, 1, (made.shape[1], *space.shape)) for rng in rngs]).astype(np.float32)
        rows.append([np.array(x) for x in made.step(action)[:4]])
    return [np.stack(column) for column in zip(*rows, strict=True)]


def to_state(env_id, obs, env):
    """Positions and velocities that an observation tells; what it leaves out is 0 and moves nothing."""
    nq, nv = env.model.nq, env.model.nv
    if env_id == "InvertedDoublePendulum-v5":  # x, two sines, two cosines
        return np.array([obs[0], *np.arctan2(obs[1:3], obs[3:5])]), obs[5:8]
    if env_id == "Reacher-v5":  # two cosines, two sines, target
        return np.array([*np.arctan2(obs[2:4], obs[:2]), *obs[4:6]]), np.array([*obs[6:8], 0, 0])
    if env_id == "Pusher-v5":  # seven joints; object and goal slide along y and x from where their bodies stand
        slides = []
        for name, seen, joint in (("object", obs[17:19], -4), ("goal", obs[20:22], -2)):
            origin = env.get_body_com(name)[:2] - env.data.qpos[[joint + 1, joint]]
            slides += [*(seen - origin)[::-1]]
        return np.array([*obs[:7], *slides]), np.array([*obs[7:14], *[0] * 4])
    left_out = OFFSETS.get(env_id, 1)
    return np.concatenate([np.zeros(left_out), obs[: nq - left_out]]), obs[nq - left_out :][:nv]


@pytest.mark.parametrize("env_id", MUJOCO)
def test_mujoco_steps_as_gymnasium_does(env_id):
    """From the state that EnvPool shows, with the same action, Gymnasium comes to the same next state."""
    made = make(env_id, "envpool", num_envs=1)
    assert isinstance(made.vector.unwrapped, EnvPoolEnvs)
    env = gymnasium.make(env_id).unwrapped
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    differences = []
    done = False
    obs = made.vector.unwrapped.reset(seed=[0])[0][0]  # float64
    for _ in range(60):
        action = rng.uniform(env.action_space.low, env.action_space.high).astype(np.float32)
        expected = None
        if not done:
            qpos, qvel = to_state(env_id, obs, env)
            if np.abs(qvel).max() < 9.99:  # some tasks show no more than 10
                env.set_state(qpos, qvel)
                expected = env.step(action)
        obs, reward, terminated, truncated, _ = (
            x[0] if i < 4 else x for i, x in enumerate(made.vector.unwrapped.step(action[None]))
        )
        done = terminated or truncated
        if expected is not None:
            visible = obs[: env.model.nq + env.model.nv - 2]
            differences.append([np.abs(expected[0][: len(visible)] - visible).max(), abs(expected[1] - reward)])
            assert terminated == expected[2]
    median = np.median(differences, axis=0)
    assert len(differences) > 8
    assert median[0] < 1e-3  # contact solvers start warm, from what an observation does not tell
    assert median[1] < 1e-3


@pytest.mark.parametrize("env_id", BOX2D)
def test_box2d_pays_and_ends_as_gymnasium_does(env_id):
    """Terrain and wind come from other generators, so the comparison is of means."""
    results = []
    for backend in ("sync", "envpool"):
        obs, reward, terminated, truncated = play(make(env_id, backend, num_envs=8), 300)
        ends = (terminated | truncated).sum()
        results.append([reward.sum() / max(ends, 1), ends, np.abs(obs).mean()])
    (reward, ends, size), (their_reward, their_ends, their_size) = results
    assert ends == pytest.approx(their_ends, rel=0.3, abs=6)
    assert reward == pytest.approx(their_reward, rel=0.3)
    assert size == pytest.approx(their_size, rel=0.25)


@pytest.mark.parametrize("env_id", sorted(SAME_TASK))
def test_spaces_and_limits_are_gymnasiums(env_id):
    import envpool

    spec = envpool.make_spec(env_id)
    assert spec.config.max_episode_steps == gymnasium.spec(env_id).max_episode_steps
    info = envs.inspect(EnvConfig(id=env_id))
    assert info.backend == "envpool"
    assert info.notes == ()
    assert spec.gymnasium_observation_space.shape == info.obs_space.shape
    assert spec.gymnasium_action_space.shape == info.action_space.shape


@pytest.mark.parametrize("backend", ["sync", "envpool"])
def test_the_time_limit_truncates_and_the_next_row_resets(backend):
    _, reward, terminated, truncated = play(make("Reacher-v5", backend), 103)
    assert not terminated.any()
    assert truncated[:, 0, 0].nonzero()[0].tolist() == [49, 100]
    assert (reward[50] == 0).all()
    assert (reward[[49, 51]] != 0).all()


def test_rows_are_seeded_and_sessions_independent():
    two = play(make("Hopper-v5", "envpool", num_sessions=2, seeds=[5, 2**32 - 6, 7, 8]), 200)
    one = play(make("Hopper-v5", "envpool", seeds=[5, 2**32 - 6]), 200)
    for x, y in zip(one, two, strict=True):
        np.testing.assert_array_equal(x[:, 0], y[:, 0])
    assert one[2].sum() >= 4  # resets among them


def test_a_reset_with_seeds_begins_anew():
    made = make("Hopper-v5", "envpool")
    first = made.reset([1, 2])
    play(made, 5)
    assert not np.array_equal(made.reset([3, 4]), first)
    np.testing.assert_array_equal(made.reset([1, 2]), first)


@pytest.mark.parametrize("game", ["Qbert", "Pong"])
def test_atari_plays_as_ale_does(game):
    """Without sticky actions and with as good as no no-ops, the two show the same frames."""
    kwargs = {"repeat_action_probability": 0.0, "noop_max": 1}
    ale, pool = (play(make(f"ALE/{game}-v5", b, num_envs=1, kwargs=kwargs), 300) for b in ("ale", "envpool"))
    for name, x, y in zip(("obs", "reward", "terminated", "truncated"), ale, pool, strict=True):
        start = 4 if name == "obs" else 0  # what fills the stack at first
        np.testing.assert_array_equal(x[start:], y[start:], err_msg=name)
    assert ale[1].any()


def test_what_auto_takes(monkeypatch):
    def backend(env_id, **fields):
        return envs.inspect(EnvConfig(id=env_id, **fields)).backend

    assert backend("Hopper-v5") == "envpool"
    assert backend("Hopper-v5", kwargs={"reset_noise_scale": 0.0}) == "sync"  # not compared
    assert backend("Hopper-v5", wrappers=["gymnasium.wrappers.TimeAwareObservation"]) == "sync"
    assert backend("CartPole-v1", backend="gymnasium") == "vector_entry_point"
    assert backend("Pendulum-v1", backend="gymnasium") == "sync"
    assert backend("ALE/Pong-v5") == "ale"
    assert envs.inspect(EnvConfig(id="Pendulum-v1", backend="envpool")).notes == (
        "EnvPool's Pendulum-v1 has not been compared with Gymnasium's",
    )
    monkeypatch.setattr(EnvPool, "is_installed", lambda _: False)
    assert backend("Hopper-v5") == "sync"
    with pytest.raises(ValueError, match=r"^env\.backend: got 'envpool', .*pip install 'rllab\[envpool\]'"):
        backend("Hopper-v5", backend="envpool")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"id": "MountainCar-v0", "kwargs": {"nope": 1}},
            r"env\.kwargs\.nope: got 1, but EnvPool's .* no such argument",
        ),
        (
            {"id": "GymV21Environment-v0"},
            r"env\.backend: got 'envpool', which does not know GymV21Environment-v0; write",
        ),
        ({"id": "ALE/Pong-v5", "kwargs": {"noop_max": 0}}, r"env\.kwargs\.noop_max: got 0, on which EnvPool crashes"),
        ({"id": "Pendulum-v1", "wrappers": ["x.y"]}, r"env\.wrappers: got \['x\.y'\], which env\.backend=envpool"),
    ],
)
def test_refusals(fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        envs.inspect(EnvConfig(backend="envpool", **fields))


@pytest.mark.parametrize(("env_id", "shape"), [("CartPole-v1", (400, 600, 3)), ("ALE/Pong-v5", (210, 160, 3))])
def test_gymnasium_or_ale_draws_the_same_task(env_id, shape):
    config = EnvConfig(id=env_id, backend="envpool", num_threads=1)
    with closing(envs.make(config, num_sessions=1, num_envs=1, render_mode="rgb_array")) as games:
        games.reset([0])
        (picture,) = games.vector.render()
    assert picture.shape == shape
