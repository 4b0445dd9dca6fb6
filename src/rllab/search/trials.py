"""What a search knows of its trials, apart from how Optuna stores them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["waiting", "running", "complete", "pruned", "failed"]


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
