"""Stable-Baselines3's identity envs: what is seen is to be done, in each kind of action space."""

import gymnasium
import gymnasium.spaces as gs
import numpy as np

SPACES = {
    "Discrete": lambda: gs.Discrete(4),
    "MultiDiscrete": lambda: gs.MultiDiscrete([4, 4]),
    "MultiBinary": lambda: gs.MultiBinary(4),
    "Box": lambda: gs.Box(-1.0, 1.0, (1,), np.float32),
}
"""Makers of spaces, of the sizes that Stable-Baselines3 tests: a space holds a generator, and each env has its own."""
LENGTH = 100


class Identity(gymnasium.Env):
    """The observation is a random member of the space; an action that equals it pays 1, any other nothing.

    A real number equals one that is no further away than `eps`.
    """

    def __init__(self, kind, eps=0.5):
        self.observation_space = self.action_space = SPACES[kind]()
        self.eps = eps if kind == "Box" else 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.obs = self.observation_space.sample()
        return self.obs, {}

    def step(self, action):
        assert self.action_space.contains(action), action
        reward = float(np.all(np.abs(self.obs - action) <= self.eps))
        self.obs = self.observation_space.sample()
        return self.obs, reward, False, False, {}


for name in SPACES:
    gymnasium.register(f"Identity{name}-v0", Identity, max_episode_steps=LENGTH, kwargs={"kind": name})
