"""A trial of a search, apart from how Optuna stores it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["waiting", "running", "complete", "pruned", "failed"]
ENDED = ("complete", "pruned", "failed")
ENOUGH = 10
"""Complete trials that say something about a field by itself; of fewer, chance says more."""


@dataclass(frozen=True)
class TrialRow:
    """One trial as a person sees it. An attempt that was interrupted and the one that goes on are the same trial."""

    index: int
    """From 0; the name of the trial's directory."""
    state: State
    params: dict[str, Any]
    """What was sampled, by field: ``{"agent.lr": 0.001}``."""
    frame: int
    """Frames trained so far."""
    value: float
    """The score: the final one, or the latest report; nan before the first."""
    seconds: float
    """From its start to its end, or until now; 0 while it waits."""
    reason: str
    """Why it ended early; empty otherwise."""


def best_row(rows: list[TrialRow]) -> TrialRow | None:
    """The complete trial with the highest value; None without one."""
    return next(iter(ranked([row for row in rows if row.state == "complete"])), None)


def ranked(rows: list[TrialRow]) -> list[TrialRow]:
    """The highest value first; nan ranks last."""
    return sorted(rows, key=lambda row: -math.inf if math.isnan(row.value) else row.value, reverse=True)


def too_few(num_complete: int) -> str:
    """Why nothing is said about single fields; empty where enough trials are complete."""
    return f"that needs {ENOUGH} complete trials, and there are {num_complete}" if num_complete < ENOUGH else ""


def short_name(field: str) -> str:
    """A field as tables and plots call it; most of a search's fields are the agent's."""
    return field.removeprefix("agent.")
