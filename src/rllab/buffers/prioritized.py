"""Prioritized experience replay (Schaul et al. 2016)."""

from typing import Any

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor

from rllab.buffers.replay import ReplayBuffer
from rllab.random.streams import Streams


class PrioritizedReplayBuffer(ReplayBuffer):
    """A replay buffer that draws a transition in proportion to ``priority = (|TD error| + eps) ** alpha``.

    A new transition takes the highest priority that its session has seen, so that each is drawn soon. Reset rows and
    rows that were overwritten have priority 0.
    """

    def __init__(
        self,
        num_steps: int,
        num_sessions: int,
        num_envs: int,
        obs_space: gs.Space[Any],
        action_space: gs.Space[Any],
        *,
        alpha: float,
        eps: float = 1e-6,
        device: str = "cpu",
        save: bool = True,
    ) -> None:
        super().__init__(num_steps, num_sessions, num_envs, obs_space, action_space, device=device, save=save)
        self.alpha, self.eps = alpha, eps
        self.tree = SumTree(num_sessions, (num_steps + 1) * num_envs)  # leaf = step * N + env
        self.highest = np.ones(num_sessions)

    @staticmethod
    def num_bytes(
        num_steps: int,
        num_sessions: int,
        num_envs: int,
        obs_space: gs.Space[Any],
        action_space: gs.Space[Any],
    ) -> int:
        rows = ReplayBuffer.num_bytes(num_steps, num_sessions, num_envs, obs_space, action_space)
        return rows + 16 * num_sessions * tree_width((num_steps + 1) * num_envs)

    def _list(self) -> None:
        """Give new transitions the highest priority, and the row that is being overwritten none."""
        steps = self._newest(self.num_unlisted)
        super()._list()
        valid = self.arrays["valid"][steps].swapaxes(0, 1).reshape(self.num_sessions, -1)
        self.tree.set(self._leaves(steps), valid * self.highest[:, np.newaxis])
        self.tree.set(self._leaves(np.array([self.position])), np.zeros((self.num_sessions, self.num_envs)))

    def _leaves(self, steps: np.ndarray) -> np.ndarray:
        """Leaves of all sub-envs at these steps, ``[S, len(steps) * N]``."""
        leaves = (steps[:, np.newaxis] * self.num_envs + np.arange(self.num_envs)).reshape(-1)
        return np.broadcast_to(leaves, (self.num_sessions, len(leaves)))

    def _leaf_of(self, rows: np.ndarray) -> np.ndarray:
        return rows // self.stride * self.num_envs + rows % self.num_envs  # type: ignore[no-any-return]

    def draw(self, batch_size: int, streams: Streams) -> np.ndarray:
        """Rows ``[S, B]``, one from each of B ranges of equal mass."""
        self._numbers()
        uniform = streams.uniform(1, batch_size)[0].numpy()
        fraction = (np.arange(batch_size) + uniform) / batch_size
        leaves = self.tree.find(fraction * self.tree.totals()[:, np.newaxis])
        step, env = leaves // self.num_envs, leaves % self.num_envs
        return step * self.stride + np.arange(self.num_sessions)[:, np.newaxis] * self.num_envs + env  # type: ignore[no-any-return]

    def weights(self, rows: np.ndarray, beta: float) -> Tensor:
        """Importance weights ``(number of transitions * probability) ** -beta``, ``[S, B]``, over the largest."""
        first, end = self._numbers()
        probability = self.tree.get(self._leaf_of(rows)) / self.tree.totals()[:, np.newaxis]
        weights = ((end - first)[:, np.newaxis] * probability) ** -beta
        return torch.from_numpy(weights / weights.max(1, keepdims=True)).float().to(self.device)

    def update_priorities(self, rows: np.ndarray, td_error: Tensor) -> None:
        """Set the priorities of drawn rows from their TD errors, ``[S, B]`` each."""
        priority = (td_error.abs().double().cpu().numpy() + self.eps) ** self.alpha
        self.tree.set(self._leaf_of(rows), priority)
        np.maximum(self.highest, priority.max(1), out=self.highest)

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict() | {"highest": self.highest}
        if self.save and self.size:
            self._numbers()  # what is not listed yet has no priority yet
            state["priority"] = self.tree.leaves()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.highest[:] = state["highest"]
        if "priority" in state:
            self._numbers()
            every = np.arange((self.num_steps + 1) * self.num_envs)
            self.tree.set(np.broadcast_to(every, (self.num_sessions, len(every))), state["priority"])


class SumTree:
    """S binary trees whose nodes hold the sum of their children: draws and changes cost log(size).

    Node 1 is the root, 2 i and 2 i + 1 are the children of node i, and the leaves come last. Changes of leaves reach
    the sums when these are next asked for, all together.
    """

    def __init__(self, num_sessions: int, size: int) -> None:
        self.size = size
        self.width = tree_width(size)
        self.nodes = np.zeros(num_sessions * 2 * self.width)  # float64; tree after tree
        self.trees = np.arange(num_sessions)[:, np.newaxis] * 2 * self.width
        self.changed: list[np.ndarray] = []

    def get(self, leaves: np.ndarray) -> np.ndarray:
        """Values of leaves ``[S, B]``."""
        return self.nodes[self.trees + self.width + leaves]  # type: ignore[no-any-return]

    def set(self, leaves: np.ndarray, values: np.ndarray) -> None:
        """Give leaves ``[S, B]`` new values."""
        self.nodes[self.trees + self.width + leaves] = values
        self.changed.append(leaves)

    def totals(self) -> np.ndarray:
        """Sum of all leaves, ``[S]``."""
        self._add_up()
        return self.nodes[self.trees[:, 0] + 1]

    def find(self, mass: np.ndarray) -> np.ndarray:
        """The leaf at which the running sum of a tree's leaves first exceeds `mass`, ``[S, B]``; never one of 0."""
        self._add_up()
        mass, node = mass.copy(), np.ones(mass.shape, np.int64)
        for _ in range(self.width.bit_length() - 1):
            node *= 2
            left, right = self.nodes[self.trees + node], self.nodes[self.trees + node + 1]
            go_right = (mass >= left) & (right > 0)  # rounding must not lead past the last leaf that has any
            mass -= left * go_right
            node += go_right
        return node - self.width

    def leaves(self) -> np.ndarray:
        """Values of all leaves, ``[S, size]``."""
        return self.nodes.reshape(len(self.trees), -1)[:, self.width : self.width + self.size]

    def _add_up(self) -> None:
        if not self.changed:
            return
        node = np.concatenate(self.changed, axis=1) + self.width
        self.changed = []
        for _ in range(self.width.bit_length() - 1):
            node //= 2
            child = self.trees + 2 * node
            self.nodes[self.trees + node] = self.nodes[child] + self.nodes[child + 1]


def tree_width(size: int) -> int:
    """Leaves of a full binary tree that holds `size`."""
    return 1 << (size - 1).bit_length()
