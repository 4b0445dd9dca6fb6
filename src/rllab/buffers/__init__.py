"""Storage of transitions, preallocated."""

from typing import Any, Protocol

import numpy as np
from torch import Tensor

Tensors = dict[str, Tensor]
"""Rollout ``[T, S, N, ...]``; minibatch ``[S, B, ...]``."""


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

    def extend(
        self,
        obs: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        terminated: np.ndarray,
        truncated: np.ndarray,
    ) -> None:
        """Store many vector steps, without extras: obs are ``[steps + 1, S, N, ...]``, the others ``[steps, ...]``."""

    def restart(self) -> None:
        """The envs were reset behind our back: the next row does not follow from the last."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...
