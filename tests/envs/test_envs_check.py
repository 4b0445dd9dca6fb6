"""`check_env`, of envs that keep the contract and of some that break it in one way each."""

import gymnasium
import gymnasium.spaces as gs
import numpy as np
import pytest

from rllab.config import EnvConfig
from rllab.envs import SessionEnvs, inspect
from rllab.envs.check import check_env


class Coins(gymnasium.Env):
    """Five steps, each paid by a coin; `kind` is what is wrong."""

    observation_space = gs.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gs.Discrete(2)

    def __init__(self, kind=""):
        self.kind = kind

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self._obs(), {}

    def step(self, action):
        self.time += 1
        reward = np.nan if self.kind == "nan" else 1.0
        return self._obs(), reward, self.time == 5 and self.kind != "endless", False, {}

    def _obs(self):
        if self.kind == "constant":
            return np.zeros(2, np.float32)
        coin = np.random.random() if self.kind == "global" else self.np_random.random()  # noqa: NPY002
        return np.full(2, coin + (self.kind == "outside"), np.float32)


gymnasium.register("Coins-v0", Coins, max_episode_steps=10_000)


def checked(kind="", **options):
    """What is found, by name; what is wrong or noted hides what is fine."""
    config = EnvConfig(id="Coins-v0", kwargs={"kind": kind}, backend="sync", **options)
    findings = sorted(check_env(config, inspect(config)), key=lambda finding: finding.level == "ok", reverse=True)
    return {finding.name: (finding.level, finding.text) for finding in findings}


def test_nothing_is_wrong_with_a_good_env():
    found = checked()
    assert {name: level for name, (level, _) in found.items()} == dict.fromkeys(
        ("spaces", "actions", "steps", "seeding", "autoreset", "episodes"), "ok"
    )
    assert found["spaces"][1] == "observations Box(2,) float32, actions Discrete(2)"
    assert found["steps"][1].startswith("205 at random")  # the first end is in step 5, then 200 more
    assert found["autoreset"][1].startswith("136 episodes")  # 34 of 6 rows each in all four
    assert found["episodes"][1].startswith("returns and lengths of 136 episodes")


@pytest.mark.parametrize(
    ("kind", "name", "level", "text"),
    [
        ("global", "seeding", "note", "draws from a global generator"),
        ("constant", "seeding", "note", "the env knows no chance"),
        ("nan", "steps", "wrong", "session 0, sub-env 0: nan as reward"),
        ("outside", "spaces", "note", "of the observations lie outside of their space"),
    ],
)
def test_what_is_wrong_with_an_env(kind, name, level, text):
    found = checked(kind)[name]
    assert found[0] == level
    assert text in found[1]


def test_an_env_without_an_end_is_not_judged():
    found = checked("endless")
    assert found["autoreset"] == ("note", "no episode ended within 3,000 steps: not seen")
    assert found["episodes"][0] == "note"


@pytest.mark.parametrize("name", ["autoreset", "unreported", "miscounted"])
def test_a_backend_that_breaks_the_contract(monkeypatch, name):
    step = SessionEnvs.step

    def broken(envs, action):
        obs, reward, terminated, truncated, ended = step(envs, action)
        if name == "autoreset":
            reward = reward + 1
        elif ended is not None:
            ended = None if name == "unreported" else ended._replace(returns=ended.returns + 1)
        return obs, reward, terminated, truncated, ended

    monkeypatch.setattr(SessionEnvs, "step", broken)
    assert checked()["autoreset" if name == "autoreset" else "episodes"][0] == "wrong"


def test_an_end_in_the_row_that_resets(monkeypatch):
    step, ends = SessionEnvs.step, []

    def end_twice(envs, action):
        obs, reward, terminated, truncated, ended = step(envs, action)
        ends.append(terminated)
        return obs, reward, terminated | (len(ends) > 1 and ends[-2]), truncated, ended

    monkeypatch.setattr(SessionEnvs, "step", end_twice)
    assert checked()["autoreset"] == ("wrong", "an episode ended in the row that only resets")
