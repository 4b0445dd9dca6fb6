"""Actions in a bounded box. Envs rescale theirs, so that an agent acts in [-1, 1]."""

from typing import Any

import gymnasium.spaces as gs
import numpy as np
from torch import Tensor

from rllab.functional.streams import Streams


def is_bounded_box(space: gs.Space[Any]) -> bool:
    """Whether actions are one list of real numbers between bounds."""
    is_list = isinstance(space, gs.Box) and len(space.shape) == 1 and np.issubdtype(space.dtype, np.floating)
    return is_list and bool(np.isfinite(space.low).all() and np.isfinite(space.high).all())  # type: ignore[attr-defined]


def check_bounded_box(agent: str, space: gs.Space[Any]) -> None:
    """Raise the one-line ``ValueError`` where this agent cannot act."""
    if not is_bounded_box(space):
        raise ValueError(
            f"agent: got {agent!r}, which cannot act here: {space} is no bounded 1-D Box; write agent=ppo, or "
            "agent=sac if it is Discrete"
        )


def check_vector_obs(agent: str, space: gs.Space[Any]) -> None:
    """Raise the one-line ``ValueError`` where this agent would see images, for which it has no network."""
    if len(space.shape or ()) > 2:
        raise ValueError(f"agent: got {agent!r}, which has no network for images {space.shape}; write agent=ppo")


def uniform_actions(streams: Streams, num_envs: int, num_actions: int) -> Tensor:
    """Uniform actions in [-1, 1], ``[S, N, num_actions]``."""
    return 2.0 * streams.uniform(1, num_envs, num_actions)[0] - 1.0
