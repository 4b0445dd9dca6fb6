"""Small tasks that need a memory, after POPGym (Morad et al. 2023) and Bakker 2002; without one chance is left."""

import gymnasium
import gymnasium.spaces as gs
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv


class BlindCartPole(gymnasium.ObservationWrapper):
    """CartPole without its velocities."""

    def __init__(self):
        super().__init__(CartPoleEnv())
        self.observation_space = gs.Box(-5.0, 5.0, (2,))

    def observation(self, obs):
        return obs[::2]


class TMaze(gymnasium.Env):
    """The first observation says which way to turn at the end of a corridor; 1 for that way, 0 for the other.

    In the corridor any action goes on. Without memory: 0.5.
    """

    observation_space = gs.Box(-1.0, 1.0, (2,))
    action_space = gs.Discrete(2)

    def __init__(self, length=10):
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.way = 0, int(self.np_random.integers(2))
        return np.array([2.0 * self.way - 1.0, 0.0], np.float32), {}

    def step(self, action):
        at_end = self.time == self.length
        self.time += 1
        obs = np.array([0.0, self.time == self.length], np.float32)
        return obs, float(at_end and action == self.way), at_end, False, {}


class Repeat(gymnasium.Env):
    """Say a symbol that was shown before, of four, in each of 40 steps; the best return is 1, without memory -0.5.

    `back` steps before this one, or the first of the episode for None.
    """

    observation_space = gs.Box(0.0, 1.0, (4,))
    action_space = gs.Discrete(4)
    num_steps = 40

    def __init__(self, back=None):
        self.back = back

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.shown = []
        return self._show(), {}

    def step(self, action):
        place = 0 if self.back is None else len(self.shown) - 1 - self.back
        scored = self.num_steps - (self.back or 0)
        reward = 0.0 if place < 0 else (1.0 if action == self.shown[place] else -1.0) / scored
        obs = self._show()
        return obs, reward, len(self.shown) > self.num_steps, False, {}

    def _show(self):
        self.shown.append(int(self.np_random.integers(4)))
        return np.eye(4, dtype=np.float32)[self.shown[-1]]


gymnasium.register("BlindCartPole-v0", BlindCartPole, max_episode_steps=500)
gymnasium.register("TMaze-v0", TMaze)
gymnasium.register("RepeatFirst-v0", Repeat)
gymnasium.register("RepeatPrevious-v0", Repeat, kwargs={"back": 4})
