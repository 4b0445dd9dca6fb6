"""Run directories: `config.yaml` and one `session_<s>/` with `train.csv` and `eval.csv` per seed."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from rllab.files import value_at
from rllab.links import leads_out

Array = npt.NDArray[np.float64]
Table = dict[str, Array]  # column -> [rows]
Curve = tuple[Array, Array]  # frames [K], values [K]

RETURN = "rollout/ep_rew_mean"
SCORE = "eval/mean_reward"
_TOLD = re.compile(r"(rollout|eval)/(info/.+|success_rate)")
"""Columns of what the env tells of its episodes."""
_NEEDED = (("meta", "seed", int), ("env", "id", str), ("agent", "name", str))
_NUMBERS = (("env", "max_frame"), ("env", "reward_threshold"), ("env", "random_return"), ("meta", "rigorous_eval"))
"""What is read of a config, beside what `compare` shows of it: must be there, may be null."""


@dataclass(frozen=True)
class Session:
    """One seed of a trial: its two tables, each a dict of columns `[rows]`; an empty cell is nan."""

    index: int
    train: Table
    eval: Table

    def returns(self, x: str = "frame") -> Curve:
        """Frames `[K]` (or the column `x`) and mean return of the last 100 episodes `[K]`, finite rows only."""
        return finite(self.train, RETURN, x)

    def told(self, tag: str) -> float:
        """The last value of a column of `told`; nan where it has none."""
        values = (self.eval if tag.startswith("eval/") else self.train).get(tag, np.empty(0))
        return float(values[-1]) if values.size else math.nan

    def scores(self) -> Curve:
        """Frames `[K]` and evaluation score `[K]`, finite rows only."""
        return finite(self.eval, SCORE)


@dataclass(frozen=True)
class Run:
    """A run directory: the resolved config as plain dicts, and the sessions in the order of their index."""

    path: Path
    config: dict[str, Any]
    sessions: list[Session]
    workers: list[Session] = field(default_factory=list)
    """With Hogwild: what each worker of the one policy saw; `sessions` then holds that policy alone."""


def told(sessions: list[Session]) -> list[str]:
    """Columns of what the env tells of its episodes, in any of these sessions: ``rollout/info/fuel``."""
    columns = dict.fromkeys(name for each in sessions for table in (each.train, each.eval) for name in table)
    return [name for name in columns if _TOLD.fullmatch(name)]


def learning_curves(sessions: list[Session], x: str = "frame") -> list[Curve]:
    """`Session.returns` of each session in which an episode has finished."""
    return [curve for session in sessions if (curve := session.returns(x))[0].size]


def read_run(path: str | Path) -> Run:
    """Read a run directory. A last line without its newline (a crash while writing) is ignored.

    Raises:
        ValueError: one line that names the path and says what is missing or cannot be read.
    """
    path = Path(path)
    if not path.is_dir():
        raise ValueError(f"{path} is no run directory: it does not exist or is no directory")
    files = [path / "config.yaml", *path.glob("session_*"), *path.glob("worker_*")]
    for file in (*files, *path.glob("session_*/*.csv"), *path.glob("worker_*/*.csv")):
        if file.is_symlink() and leads_out(file, path):
            raise ValueError(f"{file} is a link that leads out of the run directory")
    config = _read_config(path / "config.yaml")
    sessions = _read_sessions(path, "session_")
    if not sessions:
        raise ValueError(f"{path} is no run directory: session_0 is missing")
    return Run(path, config, sessions, _read_sessions(path, "worker_"))


def _read_sessions(path: Path, prefix: str) -> list[Session]:
    """The sessions of all folders named `prefix` and a number, in order of the number."""
    folders = {
        int(p.name.removeprefix(prefix)): p for p in path.glob(f"{prefix}[0-9]*") if p.name[len(prefix) :].isdecimal()
    }
    return [_read_session(index, folders[index]) for index in sorted(folders)]


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path.parent} is no run directory: config.yaml is missing")
    try:
        config = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid YAML") from error
    for section, key, kind in _NEEDED:
        if value_at(config, section, key, kind=kind) is None:
            raise ValueError(f"{path} is no resolved config of a run: {section}.{key} is missing")
    for section, key in _NUMBERS:
        if (found := value_at(config, section, key)) is not None and not _is_number(found):
            raise ValueError(f"{path} is no resolved config of a run: {section}.{key} is {str(found)[:100]!r}")
    return dict(config)


def number(value: float | str | None) -> float | None:
    """A number from a config; PyYAML, which has read it, makes a string of 1e3."""
    return None if value is None else float(value)


def _is_number(found: Any) -> bool:
    try:
        return math.isfinite(float(found))
    except (TypeError, ValueError, OverflowError):
        return False


def _read_session(index: int, folder: Path) -> Session:
    if not (folder / "train.csv").is_file():
        raise ValueError(f"{folder / 'train.csv'} is missing: no log checkpoint was reached")
    train = _read_table(folder / "train.csv", ("frame", "elapsed_s", RETURN))
    return Session(index, train, _read_table(folder / "eval.csv", ("frame", SCORE)))


def _read_table(path: Path, required: tuple[str, ...]) -> Table:
    """All columns of a CSV file; where nothing has been written yet, the required ones, empty."""
    # bytes, so that a lone "\r" ends no line
    text = path.read_bytes().decode(errors="replace") if path.is_file() else ""
    header, *lines = text[: text.rfind("\n") + 1].splitlines() or [",".join(required)]
    names = header.split(",")
    if missing := [name for name in required if name not in names]:
        raise ValueError(f"{path}: column {missing[0]} is missing")
    if not lines:
        return {name: np.empty(0) for name in names}
    try:
        rows = np.loadtxt(lines, delimiter=",", ndmin=2, encoding="utf-8", converters=_parse_cell)
        return dict(zip(names, rows.T, strict=True))
    except ValueError as error:
        raise ValueError(f"{path} is not a table of {len(names)} numeric columns: {error}") from error


def _parse_cell(cell: str) -> float:
    return float(cell or "nan")


def finite(table: Table, column: str, x: str = "frame") -> Curve:
    """The columns `x` and `column`, without rows in which the latter is nan or infinite."""
    rows = np.isfinite(table[column])
    return table[x][rows], table[column][rows]
