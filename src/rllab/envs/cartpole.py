"""Gymnasium's vectorised CartPole, with a reset generator of its own for every sub-env."""

from typing import Any

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.utils.seeding import np_random


class SeededCartPoleVectorEnv(CartPoleVectorEnv):
    """As Gymnasium's, but sub-env i draws its resets from its own generator, as ``CartPole-v1`` on its own would.

    Gymnasium's draws every reset from one generator, so one session's resets would depend on another's episodes.
    """

    def __init__(self, num_envs: int = 1, **kwargs: Any) -> None:
        super().__init__(num_envs=num_envs, **kwargs)
        self.generators: list[np.random.Generator] = []

    def reset(
        self,
        *,
        seed: list[int] | int | None = None,  # type: ignore[override]
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Reset all sub-envs; `seed` is one per sub-env, or one to count up from, as in `SyncVectorEnv`."""
        super().reset(options=options)
        if isinstance(seed, int):
            seed = [seed + i for i in range(self.num_envs)]
        if seed is not None or not self.generators:
            self.generators = [np_random(s)[0] for s in seed or [None] * self.num_envs]
        for row, generator in enumerate(self.generators):
            self.state[:, row] = generator.uniform(self.low, self.high, size=4)  # type: ignore[index]
        return self.state.T.astype(np.float32), {}  # type: ignore[attr-defined]

    def step(
        self, action: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        resetting = self.prev_done.nonzero()[0]
        obs, reward, terminated, truncated, info = super().step(action)
        for row in resetting:
            self.state[:, row] = self.generators[row].uniform(self.low, self.high, size=4)  # type: ignore[index]
            obs[row] = self.state[:, row]  # type: ignore[index]
        return obs, reward, terminated, truncated, info
