"""What envs give, right and wrong, under every backend of ours: the same is taken, and the same refused."""

from contextlib import closing

import gymnasium.spaces as gs
import numpy as np
import pytest

from field import ACTS
from rllab import envs
from rllab.config import EnvConfig
from rllab.envs.sub_env import kept_globals, seed_globals

every_backend = pytest.mark.parametrize("backend", ["sync", "async"])


def made(name, backend, num_sessions=1, **kwargs):
    config = EnvConfig(id=f"field:{name}-v0", num_envs=2, backend=backend, kwargs=kwargs)
    return closing(envs.make(config, num_sessions=num_sessions))


def walk(games, steps=8, seed=0):
    """Observations ``[steps + 1, S, N, ...]``, rewards and ends of an agent that chooses 0."""
    shape = games.shape
    action = np.zeros((*shape, *games.action_space.shape), games.action_space.dtype)
    obs, rewards = [games.reset([seed + row for row in range(shape[0] * shape[1])]).copy()], []
    for _ in range(steps):
        after, reward, *_ = games.step(action)
        obs.append(after.copy())
        rewards.append(reward)
    return np.stack(obs), np.stack(rewards)


REFUSED = {
    "nan": "nan as observation",
    "inf": "inf as observation",
    "overflow": "inf as observation",
    "nan reward": "nan as reward",
    "inf reward": "-inf as reward",
    "text end": "1.0 as reward, 'False' as terminated, False as truncated: no number and two truth values",
    "imaginary": "as observation, which does not fit float32, the dtype of its space",
    "vast reward": "1e+300 as reward, too large to be averaged",
    "no reward": "None as reward, False as terminated, False as truncated: no number and two truth values",
    "two rewards": "array([1., 1.]) as reward, ",
    "shape": "array([0.03], dtype=float32) as observation, of shape (1,), whose space has (2,)",
    "text": "'here' as observation, ",
    "none": "None as observation, ",
    "bytes": "array([0.5, 1. ]) as observation, which does not fit uint8, the dtype of its space",
    "one-hot": "-1 as observation, which is not in Discrete(3)",
    "old": "not enough values to unpack (expected 5, got 4)",  # TimeLimit says so
    "reset": "reset gave array([0., 1.], dtype=float32); Gymnasium's gives 2 values: obs, info",
}


@every_backend
@pytest.mark.parametrize("misdeed", REFUSED)
def test_what_no_agent_can_learn_from_is_refused(misdeed, backend):
    with made("Field", backend, misdeed=misdeed) as games, pytest.raises(envs.EnvError) as caught:
        walk(games)
    assert str(caught.value).startswith("session 0, sub-env ")
    assert REFUSED[misdeed] in str(caught.value)
    assert "\n" not in str(caught.value)


@every_backend
@pytest.mark.parametrize("misdeed", ["", "info shape", "info type", "info nest"])
def test_infos_may_be_what_they_like(misdeed, backend):
    with made("Field", backend, misdeed=misdeed) as games:
        obs, rewards = walk(games)
    assert rewards[:, 0, 0].tolist() == [1, 1, 1, 1, 1, 0, 1, 1]  # the sixth row only resets
    assert obs[:, 0, 1, 0].tolist() == pytest.approx([0, 0.01, 0.02, 0.03, 0.04, 0.05, 0, 0.01, 0.02])


@every_backend
def test_a_huge_reward_is_learned_from_as_a_large_one(backend):
    with made("Field", backend, misdeed="huge reward") as games:
        _, rewards = walk(games, 4)
        assert rewards[:, 0, 0].tolist() == [1, 1, envs.sessions.HUGE, 1]
        *_, finished = games.step(np.zeros((1, 2), int))
    assert finished.returns.tolist() == [1e90, 1e90]  # what is reported is raw


@every_backend
def test_a_huge_observation_is_seen_as_a_large_one(backend):
    with made("Field", backend, misdeed="huge") as games:
        obs, _ = walk(games, 3)
    assert obs[3, 0, 0].tolist() == pytest.approx([envs.sessions.LARGEST] * 2)


@every_backend
def test_global_generators_are_seeded(backend):
    with made("Draws", backend) as games:
        one, again, other = (walk(games, seed=seed)[0] for seed in (0, 0, 5))
    np.testing.assert_array_equal(one, again)
    assert not np.isin(one, other).any()
    assert not np.isin(one[:, 0, 0], one[:, 0, 1]).any()  # sub-envs differ, also in processes of their own


def test_an_evaluation_leaves_global_generators_alone():
    seed_globals(3)
    first = np.random.random()  # noqa: NPY002 - the global one is what this is about
    seed_globals(3)
    with kept_globals():
        seed_globals(4)
    assert np.random.random() == first  # noqa: NPY002


@every_backend
@pytest.mark.parametrize("name", ACTS)
def test_actions_of_any_shape_and_type_arrive_in_their_space(name, backend):
    """The env itself looks at each."""
    with made(name, backend) as games:
        rng = np.random.default_rng(0)
        games.reset([0, 1])
        for _ in range(5):
            if isinstance(games.action_space, gs.Box):
                action = rng.normal(scale=3, size=(1, 2, *games.action_space.shape)).astype(np.float32)
            else:
                action = np.array([[games.action_space.sample() for _ in range(2)]])
            games.step(action)


def steps_of(backend, steps, **options):
    """Lengths of the episodes of an agent that never ends one."""
    config = EnvConfig(num_envs=2, backend=backend, max_episode_steps=7, **options)
    with closing(envs.make(config, num_sessions=1)) as games:
        games.reset([0, 1])
        found = [games.step(np.zeros((1, 2), np.int64))[-1] for _ in range(steps)]
    return [each.lengths.tolist() for each in found if each is not None]


@every_backend
def test_a_time_limit_of_ones_own(backend):
    assert steps_of(backend, 16, id="field:Stay-v0") == [[7, 7], [7, 7]]
    assert steps_of(backend, 8, id="Acrobot-v1") == [[7, 7]]  # instead of the 500 that it registers


def test_a_time_limit_of_ones_own_in_numpy():
    assert steps_of("gymnasium", 8, id="CartPole-v1") == [[7, 7]]


def test_a_time_limit_of_ones_own_in_atari():
    assert steps_of("ale", 8, id="ALE/Pong-v5") == [[7, 7]]


def test_whether_an_env_has_a_time_limit():
    for name, options, expected in (
        ("CartPole-v1", {}, True),
        ("field:Stay-v0", {}, False),
        ("field:Stay-v0", {"max_episode_steps": 3}, True),
        ("ALE/Pong-v5", {}, True),
    ):
        assert envs.has_time_limit(EnvConfig(id=name, **options)) is expected


NORMALIZING = {
    "gymnasium.wrappers.NormalizeReward": "write agent.normalize_reward=true instead",
    "gymnasium.wrappers.NormalizeObservation": "write agent.normalize_obs=true instead",
    "field_wrappers:both": "write agent.normalize_reward=true instead",
}


@pytest.mark.parametrize("name", NORMALIZING)
def test_normalising_wrappers_are_refused_also_inside_of_a_function(name, tmp_path, monkeypatch):
    text = "import gymnasium.wrappers as w\n\nboth = lambda env: w.TimeAwareObservation(w.NormalizeReward(env))\n"
    (tmp_path / "field_wrappers.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"^env\.wrappers: got \['.*'\], with Normalize\w+, ") as caught:
        envs.inspect(EnvConfig(id="Pendulum-v1", wrappers=[name]))
    assert NORMALIZING[name] in str(caught.value)
