"""Small envs of what people bring: each does one thing that a training framework must take, or refuse in one line."""

import random
import time

import gymnasium
import gymnasium.spaces as gs
import numpy as np
import torch

VECTOR = gs.Box(-1.0, 1.0, (2,), np.float32)


class Field(gymnasium.Env):
    """Observes the time and 1; what `misdeed` names happens in step 3."""

    observation_space = VECTOR
    action_space = gs.Discrete(2)

    def __init__(self, misdeed=""):
        self.misdeed = misdeed
        if misdeed == "bytes":
            self.observation_space = gs.Box(0, 255, (2,), np.uint8)
        if misdeed == "one-hot":
            self.observation_space = gs.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return (self._obs(), {}) if self.misdeed != "reset" else self._obs()

    def _obs(self):
        at_fault = self.time == 3
        if self.misdeed == "bytes":
            return np.array([0.5, 1.0]) if at_fault else np.ones(2, np.int64)
        if self.misdeed == "one-hot":
            return -1 if at_fault else 1
        obs = np.array([self.time / 100, 1.0], np.float32)
        return OBSERVATIONS[self.misdeed](obs) if at_fault and self.misdeed in OBSERVATIONS else obs

    def step(self, action):
        self.time += 1
        reward = REWARDS.get(self.misdeed, 1.0) if self.time == 3 else 1.0
        if self.misdeed == "old":
            return self._obs(), reward, False, {}
        ended = "False" if self.misdeed == "text end" else self.time == 5
        return self._obs(), reward, ended, False, INFOS.get(self.misdeed, dict)()


OBSERVATIONS = {
    "nan": lambda obs: obs * np.nan,
    "inf": lambda obs: obs + np.float32(np.inf),
    "huge": lambda obs: obs + np.float32(1e30),
    "imaginary": lambda obs: obs + 1j,
    "overflow": lambda obs: obs.astype(np.float64) + 1e39,
    "shape": lambda obs: obs[:1],
    "text": lambda obs: "here",
    "none": lambda obs: None,
}
REWARDS = {
    "nan reward": np.nan,
    "inf reward": -np.inf,
    "no reward": None,
    "two rewards": np.ones(2),
    "huge reward": 1e90,
    "vast reward": 1e300,
}
INFOS = {
    "info shape": lambda: {"hits": np.zeros(np.random.default_rng().integers(1, 4))},
    "info type": lambda: {"why": random.choice([1, "fell", None])},
    "info nest": lambda: {"a": random.choice([3, {"b": 1}])},
}


class Draws(Field):
    """Observes what a generator draws that is global in its process."""

    observation_space = gs.Box(-np.inf, np.inf, (3,), np.float32)

    def _obs(self):
        return np.array([np.random.random(), random.random(), float(torch.rand(()))], np.float32)  # noqa: NPY002


class Stay(Field):
    """Action 1 ends the episode at a cost of 1, action 0 goes on for nothing; there is no time limit."""

    def __init__(self, pause=0.0):
        super().__init__()
        self.pause = pause

    def step(self, action):
        time.sleep(self.pause)
        self.time += 1
        return self._obs(), -float(action), bool(action == 1), False, {}


class Acts(Field):
    """Wants actions of a space of its own, near `best`; each must lie in that space."""

    def __init__(self, space, best=0.0):
        super().__init__()
        self.action_space, self.best = space, best

    def step(self, action):
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.time += 1
        distance = np.abs(np.asarray(action, np.float64) - self.best).sum()
        return self._obs(), -float(distance), False, False, {}


ACTS = {
    "IntBox": (gs.Box(0, 20, (2,), np.int32), np.array([5, 15])),
    "HalfBox": (gs.Box(0.0, np.inf, (1,), np.float32), 2.0),
    "SquareBox": (gs.Box(-1.0, 1.0, (2, 2), np.float32), 0.5),
    "StartOne": (gs.Discrete(3, start=1), 3.0),
    "StartTwo": (gs.MultiDiscrete([3, 4], start=[1, -2]), np.array([3, -2])),
    "Grid": (gs.MultiDiscrete([[3, 3], [3, 3]]), 2.0),
    "Switches": (gs.MultiBinary([2, 2]), 1.0),
    "OneInt": (gs.Box(-2, 5, (1,), np.int64), 4.0),
    "Double": (gs.Box(np.array([-1.0, 0.0]), np.array([3.0, 10.0]), dtype=np.float64), 1.0),
}

gymnasium.register("Field-v0", Field, max_episode_steps=20)
gymnasium.register("Draws-v0", Draws, max_episode_steps=20)
gymnasium.register("Stay-v0", Stay)
for _name, (_space, _best) in ACTS.items():
    gymnasium.register(f"{_name}-v0", Acts, max_episode_steps=20, kwargs={"space": _space, "best": _best})


class InfBox(Field):
    """The observation becomes infinite, and actions are a box."""

    action_space = gs.Box(-1.0, 1.0, (1,))

    def __init__(self):
        super().__init__("inf")

    def step(self, action):
        return super().step(0)


class OneHuge(Field):
    """The first reward of all is 1e30, the others are 1."""

    paid = False

    def step(self, action):
        obs, reward, *rest = super().step(action)
        if not self.paid:
            self.paid, reward = True, 1e30
        return obs, reward, *rest


gymnasium.register("Inf-v0", Field, max_episode_steps=20, kwargs={"misdeed": "inf"})
gymnasium.register("InfBox-v0", InfBox, max_episode_steps=20)
gymnasium.register("OneHuge-v0", OneHuge, max_episode_steps=20)


class Never(Field):
    """No episode ever ends; each step pays 1."""

    def step(self, action):
        self.time += 1
        return np.array([min(self.time / 100, 1.0), 1.0], np.float32), 1.0, False, False, {}


gymnasium.register("Never-v0", Never)


class Walk(Field):
    """Holds tuples, draws from a space, from global generators and from its own; the reward tells them all."""

    def reset(self, *, seed=None, options=None):
        begun = super().reset(seed=seed)
        self.place = (0, 0)
        self.menu = gs.Discrete(1000)
        self.menu.seed(int(self.np_random.integers(2**31)))
        return begun

    def step(self, action):
        self.time += 1
        self.place = (self.place[0] + int(action), 1)
        draws = np.random.random() + random.random() + self.np_random.random()  # noqa: NPY002
        reward = draws + self.menu.sample() + 10.0 * (self.place == (1, 1))
        return self._obs(), float(reward), self.time == 30, False, {}


gymnasium.register("Walk-v0", Walk, max_episode_steps=50)
