"""Envs that tell of their episodes in their infos."""

import gymnasium
import gymnasium.spaces as gs
import numpy as np


class Tells(gymnasium.Env):
    """Episodes of 3 to 8 steps: `step` counts them, `length` comes at the end, and odd ones are a success."""

    observation_space, action_space = gs.Box(-1.0, 1.0, (1,), np.float32), gs.Discrete(2)

    def __init__(self, step=float, success=bool):
        self.step_type, self.success_type = step, success

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.length = 0, int(self.np_random.integers(3, 9))
        return np.zeros(1, np.float32), {"step": 1000.0}

    def step(self, action):
        self.time += 1
        info, ended = {"step": self.step_type(self.time), "noise": "x"}, self.time == self.length
        if ended:
            info |= {"length": self.length, "is_success": self.success_type(self.length % 2)}
        return np.full(1, self.time / 10, np.float32), 1.0, ended, False, info


for name, kwargs in {"Tells": {}, "TellsText": {"step": str}, "TellsOddly": {"success": lambda x: {"x": x}}}.items():
    gymnasium.register(f"{name}-v0", Tells, max_episode_steps=50, kwargs=kwargs)
