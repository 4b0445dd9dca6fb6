"""CartPole, vectorised over all sessions, with a reset generator of its own for every sub-env."""

from typing import Any

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.utils.seeding import np_random

_FEW = 8
"""Up to this many sub-envs a loop over Python floats is faster than arrays, whose operations cost 0.5 us each."""


class SeededCartPoleVectorEnv(CartPoleVectorEnv):
    """Gymnasium's vectorised CartPole, but sub-env i draws its resets from its own generator.

    Gymnasium's draws every reset from one generator, so one session's resets would depend on another's episodes. The
    step is Gymnasium's too, in half as many array operations; a test holds the two against each other.
    """

    def __init__(self, num_envs: int = 1, *, sutton_barto_reward: bool = False, **kwargs: Any) -> None:
        super().__init__(num_envs=num_envs, sutton_barto_reward=sutton_barto_reward, **kwargs)
        self.sutton_barto_reward = sutton_barto_reward
        self.generators: list[np.random.Generator] = []
        self.rate = np.zeros((4, num_envs))

    def reset(
        self,
        *,
        seed: list[int] | int | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Reset all sub-envs. `seed`: one for each, or an integer to which the row is added, as in `SyncVectorEnv`."""
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
        self.state, terminated = self._move_each(action) if self.num_envs <= _FEW else self._move_all(action)  # type: ignore[assignment]
        self.steps += 1
        truncated = self.steps >= self.max_episode_steps
        reward = np.empty(self.num_envs, np.float32)
        reward[:] = -terminated.astype(np.float32) if self.sutton_barto_reward else 1.0
        reset = self.prev_done.nonzero()[0]
        if reset.size:
            self._reset_rows(reset)
            reward[reset] = 0.0
            terminated[reset] = False
            truncated[reset] = False
        self.prev_done = terminated | truncated
        return self.state.T.astype(np.float32), reward, terminated, truncated, {}  # type: ignore[attr-defined]

    def _move_all(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The state after the step, ``[4, num_envs]``, and whether the pole has fallen or the cart has left."""
        state: np.ndarray = self.state  # type: ignore[assignment]
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
        state = state + self.tau * rate
        return state, (np.abs(state[0]) > self.x_threshold) | (np.abs(state[2]) > self.theta_threshold_radians)

    def _move_each(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What `_move_all` gives, to the last bit: the same operations in the same order, but row by row."""
        state: np.ndarray = self.state  # type: ignore[assignment]
        cosines, sines = np.cos(state[2]).tolist(), np.sin(state[2]).tolist()  # Python's differ in the last bit
        tau, length, mass, total = self.tau, self.polemass_length, self.masspole, self.total_mass
        moved, terminated = [], []
        for act, x, x_dot, theta, theta_dot, cos, sin in zip(
            action.tolist(), *state.tolist(), cosines, sines, strict=True
        ):
            force = self.force_mag if act == 1 else -self.force_mag
            temp = (force + length * (theta_dot * theta_dot) * sin) / total
            theta_acc = (self.gravity * sin - cos * temp) / (self.length * (4.0 / 3.0 - mass * (cos * cos) / total))
            x_acc = temp - length * theta_acc * cos / total
            new_x, new_theta = x + tau * x_dot, theta + tau * theta_dot
            moved.append((new_x, x_dot + tau * x_acc, new_theta, theta_dot + tau * theta_acc))
            terminated.append(abs(new_x) > self.x_threshold or abs(new_theta) > self.theta_threshold_radians)
        return np.array(moved).T, np.array(terminated)
