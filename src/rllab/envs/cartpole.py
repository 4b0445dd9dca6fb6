"""CartPole, vectorised over all sessions, with a reset generator of its own for every sub-env."""

from typing import Any

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.utils.seeding import np_random


class SeededCartPoleVectorEnv(CartPoleVectorEnv):
    """Gymnasium's vectorised CartPole, but sub-env i draws its resets from its own generator.

    Gymnasium's draws every reset from one generator, so one session's resets would depend on another's episodes. The
    step is Gymnasium's too, in half as many array operations; a test holds the two against each other.
    """

    def __init__(self, num_envs: int = 1, **kwargs: Any) -> None:
        super().__init__(num_envs=num_envs, **kwargs)
        self.generators: list[np.random.Generator] = []
        self.rate = np.zeros((4, num_envs))

    def reset(
        self,
        *,
        seed: list[int] | int | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Reset all sub-envs; `seed` is one per sub-env, or one to count up from, as in `SyncVectorEnv`."""
        super().reset(options=options)
        if isinstance(seed, int):
            seed = [seed + i for i in range(self.num_envs)]
        if seed is not None:
            self.generators = [np_random(s)[0] for s in seed]
        elif not self.generators:
            self.generators = [np_random()[0] for _ in range(self.num_envs)]
        self._reset_rows(range(self.num_envs))
        return self.state.T.astype(np.float32), {}  # type: ignore[attr-defined]

    def _reset_rows(self, rows: Any) -> None:
        for row in rows:
            self.state[:, row] = self.generators[row].uniform(self.low, self.high, size=4)  # type: ignore[index]
            self.steps[row] = 0

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One Euler step of every sub-env; rows that finished in the last one are reset instead."""
        state: np.ndarray = self.state  # type: ignore[assignment] # [4, num_envs]
        _, x_dot, theta, theta_dot = state
        cos, sin = np.cos(theta), np.sin(theta)
        force = np.where(action == 1, self.force_mag, -self.force_mag)
        temp = (force + self.polemass_length * np.square(theta_dot) * sin) / self.total_mass
        theta_acc = (self.gravity * sin - cos * temp) / (
            self.length * (4.0 / 3.0 - self.masspole * np.square(cos) / self.total_mass)
        )
        x_acc = temp - self.polemass_length * theta_acc * cos / self.total_mass
        rate = self.rate
        rate[0], rate[1], rate[2], rate[3] = x_dot, x_acc, theta_dot, theta_acc
        self.state = state = state + self.tau * rate  # type: ignore[assignment]
        self.steps += 1
        terminated = (np.abs(state[0]) > self.x_threshold) | (np.abs(state[2]) > self.theta_threshold_radians)
        truncated = self.steps >= self.max_episode_steps
        reward = -terminated.astype(np.float32) if self._sutton_barto_reward else np.ones(self.num_envs, np.float32)
        if self.prev_done.any():
            self._reset_rows(self.prev_done.nonzero()[0])
            reward[self.prev_done] = 0.0
            terminated[self.prev_done] = False
            truncated[self.prev_done] = False
        self.prev_done = terminated | truncated
        return state.T.astype(np.float32), reward, terminated, truncated, {}
