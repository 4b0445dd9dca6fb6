"""Which study the trials in a directory are of: another one must not take them for its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import optuna

from rllab.analysis.shelf import trial_directories
from rllab.errors import ConfigError
from rllab.files import read_json, write_json
from rllab.search.identity import differences
from rllab.search.storage import has_storage, open_storage, public

if TYPE_CHECKING:
    from pathlib import Path

SWEEPERS = ".sweepers"
"""In the directory of a study: locks of the sweepers that work there, and its mark."""
_MARK = "study.json"


def mark(directory: Path, *, study: str, sweeper: str, search: dict[str, Any]) -> None:
    """Write down whose trials are here: the study in which this sweeper has signed."""
    write_json(directory / SWEEPERS / _MARK, {"study": study, "sweeper": sweeper, "search": search})


def check(directory: Path, url: str, study: str, search: dict[str, Any]) -> None:
    """Refuse a directory with trials of another study than that of this name in this storage. Nothing is made.

    Raises:
        ConfigError: it holds such trials; the message names the differences.
    """
    if not directory.is_dir():
        return
    there = read_json(directory / SWEEPERS / _MARK)
    known = _signatures(url, study)
    if there:
        holds = any(path.name.isdecimal() for path in directory.iterdir())
        ours = there.get("sweeper") in known
    else:  # an older version has written no mark, nor does Hydra's own sweeper
        holds, ours = bool(trial_directories(directory)), bool(known)
    if ours or not holds:
        return
    got = f"hydra.sweep.dir: got {str(directory)!r}, which holds the trials of another study"
    if not there:
        raise ConfigError(f"{got}; write another one")
    name = there.get("study")
    if differing := differences(there.get("search", {}), search):
        raise ConfigError(f"{got}, {name!r}: {differing}; write another one")
    if name == study:
        raise ConfigError(
            f"{got} of this name, which {public(url)} does not hold; write another one, or the hydra.sweeper.storage "
            "that does"
        )
    raise ConfigError(f"{got}, {name!r}; write another one, or hydra.sweeper.study_name={name} to go on with that")


def _signatures(url: str, study: str) -> set[str]:
    """All sweepers that have worked on a study; none where there is no such study."""
    if not has_storage(url):
        return set()
    try:
        names = optuna.load_study(study_name=study, storage=open_storage(url, create=True)).user_attrs
    except KeyError:
        return set()
    return {name.removeprefix("sweeper:") for name in names if name.startswith("sweeper:")}
