"""The last transitions of each session, for off-policy learning."""

import math
from typing import Any

import gymnasium.spaces as gs
import numpy as np
import torch

from rllab.buffers import Steps, Tensors
from rllab.functional.returns import n_step_return
from rllab.random.streams import Streams


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
        self.flat = {name: x.reshape(-1, *x.shape[3:]) for name, x in self.arrays.items()}  # views, row by row
        self.stride = num_sessions * num_envs  # rows from one step to the next
        self.size = 0  # steps stored
        self.position = 0  # of the next step
        # Transitions of each session, numbered as they came: the row of number i is rows[s, i % capacity], and the
        # steps up to t hold those below count[t]. Listed when they are first drawn from, many steps at once.
        self.rows = np.zeros((num_sessions, num_steps * num_envs), np.int64)
        self.count = np.zeros((num_steps + 1, num_sessions), np.int64)
        self.num_unlisted = 0  # steps

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
        listed = 8 * num_sessions * (num_steps * num_envs + num_steps + 1)
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
        arrays["obs"][t] = obs
        arrays["action"][t] = action
        arrays["reward"][t] = reward
        arrays["terminated"][t] = terminated
        np.logical_or(terminated, truncated, out=arrays["done"][t])
        self._advance()
        arrays["obs"][self.position] = next_obs

    def extend(self, steps: Steps) -> None:
        """Store vector steps, over the oldest ones if the buffer is full."""
        arrays, start, num = self.arrays, self.position, len(steps.action)
        room = self.num_steps + 1 - start  # rows until the ring begins anew
        if num > room:
            self.extend(steps.part(0, room))
            self.extend(steps.part(room, num))
            return
        done = steps.terminated | steps.truncated
        for name in ("action", "reward", "terminated"):
            arrays[name][start : start + num] = getattr(steps, name)
        arrays["obs"][start : start + num] = steps.obs[:-1]
        arrays["done"][start : start + num] = done
        arrays["valid"][start + 1 : start + num] = ~done[:-1]
        self.position = (start + num) % (self.num_steps + 1)
        self.size = min(self.size + num, self.num_steps)
        self.num_unlisted = min(self.num_unlisted + num, self.num_steps)
        np.logical_not(done[-1], out=arrays["valid"][self.position])
        arrays["obs"][self.position] = steps.obs[-1]

    def _advance(self) -> None:
        """Move the write position to the next row: it is a transition unless an episode has just ended there."""
        done = self.arrays["done"][self.position]
        self.position = (self.position + 1) % (self.num_steps + 1)
        self.size = min(self.size + 1, self.num_steps)
        self.num_unlisted = min(self.num_unlisted + 1, self.num_steps)
        np.logical_not(done, out=self.arrays["valid"][self.position])

    def restart(self) -> None:
        """The envs were reset behind our back: the newest step is cut there, and keeps its true successor."""
        if self.size == 0:
            return
        self.arrays["done"][self.position - 1] = True
        self.arrays["valid"][self.position] = False  # a reset row that nothing draws
        self.arrays["done"][self.position] = False
        self._advance()

    def _newest(self, num: int) -> np.ndarray:
        """Positions of the newest `num` steps, oldest first."""
        return (self.position - num + np.arange(num)) % (self.num_steps + 1)

    def newest(self, num_steps: int) -> Tensors:
        """Observations of the newest steps, or of as many as there are, and which are valid: ``[T, S, N, ...]``."""
        steps = self._newest(min(num_steps, self.size))
        return {name: torch.from_numpy(self.arrays[name][steps]).to(self.device) for name in ("obs", "valid")}

    def _list(self) -> None:
        """Number the transitions of the steps that came since the last time."""
        steps = self._newest(self.num_unlisted)
        self.num_unlisted = 0
        valid = self.arrays["valid"][steps]  # [T, S, N]
        before = self.count[steps[0] - 1]
        self.count[steps] = before + valid.sum(2).cumsum(0)
        step, session, env = valid.nonzero()
        by_session = valid.swapaxes(0, 1).reshape(self.num_sessions, -1)
        number = before[session] + by_session.cumsum(1)[session, step * self.num_envs + env] - 1
        self.rows[session, number % self.rows.shape[1]] = steps[step] * self.stride + session * self.num_envs + env

    def _numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of each session's stored transitions, ``[S]`` each: the first one, and the one after the last."""
        if self.num_unlisted:
            self._list()
        return self.count[self.position - self.size - 1], self.count[self.position - 1]

    def sample(self, batch_size: int, streams: Streams, *, gamma: float, n_step: int = 1) -> Tensors:
        """A batch ``[S, B, ...]``, each session's drawn uniformly and by its own generator, with replacement.

        ``reward`` is the sum of up to `n_step` discounted rewards, ``next_obs`` what follows the last of them and
        ``discount`` what its value counts: ``gamma`` to the number of rewards, 0 where the episode terminated. A
        truncated episode ends the sum early and keeps its value, and so does the newest step.
        """
        return self.gather(self.draw(batch_size, streams), gamma=gamma, n_step=n_step)

    def draw(self, batch_size: int, streams: Streams) -> np.ndarray:
        """Rows of random transitions, ``[S, B]``."""
        first, end = self._numbers()
        number = streams.integers((end - first).tolist(), batch_size).numpy() + first[:, np.newaxis]
        num_sessions, capacity = self.rows.shape
        return self.rows.take(number % capacity + capacity * np.arange(num_sessions)[:, np.newaxis])  # type: ignore[no-any-return]

    def gather(self, rows: np.ndarray, *, gamma: float, n_step: int = 1) -> Tensors:
        """The batch that begins at these rows ``[S, B]``; see `sample`."""
        flat, end = self.flat, self.stride * (self.num_steps + 1)
        reward, last = flat["reward"].take(rows), rows
        discount: float | np.ndarray = gamma
        if n_step > 1:
            window = (rows + self.stride * np.arange(n_step).reshape(-1, 1, 1)) % end  # [n, S, B]
            newest = (self.position - 1) % (self.num_steps + 1)
            ends = flat["done"].take(window) | (window // self.stride == newest)
            reward, num_rewards = n_step_return(flat["reward"].take(window), ends, gamma=gamma)
            last = (rows + self.stride * (num_rewards - 1)) % end
            discount = gamma**num_rewards
        batch = {
            "obs": flat["obs"].take(rows, axis=0),
            "action": flat["action"].take(rows, axis=0),
            "reward": reward,
            "next_obs": flat["obs"].take((last + self.stride) % end, axis=0),
            "discount": np.float32(discount) * ~flat["terminated"].take(last),
        }
        return {name: torch.from_numpy(x).to(self.device) for name, x in batch.items()}

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
        self.num_unlisted = self.size


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
