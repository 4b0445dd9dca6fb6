"""The last transitions of each session, for off-policy learning."""

import math
from typing import Any

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor

from rllab.buffers import Tensors
from rllab.buffers.memory import available_memory, gibibytes
from rllab.functional.returns import n_step_return
from rllab.functional.streams import Streams

SAVED_BELOW = 2 * 2**30
"""Bytes up to which a buffer is part of the checkpoint, unless `save_buffer` says otherwise."""


class ReplayBuffer:
    """A ring of `num_steps` vector steps in host memory, ``[num_steps + 1, S, N, ...]``.

    Each observation is stored once: the successor of a row is the next row of the same sub-env. The row at the write
    position holds the successors of the newest step and is no transition yet, hence one row more than steps. Bytes
    stay bytes, everything else is float32.

    Under NEXT_STEP autoreset the row after a finished episode only resets. It keeps the episode's last observation,
    and is never drawn: `rows` lists the transitions of each session, oldest first, and each is equally likely.

    Frames that several stacks share are stored in each of them: to keep them once, one would have to know how the env
    fills the stack when an episode begins, and envs differ.
    """

    def __init__(
        self,
        num_steps: int,
        num_sessions: int,
        num_envs: int,
        obs_space: gs.Space[Any],
        action_space: gs.Space[Any],
        *,
        device: str = "cpu",
        save: bool = True,
    ) -> None:
        """`save`: whether the transitions are part of `state_dict`; if not, a resumed buffer fills anew."""
        self.num_steps, self.num_sessions, self.num_envs = num_steps, num_sessions, num_envs
        self.device = device
        self.save = save
        layout = _layout(num_steps, num_sessions, num_envs, obs_space, action_space)
        self.arrays: dict[str, np.ndarray] = {name: np.zeros(*shape_dtype) for name, shape_dtype in layout.items()}
        self.arrays["valid"][0] = True
        rows = {name: torch.from_numpy(array) for name, array in self.arrays.items()}
        self.flat = {name: x.flatten(0, 2) for name, x in rows.items()}  # views: row = (step * S + session) * N + env
        self.stride = num_sessions * num_envs  # rows from one step to the next
        self.rows = np.zeros((num_sessions, num_steps * num_envs), np.int64)  # a ring as well, for each session
        self.oldest = np.zeros(num_sessions, np.int64)
        self.num_rows = np.zeros(num_sessions, np.int64)  # transitions to draw from
        self.size = 0  # steps stored
        self.position = 0  # of the next step

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
        listed = 8 * num_steps * num_sessions * num_envs
        return listed + sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in layout.values())

    @property
    def num_frames(self) -> int:
        """Frames of each session that are stored."""
        return self.size * self.num_envs

    def add(
        self,
        obs: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        terminated: np.ndarray,
        truncated: np.ndarray,
        next_obs: np.ndarray,
        extras: Tensors,  # noqa: ARG002 - nothing else is learned from
    ) -> None:
        """Store one vector step, over the oldest one if the buffer is full."""
        arrays, t = self.arrays, self.position
        if self.size == self.num_steps:
            self._forget_oldest()
        arrays["obs"][t] = obs
        arrays["action"][t] = action
        arrays["reward"][t] = reward
        arrays["terminated"][t] = terminated
        np.logical_or(terminated, truncated, out=arrays["done"][t])
        self.size += 1
        self._list(np.array([t]))
        self._advance()
        arrays["obs"][self.position] = next_obs

    def _advance(self) -> None:
        """To the next row; whether it will be a transition is known already."""
        done = self.arrays["done"][self.position]
        self.position = (self.position + 1) % (self.num_steps + 1)
        np.logical_not(done, out=self.arrays["valid"][self.position])

    def _forget_oldest(self) -> None:
        valid = self.arrays["valid"][(self.position - self.size) % (self.num_steps + 1)]
        count = valid.sum(1)
        self.oldest = (self.oldest + count) % self.rows.shape[1]
        self.num_rows -= count
        self.size -= 1

    def _list(self, steps: np.ndarray) -> None:
        """Append the transitions of these steps to each session's list."""
        by_session = self.arrays["valid"][steps].swapaxes(0, 1).reshape(self.num_sessions, -1)
        rank = by_session.cumsum(1)
        session, i = by_session.nonzero()
        place = (self.oldest + self.num_rows - 1)[session] + rank[session, i]
        step, env = i // self.num_envs, i % self.num_envs
        self.rows[session, place % self.rows.shape[1]] = steps[step] * self.stride + session * self.num_envs + env
        self.num_rows += rank[:, -1]

    def restart(self) -> None:
        """The envs were reset behind our back: the newest step is cut there, and keeps its true successor."""
        if self.size == 0:
            return
        self.arrays["done"][self.position - 1] = True
        if self.size == self.num_steps:
            self._forget_oldest()
        self.arrays["valid"][self.position] = False  # a reset row that nothing draws
        self.arrays["done"][self.position] = False
        self.size += 1
        self._advance()

    def sample(self, batch_size: int, streams: Streams, *, gamma: float, n_step: int = 1) -> Tensors:
        """A batch ``[S, B, ...]``, each session's drawn uniformly and by its own generator, with replacement.

        ``reward`` is the sum of up to `n_step` discounted rewards, ``next_obs`` what follows the last of them and
        ``discount`` what its value counts: ``gamma`` to the number of rewards, 0 where the episode terminated. A
        truncated episode ends the sum early and keeps its value, and so does the newest step.
        """
        return self.gather(self.draw(batch_size, streams), gamma=gamma, n_step=n_step)

    def draw(self, batch_size: int, streams: Streams) -> Tensor:
        """Rows of random transitions, ``[S, B]``."""
        place = streams.integers(self.num_rows.tolist(), batch_size).numpy() + self.oldest[:, np.newaxis]
        rows = np.take_along_axis(self.rows, place % self.rows.shape[1], axis=1)
        return torch.from_numpy(rows)

    def gather(self, rows: Tensor, *, gamma: float, n_step: int = 1) -> Tensors:
        """The batch that begins at these rows ``[S, B]``; see `sample`."""
        flat, end = self.flat, self.stride * (self.num_steps + 1)
        if n_step == 1:
            reward, last, discount = flat["reward"][rows], rows, gamma
        else:
            window = (rows + self.stride * torch.arange(n_step).view(-1, 1, 1)) % end  # [n, S, B]
            newest = (self.position - 1) % (self.num_steps + 1)
            ends = flat["done"][window] | (window // self.stride == newest)
            reward, num_rewards = n_step_return(flat["reward"][window], ends, gamma=gamma)
            last = (rows + self.stride * (num_rewards - 1)) % end
            discount = gamma**num_rewards
        batch = {
            "obs": take(flat["obs"], rows),
            "action": flat["action"][rows],
            "reward": reward,
            "next_obs": take(flat["obs"], (last + self.stride) % end),
            "discount": discount * (~flat["terminated"][last]).float(),
        }
        return batch if self.device == "cpu" else {name: x.to(self.device) for name, x in batch.items()}

    def state_dict(self) -> dict[str, Any]:
        """What is filled; without `save`, only whether the next row resets."""
        if not self.save:
            return {"position": 0, "size": 0, "arrays": {"valid": self.arrays["valid"][self.position][np.newaxis]}}
        arrays = {name: array[: self.size + 1] for name, array in self.arrays.items()}
        return {"position": self.position, "size": self.size, "arrays": arrays}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position, self.size = state["position"], state["size"]
        for name, saved in state["arrays"].items():
            self.arrays[name][: len(saved)] = saved
        self.oldest[:], self.num_rows[:] = 0, 0
        if self.size:
            self._list((self.position - self.size + np.arange(self.size)) % (self.num_steps + 1))


def take(x: Tensor, rows: Tensor) -> Tensor:
    """``x[rows]`` for `rows` of any shape; much faster on images."""
    return x.index_select(0, rows.flatten()).view(*rows.shape, *x.shape[1:])


def is_saved(save_buffer: bool | None, num_bytes: int) -> bool:
    """Whether a buffer of this size is part of the checkpoint: as `save_buffer` says; null: below 2 GiB."""
    return num_bytes < SAVED_BELOW if save_buffer is None else save_buffer


def check_replay(
    buffer_size: int,
    learning_starts: int,
    obs_space: gs.Space[Any],
    action_space: gs.Space[Any],
    *,
    num_sessions: int,
    num_envs: int,
) -> None:
    """Raise a one-line ``ValueError`` if such a buffer cannot be learned from, or does not fit into memory."""
    num_steps = buffer_size // num_envs
    if num_steps < 2 or num_steps * num_envs < learning_starts:
        least = max(2 * num_envs, math.ceil(learning_starts / num_envs) * num_envs)
        raise ValueError(
            f"agent.buffer_size: got {buffer_size}, too small for env.num_envs={num_envs} and "
            f"agent.learning_starts={learning_starts}; write at least {least}"
        )
    needed = ReplayBuffer.num_bytes(num_steps, num_sessions, num_envs, obs_space, action_space)
    available = available_memory()
    if available is not None and needed > available:
        raise ValueError(
            f"agent.buffer_size: got {buffer_size}, which needs {gibibytes(needed)} of memory with "
            f"meta.max_session={num_sessions}, {gibibytes(available)} are there; "
            f"write at most {int(0.8 * buffer_size * available / needed)}"
        )


def _layout(
    num_steps: int, num_sessions: int, num_envs: int, obs_space: gs.Space[Any], action_space: gs.Space[Any]
) -> dict[str, tuple[tuple[int, ...], type]]:
    """Shape and type of each array in memory."""
    rows = (num_steps + 1, num_sessions, num_envs)
    assert obs_space.shape is not None
    assert action_space.shape is not None
    discrete = np.issubdtype(action_space.dtype, np.integer)
    return {
        "obs": ((*rows, *obs_space.shape), np.uint8 if obs_space.dtype == np.uint8 else np.float32),
        "action": ((*rows, *action_space.shape), np.int64 if discrete else np.float32),
        "reward": (rows, np.float32),
        "terminated": (rows, np.bool_),
        "done": (rows, np.bool_),
        "valid": (rows, np.bool_),
    }
