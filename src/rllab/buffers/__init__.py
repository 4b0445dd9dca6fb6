"""Storage of transitions, preallocated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from torch import Tensor

if TYPE_CHECKING:
    import numpy as np

Tensors = dict[str, Tensor]
"""Rollout ``[T, S, N, ...]``; minibatch ``[S, B, ...]``."""


class Steps(NamedTuple):
    """Vector steps that were taken one after the other."""

    obs: np.ndarray
    """``[steps + 1, S, N, ...]``: what was acted on, and what followed the last step."""
    action: np.ndarray
    """``[steps, S, N, ...]``, as are the others."""
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray

    def part(self, start: int, end: int) -> Steps:
        """Those from `start` to before `end`."""
        return Steps(self.obs[start : end + 1], *(array[start:end] for array in self[1:]))


class Buffer(Protocol):
    """What the training loop asks of a buffer."""

    save: bool
    """Whether what is stored is part of `state_dict`; if not, a resumed run fills it anew."""

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
        """Store one vector step; arrays are ``[S, N, ...]``."""

    def extend(self, steps: Steps) -> None:
        """Store many vector steps, without extras."""

    def restart(self) -> None:
        """The envs were reset behind our back: the next row does not follow from the last."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...
