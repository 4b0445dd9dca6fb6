"""What agents without a network for images or for infinite actions ask of spaces."""

from typing import Any

import gymnasium.spaces as gs
import numpy as np
from torch import Tensor

from rllab.errors import UnfitError
from rllab.random.streams import Streams


def check_bounded_box(space: gs.Space[Any]) -> None:
    """Raise `UnfitError` for actions that are not scaled to [-1, 1]: such an agent squashes its own."""
    if not (isinstance(space, gs.Box) and space.is_bounded("both")):
        raise UnfitError("needs actions with two usable bounds")


def check_vector_obs(space: gs.Space[Any]) -> None:
    """Raise `UnfitError` for images."""
    if has_pixels(space):
        raise UnfitError(f"has no network for images {space.shape}")


def has_pixels(space: gs.Space[Any]) -> bool:
    """Whether observations look like images or stacks of them: bytes with a height and a width, or three axes."""
    num_axes = len(space.shape or ())
    return num_axes > 2 or (num_axes == 2 and space.dtype == np.uint8)


def shape_of(space: gs.Space[Any]) -> tuple[int, ...]:
    """Shape of observations as agents see them, which all have one."""
    assert space.shape is not None
    return space.shape


def uniform_actions(streams: Streams, num_envs: int, num_actions: int) -> Tensor:
    """Uniform actions in [-1, 1], ``[S, N, num_actions]``."""
    return 2.0 * streams.uniform(1, num_envs, num_actions)[0] - 1.0
