"""What networks, and agents of bounded actions alone, ask of spaces."""

import math
from typing import Any

import gymnasium.spaces as gs

from rllab.errors import UnfitError


def check_bounded_box(space: gs.Space[Any]) -> None:
    """Raise `UnfitError` for actions that are not scaled to [-1, 1]: such an agent squashes its own."""
    if not (isinstance(space, gs.Box) and space.is_bounded("both")):
        raise UnfitError("needs actions with two usable bounds")


def shape_of(space: gs.Space[Any]) -> tuple[int, ...]:
    """Shape of observations as agents see them, which all have one."""
    assert space.shape is not None
    return space.shape


def size_of(space: gs.Space[Any]) -> int:
    """Numbers in an observation."""
    return math.prod(shape_of(space))
