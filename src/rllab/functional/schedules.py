"""Coefficients that may change with training: a number, ``linear:START:END`` or ``linear:START:END:FRACTION``."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Coefficient = float | str
else:  # OmegaConf refuses an int where a union holds only float
    Coefficient = int | float | str

Schedule = Callable[[float], float]
"""Maps progress (fraction of the frame budget, 0 to 1) to the coefficient's value."""


def is_due(period: int, since: int, frame: int) -> bool:
    """Whether a period of frames was completed after frame `since`, up to `frame`."""
    return frame // period > since // period


def make_schedule(value: Coefficient) -> Schedule:
    """Schedule of a coefficient: constant for a number, straight line for ``linear:START:END``.

    The line reaches END exactly at progress 1, or at FRACTION of it if that is given, and stays there; it may end at
    0, rise, or cross zero.

    Raises:
        ValueError: the text is not of that form.
    """
    if not isinstance(value, str):
        constant = float(value)
        return lambda _progress: constant
    kind, *ends = value.split(":")
    try:
        start, end, fraction = (float(x) for x in [*ends, "1"][:3])
    except ValueError:
        kind = ""
    if kind != "linear" or len(ends) > 3 or not 0 < fraction <= 1:
        raise ValueError(f"got {value!r}; write a number or linear:START:END, e.g. linear:1e-3:0")

    def linear(progress: float) -> float:
        progress = min(max(progress / fraction, 0.0), 1.0)
        return (1.0 - progress) * start + progress * end

    return linear


def check_coefficient(field: str, value: Coefficient, *, low: float, high: float) -> None:
    """Raise the one-line ``ValueError`` if a coefficient ever leaves ``[low, high]``; both ends are checked."""
    try:
        schedule = make_schedule(value)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None
    for progress in (0.0, 1.0):
        if not low <= schedule(progress) <= high:
            wanted = f"of at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
            raise ValueError(f"{field}: got {value!r}; write a number {wanted}, or linear:START:END within that")
