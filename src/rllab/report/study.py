"""What the page about a grid or a search says, while it is going on or later."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from rllab.analysis import shelf
from rllab.analysis.plots import common_grid
from rllab.analysis.runs import learning_curves, read_run
from rllab.analysis.statistics import mean
from rllab.report import plots
from rllab.report.run import link, provenance, text_of
from rllab.search.report import BEST

if TYPE_CHECKING:
    from pathlib import Path

    from rllab.analysis.runs import Curve
    from rllab.search.trials import State, TrialRow

STATES: tuple[State, ...] = ("complete", "pruned", "failed", "running", "waiting")


def study_facts(path: Path, folder: Path) -> dict[str, Any]:
    """Everything that `study.html` shows; `folder` is where the page will lie."""
    from rllab.search.reading import read_study  # noqa: PLC0415 - Optuna takes a second
    from rllab.search.trials import best_row, short_name, too_few  # noqa: PLC0415

    entry = shelf.look(path)
    problem: str | None = None
    rows: list[TrialRow] = []
    importances: dict[str, float] = {}
    try:
        rows, importances = read_study(path)
    except ValueError as error:
        problem = str(error)
    best = best_row(rows)
    trials = shelf.trial_directories(path)
    counts = Counter(row.state for row in rows)
    return {
        "entry": entry,
        "title": f"{path.resolve().name}: {entry.agent or 'agents'} on {entry.env or 'unknown envs'}",
        "problem": problem,
        "rows": rows,
        "fields": {field: short_name(field) for row in rows for field in row.params},
        "links": {int(trial.name): link(page, folder) for trial in trials if (page := trial / "report.html").is_file()},
        "states": {state: counts[state] for state in STATES if counts[state]},
        "spent": sum(row.frame for row in rows),
        "best": best,
        "best_command": _best_command(text_of(path, BEST) or ""),
        "provenance": provenance(trials[0] if trials else path),
        "history": plots.history(_scores(rows, "complete"), _scores(rows, "pruned")),
        "curves": plots.trial_curves(
            {int(trial.name): curve for trial in trials if (curve := _mean_curve(trial))}, best.index if best else None
        ),
        "importances_missing": too_few(counts["complete"]) or "that needs two fields, and study.db in this directory",
        "importances": plots.importances({short_name(field): share for field, share in importances.items()}),
    }


def _scores(rows: list[TrialRow], state: State) -> list[tuple[int, float]]:
    return [(row.index, row.value) for row in rows if row.state == state and math.isfinite(row.value)]


def _best_command(text: str) -> str | None:
    """The command that trains the best trial, which the comment of `best.yaml` ends with, and no other one."""
    comment = " ".join(line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#"))
    if "$'" in comment:  # of a directory whose name holds no printable text
        return None
    try:
        words = shlex.split(comment.partition(". ")[2])
    except ValueError:
        return None
    command = shlex.join(words)
    return command if words and command.isprintable() else None


def _mean_curve(trial: Path) -> Curve | None:
    """Mean return over sessions; None where no episode has finished or nothing can be read."""
    try:
        curves = learning_curves(read_run(trial).sessions)
    except ValueError:
        return None
    if not curves:
        return None
    grid, values = common_grid(curves)
    return (grid, np.asarray(mean(values.T))) if grid.size else None
