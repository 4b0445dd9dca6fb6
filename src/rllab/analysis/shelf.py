"""The runs and studies below a folder. No table is read whole, so that hundreds of runs take little time."""

from __future__ import annotations

import csv
import os
import platform
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from rllab.files import value_at
from rllab.host.process import LOCK, is_held
from rllab.links import leads_out, read_json_inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

State = Literal["running", "finished", "stopped", "failed", "unknown"]
RUN_FILES = ("trial.json", "provenance.json", "checkpoints", "session_0")
"""Any of them beside a `config.yaml` makes a run directory."""
STUDY_FILES = (".sweepers", "trials.csv")
_TAIL = 4096
"""The end of a table, in bytes, that is sure to hold its last row."""


@dataclass(frozen=True)
class Entry:
    """One run, or one study as a whole. What cannot be read is None."""

    path: Path
    kind: Literal["run", "study"]
    agent: str | None
    env: str | None
    sessions: int | None
    frames: int | None
    """Frames trained so far, of one session; of a study the most that a trial has."""
    score: float | None
    """Mean over sessions of the latest evaluation; of a study that of its best trial."""
    state: State
    """`unknown` is an unfinished run of another machine or user, whose processes cannot be seen from here."""
    host: str | None
    started: float
    """Seconds since 1970."""
    trials: int | None = None
    """Trials of a study that have been begun."""


def find(root: Path) -> list[Entry]:
    """All runs and studies at or below a folder, newest first; the trials of a study are not listed by themselves."""
    return sorted(map(look, _directories(root)), key=lambda entry: -entry.started)


def look(path: Path) -> Entry:
    """What can be told quickly of a run or study; its files may be half-written, or of an older version."""
    return _study(path) if is_study(path) else _run(path)


def is_study(path: Path) -> bool:
    """Whether this is the directory of a grid or a search."""
    return any((path / name).exists() for name in STUDY_FILES)


def is_run(path: Path) -> bool:
    """Whether this is a run directory."""
    return (path / "config.yaml").is_file() and any((path / name).exists() for name in RUN_FILES)


def trial_directories(study: Path) -> list[Path]:
    """Run directories of a study in the order of their trials."""
    found = (p for p in study.iterdir() if p.name.isdecimal() and is_run(p) and not leads_out(p, study))
    return sorted(found, key=lambda p: int(p.name))


def _directories(root: Path) -> Iterator[Path]:
    """Directories of runs and studies, each once, links followed; hidden and unreadable directories are left out."""
    seen, left = set(), [root]
    while left:
        path = left.pop()
        try:
            status = path.stat()
            if (key := (status.st_dev, status.st_ino)) in seen:
                continue
            seen.add(key)
            if is_run(path) or is_study(path):
                yield path
                continue
            left += [child for child in path.iterdir() if child.name[0] != "." and child.is_dir()]
        except OSError:
            continue


def _run(path: Path) -> Entry:
    trial, provenance = read_json_inside(path, "trial.json"), read_json_inside(path, "provenance.json")
    facts = value_at(provenance, "resumed", -1) or provenance
    host = value_at(facts, "host", kind=str)
    names = trial if {"agent", "env"} <= trial.keys() else _names(path)
    folders = [folder for folder in path.glob("session_*") if folder.is_dir() and not leads_out(folder, path)]
    frames, score = value_at(trial, "frames", kind=int), value_at(trial, "final_eval", "mean", "value", kind=float)
    if not trial:
        frames, score = _progress(folders)
    return Entry(
        path=path,
        kind="run",
        agent=value_at(names, "agent", kind=str),
        env=value_at(names, "env", kind=str),
        sessions=value_at(trial, "num_sessions", kind=int) or len(folders) or None,
        frames=frames,
        score=score,
        state=_state(path, host, finished=bool(trial)),
        host=host,
        started=_started(provenance, path),
    )


def _state(path: Path, host: str | None, *, finished: bool) -> State:
    held = is_held(path / LOCK)
    if held:
        return "running"
    if finished:
        return "finished"
    if (path / "error.txt").exists():
        return "failed"
    return "stopped" if held is False and host in (None, platform.node()) else "unknown"


def _study(path: Path) -> Entry:
    trials = [_run(trial) for trial in trial_directories(path)]
    rows = read_trials(path)
    first = min(trials, key=lambda trial: trial.started, default=None)
    scores = [trial.score for trial in trials if trial.score is not None]
    best = max(
        (float(row["value"]) for row in rows if row.get("state") == "complete" and row.get("value")),
        default=max(scores, default=None),
    )
    return Entry(
        path=path,
        kind="study",
        agent=_common(trial.agent for trial in trials),
        env=_common(trial.env for trial in trials),
        sessions=first.sessions if first else None,
        frames=max((trial.frames for trial in trials if trial.frames is not None), default=None),
        score=best,
        state=_study_state(path, rows, first),
        host=first.host if first else None,
        started=first.started if first else path.stat().st_mtime,
        trials=len(rows) or len(trials),
    )


def _study_state(path: Path, rows: list[dict[str, str]], first: Entry | None) -> State:
    if any(is_held(lock) for lock in (path / ".sweepers").glob("*.lock") if lock.name != "recovery.lock"):
        return "running"
    states = {row.get("state") for row in rows}
    if states == {"failed"}:
        return "failed"
    if rows and not states & {"waiting", "running"}:
        return "finished"
    return "stopped" if first is None or first.host in (None, platform.node()) else "unknown"


def read_trials(study: Path) -> list[dict[str, str]]:
    """Rows of `trials.csv`, which is written at the end of a search; none before."""
    if leads_out(study / "trials.csv", study):
        return []
    try:
        with (study / "trials.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return []


def _common(names: Iterable[str | None]) -> str | None:
    """One name, or all of them where trials differ: `dqn, ppo`."""
    return ", ".join(sorted({name for name in names if name})) or None


def _names(run: Path) -> dict[str, str]:
    """Names of agent and env, found by the lines of the config: a YAML parser takes ten times as long."""
    if leads_out(run / "config.yaml", run):
        return {}
    try:
        lines = (run / "config.yaml").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    section, names = "", dict[str, str]()
    for line in lines:
        key, _, value = line.partition(":")
        if not key.startswith(" "):
            section = key
        elif (section, key) in (("agent", "  name"), ("env", "  id")):
            names[section] = value.strip().strip("'\"")
    return names


def _progress(folders: list[Path]) -> tuple[int | None, float | None]:
    """Frames so far, and the mean over sessions of the latest score, from the ends of the tables."""
    frames = [int(row["frame"]) for folder in folders if (row := _last_row(folder / "train.csv")).get("frame")]
    scores = [row.get("eval/mean_reward") for folder in folders if (row := _last_row(folder / "eval.csv"))]
    known = [score for score in scores if score is not None]
    return max(frames, default=None), sum(known) / len(known) if known else None


def _last_row(table: Path) -> dict[str, float]:
    """The last whole row of a table, by column; empty cells are left out."""
    if leads_out(table, table.parent):
        return {}
    try:
        with table.open("rb") as file:
            header = file.readline().decode().strip().split(",")
            start = file.tell()
            file.seek(max(start, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().decode().rpartition("\n")[0].splitlines()
        return {name: float(cell) for name, cell in zip(header, lines[-1].split(","), strict=True) if cell}
    except (OSError, ValueError, IndexError):
        return {}


def _started(provenance: dict[str, Any], path: Path) -> float:
    try:
        return datetime.fromisoformat(provenance["time"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return path.stat().st_mtime


def age(started: float) -> str:
    """How long ago: `40 s`, `12 min`, `3 h`, `5 d`."""
    seconds = max(time.time() - started, 0)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
