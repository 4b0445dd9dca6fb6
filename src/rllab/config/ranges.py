"""Ranges that fields of several sections keep: frames, seconds, threads, counts."""

from __future__ import annotations

import math
from typing import Any

from rllab.errors import require

_MOST_THREADS = 1024
_LONG = 1e8
"""Three years in seconds: the system cannot wait for much more."""


class FrameCount:
    """The default of a field that counts frames, and what makes an int of a number such as 1e6 when the field is set.

    A frozen dataclass sets its fields once, in its constructor: "Descriptor-typed fields" in Python's documentation of
    dataclasses.
    """

    def __init__(self, field: str, default: int | None) -> None:
        """`field` is its full name."""
        self.field, self.default = field, default
        self.name = field.rpartition(".")[2]

    def __get__(self, config: object | None, owner: type) -> int | None:
        return self.default if config is None else vars(config)[self.name]

    def __set__(self, config: object, value: float | None) -> None:
        if value is not None:
            whole = math.isfinite(value) and value == int(value) and value >= 1
            write = f"a whole number of frames of at least 1, e.g. {self.field}=1e4"
            require(whole, self.field, value, write=write)
            value = int(value)
        vars(config)[self.name] = value


def frames(field: str, default: int | None) -> Any:
    """`FrameCount`, which to mypy is the value that the field has."""
    return FrameCount(field, default)


def at_least(low: int, field: str, got: int | None, write: str) -> None:
    """Refuse a number below `low`; null is none."""
    require(got is None or got >= low, field, got, write=write)


def seconds(field: str, got: float) -> None:
    """Refuse what the system cannot wait for."""
    require(0 < got < _LONG, field, got, write=f"a number of seconds above 0, e.g. {field}=300")


def threads(field: str, got: int | None, kind: str) -> None:
    """Refuse no threads, and more than any machine has cores: the system would kill what starts them."""
    known = got is None or 1 <= got <= _MOST_THREADS
    require(known, field, got, write=f"{kind} from 1 to {_MOST_THREADS}, e.g. {field}=2")
