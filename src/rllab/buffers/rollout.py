"""The last `num_steps` vector steps, for on-policy updates."""

from typing import Any

import gymnasium.spaces as gs
import numpy as np
import torch

from rllab.buffers import Tensors


class RolloutBuffer:
    """A rollout ``[T, S, N, ...]`` in host memory; `tensors` brings it to the device at once.

    Under NEXT_STEP autoreset the row after a finished episode only resets; ``valid`` is false there.
    """

    def __init__(
        self,
        num_steps: int,
        num_sessions: int,
        num_envs: int,
        obs_space: gs.Space[Any],
        action_space: gs.Space[Any],
    ) -> None:
        rows = (num_steps, num_sessions, num_envs)
        assert obs_space.shape is not None
        assert action_space.shape is not None
        obs_dtype = np.uint8 if obs_space.dtype == np.uint8 else np.float32
        discrete = np.issubdtype(action_space.dtype, np.integer)
        self.num_steps = num_steps
        self.position = 0
        self.arrays: dict[str, np.ndarray] = {
            "obs": np.zeros((num_steps + 1, *rows[1:], *obs_space.shape), obs_dtype),
            "action": np.zeros((*rows, *action_space.shape), np.int64 if discrete else np.float32),
            "reward": np.zeros(rows, np.float32),
            "terminated": np.zeros(rows, np.bool_),
            "truncated": np.zeros(rows, np.bool_),
            "valid": np.ones((num_steps + 1, *rows[1:]), np.bool_),
        }

    def add(
        self,
        obs: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        terminated: np.ndarray,
        truncated: np.ndarray,
        next_obs: np.ndarray,
        extras: Tensors,  # noqa: ARG002 - on-policy algorithms recompute what they need in one batch
    ) -> None:
        """Store one vector step; after `num_steps` of them the buffer is full, and the next begins a new rollout."""
        arrays, t = self.arrays, self.position
        if t == self.num_steps:
            arrays["valid"][0] = arrays["valid"][t]
            t = 0
        arrays["obs"][t] = obs
        arrays["action"][t] = action
        arrays["reward"][t] = reward
        arrays["terminated"][t] = terminated
        arrays["truncated"][t] = truncated
        np.logical_or(terminated, truncated, out=arrays["valid"][t + 1])
        np.logical_not(arrays["valid"][t + 1], out=arrays["valid"][t + 1])
        self.position = t + 1
        if self.position == self.num_steps:
            arrays["obs"][self.num_steps] = next_obs

    def restart(self) -> None:
        """The envs were reset behind our back: what was stored so far has no successor, so nothing learns from it."""
        self.arrays["valid"][: self.position] = False
        self.arrays["valid"][self.position] = True

    def tensors(self, device: str) -> Tensors:
        """The full rollout on `device`: ``obs [T + 1, S, N, ...]``, everything else ``[T, S, N, ...]``."""
        assert self.position == self.num_steps, "the rollout is not full"
        rollout = {name: torch.from_numpy(array).to(device) for name, array in self.arrays.items()}
        rollout["valid"] = rollout["valid"][:-1]
        return rollout

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position, "arrays": self.arrays}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]
        for name, array in self.arrays.items():
            array[...] = state["arrays"][name]
