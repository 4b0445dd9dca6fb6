"""The latest vector steps, for on-policy updates."""

import math
from typing import Any

import gymnasium.spaces as gs
import numpy as np
import torch

from rllab.buffers import Steps, Tensors


class RolloutBuffer:
    """A rollout ``[T, S, N, ...]`` in host memory; `tensors` brings it to the device at once.

    Under NEXT_STEP autoreset the row after a finished episode only resets; ``valid`` is false there.

    Observations lie session by session in memory, ``[S, T + 1, N, ...]``, so that what is learned from, all rows of a
    session in one axis, is a view of them and no copy. A frame that several stacks share is stored in each: 58 MB for
    128 steps of 16 sub-envs, where frames kept once would save three quarters of that and cost the view.
    """

    save = True

    def __init__(
        self,
        num_steps: int,
        num_sessions: int,
        num_envs: int,
        obs_space: gs.Space[Any],
        action_space: gs.Space[Any],
        extras: dict[str, tuple[int, ...]] | None = None,
        *,
        num_kept: int = 0,
    ) -> None:
        """Make room for a rollout of `num_steps`.

        Args:
            num_steps: vector steps between two updates.
            num_sessions: S.
            num_envs: N.
            obs_space: of one sub-env.
            action_space: of one sub-env.
            extras: names and shapes, in a row, of what `act` gives to be stored.
            num_kept: steps before those of the rollout that are kept in front of them, T of them in all. At first
                nothing came before: those rows are not valid.
        """
        self.num_steps = num_steps
        self.num_rows = num_kept + num_steps
        self.position = num_kept
        layout = _layout(self.num_rows, num_sessions, num_envs, obs_space, action_space)
        self.arrays: dict[str, np.ndarray] = {name: np.zeros(shape, dtype) for name, (shape, dtype) in layout.items()}
        self.arrays["obs"] = self.arrays["obs"].swapaxes(0, 1)
        self.arrays["valid"][num_kept:] = True
        for name, shape in (extras or {}).items():
            self.arrays[name] = np.zeros((self.num_rows, num_sessions, num_envs, *shape), np.float32)

    @staticmethod
    def num_bytes(
        num_steps: int,
        num_sessions: int,
        num_envs: int,
        obs_space: gs.Space[Any],
        action_space: gs.Space[Any],
    ) -> int:
        """Memory that such a buffer takes."""
        layout = _layout(num_steps, num_sessions, num_envs, obs_space, action_space)
        return sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in layout.values())

    def add(
        self,
        obs: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        terminated: np.ndarray,
        truncated: np.ndarray,
        next_obs: np.ndarray,
        extras: Tensors,
    ) -> None:
        """Store one vector step; after `num_steps` of them the buffer is full, and the next begins a new rollout."""
        self._begin_rollout()
        arrays, t = self.arrays, self.position
        arrays["obs"][t] = obs
        arrays["action"][t] = action
        arrays["reward"][t] = reward
        arrays["terminated"][t] = terminated
        arrays["truncated"][t] = truncated
        for name, values in extras.items():
            arrays[name][t] = values
        np.logical_or(terminated, truncated, out=arrays["valid"][t + 1])
        np.logical_not(arrays["valid"][t + 1], out=arrays["valid"][t + 1])
        self.position = t + 1
        if self.position == self.num_rows:
            arrays["obs"][self.num_rows] = next_obs

    def extend(self, steps: Steps) -> None:
        """Store vector steps that belong to one rollout."""
        self._begin_rollout()
        start, end = self.position, self.position + len(steps.action)
        self.arrays["obs"][start : end + 1] = steps.obs
        for name in ("action", "reward", "terminated", "truncated"):
            self.arrays[name][start:end] = getattr(steps, name)
        self.arrays["valid"][start + 1 : end + 1] = ~(steps.terminated | steps.truncated)
        self.position = end

    def _begin_rollout(self) -> None:
        """If the buffer is full, the next rollout begins, behind what is kept of this one."""
        if self.position == self.num_rows:
            self.position -= self.num_steps
            for array in self.arrays.values():  # whether the next row is valid is always kept
                array[: len(array) - self.num_steps] = array[self.num_steps :]

    def restart(self) -> None:
        """The envs were reset behind our back: what was stored so far has no successor, so nothing learns from it."""
        self.arrays["valid"][: self.position] = False
        self.arrays["valid"][self.position] = True

    def tensors(self, device: str) -> Tensors:
        """The full rollout on `device`: ``obs [T + 1, S, N, ...]``, everything else ``[T, S, N, ...]``."""
        assert self.position == self.num_rows, "the rollout is not full"
        rollout = {name: torch.from_numpy(array).to(device) for name, array in self.arrays.items()}
        rollout["valid"] = rollout["valid"][:-1]
        return rollout

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position, "arrays": self.arrays}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]
        for name, array in self.arrays.items():
            array[...] = state["arrays"][name]


def _layout(
    num_steps: int, num_sessions: int, num_envs: int, obs_space: gs.Space[Any], action_space: gs.Space[Any]
) -> dict[str, tuple[tuple[int, ...], type]]:
    """Shape and type of each array in memory."""
    rows = (num_steps, num_sessions, num_envs)
    assert obs_space.shape is not None
    assert action_space.shape is not None
    discrete = np.issubdtype(action_space.dtype, np.integer)
    return {
        "obs": (
            (num_sessions, num_steps + 1, num_envs, *obs_space.shape),
            np.uint8 if obs_space.dtype == np.uint8 else np.float32,
        ),
        "action": ((*rows, *action_space.shape), np.int64 if discrete else np.float32),
        "reward": (rows, np.float32),
        "terminated": (rows, np.bool_),
        "truncated": (rows, np.bool_),
        "valid": ((num_steps + 1, *rows[1:]), np.bool_),
    }
