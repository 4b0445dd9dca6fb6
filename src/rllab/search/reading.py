"""Reading a study from its directory, while it is going on or later."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import optuna

from rllab.analysis.shelf import read_trials
from rllab.errors import ConfigError
from rllab.links import leads_out
from rllab.search.importance import importances
from rllab.search.storage import open_storage, resolve_url
from rllab.search.study import to_row
from rllab.search.trials import TrialRow
from rllab.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

_MALFORMED = (LookupError, TypeError, ValueError, AttributeError, optuna.exceptions.StorageInternalError)
"""What Optuna raises where a database is no study."""
_COLUMNS = ("trial", "state", "value", "frames", "seconds", "reason")


def read_study(directory: Path) -> tuple[list[TrialRow], dict[str, float]]:
    """The trials, and how much each field matters.

    Both come from `study.db`; if that is not there, the trials from `trials.csv` and no importances.

    Raises:
        ValueError: there is neither, or what there is cannot be read; one line.
    """
    if (directory / "study.db").is_file() and not leads_out(directory / "study.db", directory):
        try:
            study = optuna.load_study(study_name=None, storage=open_storage(resolve_url(None, directory)))
            return [to_row(trial) for trial in study.get_trials(deepcopy=False)], importances(study)
        except (ConfigError, *_MALFORMED) as error:
            raise ValueError(f"{directory / 'study.db'} cannot be read: {one_line(error)}") from error
    rows = read_trials(directory)
    if not rows:
        raise ValueError("there is neither study.db nor trials.csv: the storage is elsewhere, and the search goes on")
    try:
        return [_row(row) for row in rows], {}
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{directory / 'trials.csv'} cannot be read: {error}") from error


def _row(row: dict[str, str]) -> TrialRow:
    return TrialRow(
        index=int(row["trial"]),
        state=row["state"],  # type: ignore[arg-type] # as `write_trials` wrote it
        params={field: _number(value) for field, value in row.items() if field not in _COLUMNS and value},
        frame=int(row["frames"]),
        value=float(row["value"] or math.nan),
        seconds=float(row["seconds"]),
        reason=row["reason"],
    )


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
