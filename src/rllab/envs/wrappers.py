"""Wrappers of vector envs."""

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space, iterate

from rllab.nets.parts import flat_obs, flat_space

Step = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


class FlatObs(VectorWrapper):
    """Each observation of a vector env as one array, as `SubEnv` makes it."""

    def __init__(self, env: VectorEnv) -> None:
        super().__init__(env)
        self.raw_space, self.flat_space = env.single_observation_space, flat_space(env.single_observation_space)
        self.single_observation_space = self.flat_space
        self.observation_space = batch_space(self.flat_space, self.num_envs)

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        obs, info = self.env.reset(**kwargs)
        return self._flat(obs), info

    def step(self, actions: Any) -> Step:
        obs, reward, terminated, truncated, info = self.env.step(actions)
        return self._flat(obs), reward, terminated, truncated, info

    def _flat(self, obs: Any) -> np.ndarray:
        rows = iterate(self.env.observation_space, obs)
        return np.stack([flat_obs(self.raw_space, self.flat_space, row) for row in rows])


class TrackReward(VectorWrapper):
    """Sums raw rewards, before any clipping or normalising, into the returns and lengths of whole episodes.

    A step that finishes episodes has ``info["finished"] = (rows, returns, lengths)``, arrays of equal length. Rows that
    only reset (NEXT_STEP autoreset) count neither as reward nor as a step.
    """

    def __init__(self, env: VectorEnv) -> None:
        super().__init__(env)
        self.returns = np.zeros(env.num_envs, np.float64)
        self.lengths = np.zeros(env.num_envs, np.int64)
        self.finished_rows = np.zeros(0, np.int64)

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        self.returns[:] = 0
        self.lengths[:] = 0
        self.finished_rows = np.zeros(0, np.int64)
        return self.env.reset(**kwargs)

    def step(self, actions: Any) -> Step:
        obs, reward, terminated, truncated, info = self.env.step(actions)
        self.returns += reward
        self.lengths += 1
        if self.finished_rows.size:  # this step has reset these rows
            self.returns[self.finished_rows] = 0
            self.lengths[self.finished_rows] = 0
        self.finished_rows = rows = np.logical_or(terminated, truncated).nonzero()[0]
        if rows.size:
            info["finished"] = rows, self.returns[rows], self.lengths[rows]
        return obs, reward, terminated, truncated, info


class LifeLossTerminal(VectorWrapper):
    """Marks a lost life as ``terminated``, for learning only: nothing is reset, and the game goes on in the next row.

    It needs ``info["lives"]``, one number for each row. Around `TrackReward`, whose episodes are whole games.
    """

    def __init__(self, env: VectorEnv) -> None:
        super().__init__(env)
        self.lives = np.zeros(env.num_envs, np.int64)

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        obs, info = self.env.reset(**kwargs)
        self.lives = info["lives"]
        return obs, info

    def step(self, actions: Any) -> Step:
        obs, reward, terminated, truncated, info = self.env.step(actions)
        lives = info["lives"]
        terminated = terminated | (lives < self.lives)  # after a reset there are never fewer
        self.lives = lives
        return obs, reward, terminated, truncated, info


class ClipReward(VectorWrapper):
    """Clips rewards to [-1, 1], for learning only. Around `TrackReward`, which sums raw ones."""

    def step(self, actions: Any) -> Step:
        obs, reward, terminated, truncated, info = self.env.step(actions)
        return obs, reward.clip(-1.0, 1.0), terminated, truncated, info
