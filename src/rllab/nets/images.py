"""Which observations are images, and how their axes are read: frames K, channels C, height H and width W."""

from typing import Any

import gymnasium.spaces as gs
import numpy as np

AXES = ("HW", "CHW", "HWC", "KCHW", "KHWC")
"""What the axes of an image may be."""
SMALLEST = 7
"""Height and width from which bytes with two axes are a grey image, and no table."""


def is_image(space: gs.Space[Any]) -> bool:
    """Whether observations are images: bytes, or real numbers in [0, 1], with three axes, or four for a stack of them.

    Bytes with two axes of at least `SMALLEST` are one too, a grey one.
    """
    if not isinstance(space, gs.Box):
        return False
    if len(space.shape) == 2:
        return space.dtype == np.uint8 and min(space.shape) >= SMALLEST
    in_bounds = space.dtype.kind == "f" and space.low.min() >= 0 and space.high.max() <= 1
    return len(space.shape) in (3, 4) and bool(space.dtype == np.uint8 or in_bounds)


def axes_of(shape: tuple[int, ...]) -> str:
    """The axes of an image of this shape: those of the channels are the shorter end, that of frames is the first.

    Empty where both ends are equally long, and where it cannot be one.
    """
    if len(shape) == 2:
        return "HW"
    if len(shape) not in (3, 4) or shape[-1] == shape[-3]:
        return ""
    return ("K" if len(shape) == 4 else "") + ("HWC" if shape[-1] < shape[-3] else "CHW")


def size_of_image(shape: tuple[int, ...], axes: str) -> tuple[int, int, int]:
    """Channels, those of all frames together, height and width."""
    length = dict(zip(axes, shape, strict=True))
    return length.get("K", 1) * length.get("C", 1), length["H"], length["W"]


def reading(axes: str) -> str:
    """How such axes are read, in words."""
    order = {"CHW": "channels first", "HWC": "channels last"}.get(axes[-3:], "grey")
    return f"frames first, then {order}" if axes.startswith("K") else order
