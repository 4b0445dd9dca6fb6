"""What the page about a run says. Files may be missing, half-written or of an older version: it says so and goes on."""

from __future__ import annotations

import base64
import math
import os
import re
import shlex
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from rllab.analysis import shelf
from rllab.analysis.runs import read_run
from rllab.analysis.statistics import STATISTICS
from rllab.analysis.summary import trial_summary
from rllab.files import value_at
from rllab.host.process import program
from rllab.links import leads_out, read_json_inside
from rllab.report import plots
from rllab.text import shell_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rllab.analysis.runs import Run

_EMBEDDED = 8_000_000
"""The most bytes of a video that is embedded in the page; a larger one is linked."""
SHARES = {"env": "stepping envs", "act": "choosing actions", "update": "learning", "log": "checkpoints"}
METRICS = {
    "strength": "mean strength",
    "max_strength": "highest strength",
    "final_strength": "last strength",
    "sample_efficiency": "sample efficiency",
    "training_efficiency": "training efficiency",
    "stability": "stability",
    "consistency": "consistency",
}


def run_facts(path: Path, folder: Path) -> dict[str, Any]:
    """Everything that `run.html` shows; `folder` is where the page will lie."""
    entry = shelf.look(path)
    facts: dict[str, Any] = {
        "entry": entry,
        "title": f"{entry.agent or 'run'} on {entry.env or 'an unknown env'}",
        "provenance": provenance(path),
        "config": text_of(path, "config.yaml"),
        "error": text_of(path, "error.txt"),
        "evaluations": _evaluations(path),
        "videos": _videos(path, folder),
        "evaluate": f"rllab eval {shell_path(path)}",
        "trial": None,
        "problem": None,
    }
    try:
        facts |= _curves(read_run(path))
    except (ValueError, TypeError) as error:
        facts["problem"] = str(error)
    return facts


def _curves(run: Run) -> dict[str, Any]:
    return {
        "trial": trial_summary(run) | _final_evaluation(run.path),
        "threshold": run.config["env"].get("reward_threshold"),
        "random_return": run.config["env"].get("random_return"),
        "max_frame": run.config["env"].get("max_frame"),
        "greedy": run.config["meta"].get("rigorous_eval"),
        "learning_curve": plots.learning_curve(run),
        "metrics": plots.metrics(run),
        "metric_names": METRICS,
        "times": _times(run),
    }


def _final_evaluation(path: Path) -> dict[str, Any]:
    """What `best` and `last` scored at the end of the run, which only `trial.json` holds."""
    found = read_json_inside(path, "trial.json")
    return {name: _estimates(found[name]) for name in found if name.startswith("greedy_")}


def _estimates(found: Any) -> dict[str, dict[str, float | None]]:
    """Mean, median and IQM with their intervals; None for what is no number."""
    return {
        statistic: {end: value_at(found, statistic, end, kind=float) for end in ("value", "low", "high")}
        for statistic in STATISTICS
    }


def _times(run: Run) -> dict[str, Any]:
    """Shares of the time, and frames per second of the whole run, summed over sessions."""
    table = run.sessions[0].train
    frames, seconds = (float(table[name][-1]) if table[name].size else math.nan for name in ("frame", "elapsed_s"))
    shares = {
        text: float(column[-1])
        for name, text in SHARES.items()
        if (column := table.get(f"time/{name}_share")) is not None and column.size
    }
    return {"shares": shares, "fps": frames * len(run.sessions) / seconds if seconds > 0 else None}


def provenance(path: Path) -> dict[str, Any]:
    """The content of `provenance.json`, and shell lines that do the run again, none if the command is not known."""
    facts = read_json_inside(path, "provenance.json")
    versions, resumed = facts.get("versions"), facts.get("resumed")
    return facts | {
        "again": again(facts),
        "versions": versions if isinstance(versions, dict) else {},
        "resumed": [each for each in resumed if isinstance(each, dict)] if isinstance(resumed, list) else [],
        "lineage": [*_lineage(facts)],
    }


def _lineage(facts: dict[str, Any]) -> Iterator[str]:
    """The runs whose policies a run began with, the latest first."""
    while isinstance(origin := facts.get("init_from"), dict):
        frames = value_at(origin, "frames", kind=list) or []
        at = f", frame {max(frames):,}" if frames and all(isinstance(each, int) for each in frames) else ""
        yield f"{origin.get('run')} ({origin.get('checkpoint')}{at})"
        facts = origin


def again(facts: dict[str, Any]) -> list[str]:
    """Shell lines that run the command again, into another directory than before."""
    try:
        words = shlex.split(value_at(facts, "command", kind=str) or "")
    except ValueError:
        return []
    if not words:
        return []
    kept = [word for word in words[1:] if not word.startswith("run_dir=")]
    lines = [f"cd {shlex.quote(str(facts['directory']))}"] if facts.get("directory") else []
    if re.fullmatch("[0-9a-f]{7,64}", sha := str(facts.get("git_sha"))):
        lines.append(f"git checkout {sha}")
    lines.append(f"{program(words)} {shlex.join(kept)}".strip())
    return lines if all(map(str.isprintable, lines)) else []  # escapes would reach the terminal they are copied to


def _evaluations(path: Path) -> list[dict[str, Any]]:
    """What `rllab eval` found: a table for each checkpoint and way of acting; unreadable ones are left out."""
    tables = []
    for checkpoint, ways in read_json_inside(path, "eval.json").items():
        for acting, found in ways.items() if isinstance(ways, dict) else ():
            sessions = value_at(found, "sessions", kind=list) or []
            rows = [_evaluation_row(str(value_at(session, "session")), session) for session in sessions]
            rows.append(_evaluation_row("all", value_at(found, "over_sessions")))
            if any(row["mean"]["value"] is not None for row in rows):
                title = f"{checkpoint} checkpoint, {acting}"
                tables.append({"title": title, "rows": rows, "episodes": value_at(found, "num_episodes", kind=int)})
    return tables


def _evaluation_row(name: str, found: Any) -> dict[str, Any]:
    extremes = {extreme: value_at(found, extreme, kind=float) for extreme in ("min", "max")}
    return {"name": name, **extremes, **_estimates(found)}


def _videos(path: Path, folder: Path) -> list[dict[str, str]]:
    videos = []
    for film in sorted((path / "videos").glob("*.mp4")):
        if leads_out(film, path) or not film.is_file():
            continue
        source = link(film, folder)
        if film.stat().st_size <= _EMBEDDED:
            source = f"data:video/mp4;base64,{base64.b64encode(film.read_bytes()).decode()}"
        videos.append({"name": film.name, "source": source})
    return videos


def link(file: Path, folder: Path) -> str:
    """The address of a file for a page in `folder`. Quoted: a directory may be named ``javascript:...``."""
    return quote(os.path.relpath(file, folder))


def text_of(path: Path, name: str) -> str | None:
    """The text of a file of the run; None where there is none, or a link that leads out of the run directory."""
    file = path / name
    try:
        return None if leads_out(file, path) or not file.is_file() else file.read_text("utf-8", errors="replace")
    except OSError:
        return None
