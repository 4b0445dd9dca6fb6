"""Which run directories a person means by the words typed for RUN..."""

from __future__ import annotations

from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from rllab.analysis import shelf
from rllab.command.output import fail

if TYPE_CHECKING:
    from collections.abc import Iterable


def expand(words: Iterable[str]) -> list[Path]:
    """The run directories that words name, each once: a run, a study (all its trials), or a pattern of these."""
    runs: dict[Path, Path] = {}
    for word in words:
        found = [run for path in named(word) for run in _runs_of(path)]
        if not found:
            fail(f"RUN: got {word!r}, where no run is; rllab ls shows those that there are")
        runs |= {run.resolve(): run for run in found if run.resolve() not in runs}
    return list(runs.values())


def named(word: str) -> list[Path]:
    """The path that a word is, or those that it matches as a pattern."""
    if Path(word).exists():
        return [Path(word)]
    return [Path(found) for found in sorted(glob(word, recursive=True))]  # noqa: PTH207 - an absolute pattern


def _runs_of(path: Path) -> list[Path]:
    if shelf.is_study(path):
        return shelf.trial_directories(path)
    return [path] if shelf.is_run(path) else []
