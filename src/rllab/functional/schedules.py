"""Coefficients that may change with training: a number, or a text that says how.

- ``linear:START:END``, ``cosine:START:END``, ``exponential:START:END``: from one to the other over the budget, along a
  straight line, half a cosine, or by the same factor in each frame; with ``:FRACTION`` behind it over that part of it.
- ``piecewise:A:FRAME:B:FRAME:C``: A up to a frame, then B, and so on.
- ``warmup:FRAME:...``: up from 0 in a straight line, then any of the others over the rest of the budget.

A FRAME of at most 1 is a fraction of the budget.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Coefficient = float | str
else:  # OmegaConf refuses an int where a union holds only float
    Coefficient = int | float | str

Schedule = Callable[[float], float]
"""Maps progress (fraction of the frame budget, 0 to 1) to the coefficient's value."""

_EXAMPLES = "linear:1e-3:0, cosine:1e-3:0, piecewise:1e-3:5e4:1e-4 or warmup:1e4:linear:1e-3:0"
_CURVES: dict[str, Callable[[float, float, float], float]] = {
    "linear": lambda start, end, x: (1.0 - x) * start + x * end,
    "cosine": lambda start, end, x: end + (start - end) * (1.0 + math.cos(math.pi * x)) / 2.0 if x < 1.0 else end,
    "exponential": lambda start, end, x: start * (end / start) ** x if x < 1.0 else end,
}
"""From START to END as x goes from 0 to 1, both exactly."""


def is_due(period: int, since: int, frame: int) -> bool:
    """Whether a period of frames was completed after frame `since`, up to `frame`."""
    return frame // period > since // period


def make_schedule(value: Coefficient) -> Schedule:
    """Schedule of a coefficient, see the module; what counts frames there has been through `by_fractions`.

    The ends are reached exactly, at progress 1 or at FRACTION of it, and kept. A line may rise, end at 0, or cross it.

    Raises:
        ValueError: the text is not of that form.
    """
    return _read(value)[0]


def check_coefficient(field: str, value: Coefficient, *, low: float, high: float) -> None:
    """Raise the one-line ``ValueError`` if a coefficient ever leaves ``[low, high]``."""
    try:
        _, values = _read(value)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None
    if not all(low <= number <= high for number in values):
        wanted = f"of at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise ValueError(f"{field}: got {value!r}; write a number {wanted}, or a schedule within that")


def by_fractions(config: Any, max_frame: int) -> Any:
    """The same dataclass with frames in its schedules as fractions of the budget, and without pieces after its end.

    Raises:
        ValueError: a warm-up is longer than the budget.
    """
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    texts = {name: x for name, x in fields.items() if isinstance(x, str) and x.startswith(("piecewise:", "warmup:"))}
    changed = {name: _by_fractions(f"agent.{name}", text, max_frame) for name, text in texts.items()}
    return dataclasses.replace(config, **changed) if changed else config


def _by_fractions(field: str, text: str, max_frame: int) -> str:
    kind, *words = text.split(":")
    if kind == "warmup":
        length = _fraction(words[0], max_frame)
        if length >= 1:
            raise ValueError(f"{field}: got {text!r}, whose warm-up ends after env.max_frame={max_frame}; write less")
        rest = ":".join(words[1:])
        return f"warmup:{length!r}:{_by_fractions(field, rest, max_frame) if rest.startswith('piecewise:') else rest}"
    if kind == "piecewise":
        pieces = [(_fraction(at, max_frame), value) for at, value in zip(words[1::2], words[2::2], strict=True)]
        return ":".join([kind, words[0], *(f"{at!r}:{value}" for at, value in pieces if at <= 1)])
    return text


def _fraction(frame: str, max_frame: int) -> float:
    return float(frame) if float(frame) <= 1 else float(frame) / max_frame


def _read(value: Coefficient) -> tuple[Schedule, list[float]]:
    """The schedule, and values between which all others lie."""
    if not isinstance(value, str):
        constant = float(value)
        return lambda _progress: constant, [constant]
    try:
        schedule, values = _parse(value.split(":"))
        if all(map(math.isfinite, values)):
            return schedule, values
    except (ValueError, IndexError):
        pass
    raise ValueError(f"got {value!r}; write a number or a schedule, e.g. {_EXAMPLES}")


def _parse(words: list[str]) -> tuple[Schedule, list[float]]:
    kind, numbers = words[0], words[1:]
    if kind == "warmup":
        if numbers[1] == "warmup":
            raise ValueError
        return _warmup(_positive(numbers[0]), *_parse(numbers[1:]))
    if kind == "piecewise":
        return _piecewise([float(x) for x in numbers[::2]], [_positive(x) for x in numbers[1::2]])
    start, end, fraction = (float(x) for x in [*numbers, "1"][:3])
    if len(numbers) > 3 or not 0 < fraction <= 1 or (kind == "exponential" and not start * end > 0):
        raise ValueError
    curve = _CURVES.get(kind)
    if curve is None:
        raise ValueError
    return lambda progress: curve(start, end, min(max(progress / fraction, 0.0), 1.0)), [start, end]


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise ValueError
    return number


def _piecewise(values: list[float], ends: list[float]) -> tuple[Schedule, list[float]]:
    """Each value up to its end, the last one from there on."""
    if not ends or len(values) != len(ends) + 1 or ends != sorted(set(ends)):
        raise ValueError
    return lambda progress: values[sum(progress >= end for end in ends)], values


def _warmup(length: float, rest: Schedule, values: list[float]) -> tuple[Schedule, list[float]]:
    def schedule(progress: float) -> float:
        if progress < length:
            return rest(0.0) * progress / length
        return rest((progress - length) / (1.0 - length) if length < 1 else 1.0)

    return schedule, [0.0, *values]
