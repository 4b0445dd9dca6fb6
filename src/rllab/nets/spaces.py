"""What networks, and agents of bounded actions alone, ask of spaces."""

import math
from typing import Any

import gymnasium.spaces as gs
import numpy as np

from rllab.errors import UnfitError


def check_bounded_box(space: gs.Space[Any]) -> None:
    """Raise `UnfitError` for actions that are not scaled to [-1, 1]: such an agent squashes its own."""
    if not (isinstance(space, gs.Box) and space.is_bounded("both")):
        raise UnfitError("needs actions with two usable bounds")


def has_pixels(space: gs.Space[Any]) -> bool:
    """Whether observations look like images or stacks of them: bytes with a height and a width, or three axes."""
    num_axes = len(space.shape or ())
    return num_axes > 2 or (num_axes == 2 and space.dtype == np.uint8)


def shape_of(space: gs.Space[Any]) -> tuple[int, ...]:
    """Shape of observations as agents see them, which all have one."""
    assert space.shape is not None
    return space.shape


def size_of(space: gs.Space[Any]) -> int:
    """Numbers in an observation."""
    return math.prod(shape_of(space))
