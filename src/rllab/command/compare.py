"""`rllab compare`: groups of runs side by side."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rllab.command.arguments import add_json, add_run
from rllab.command.output import complain, fail, print_json, print_table, say
from rllab.files import value_at
from rllab.text import interval_text, score_text, shell_path

if TYPE_CHECKING:
    import argparse

    from rllab.analysis.compare import Group
    from rllab.analysis.runs import Run

NAME = "compare"
SUMMARY = "compare runs, grouped by what differs in their configs"
EXAMPLE = "rllab compare outputs/*/*cartpole* --threshold 400"
_FEW = 3
"""The most groups that a note names one by one; of more it gives their number."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser, "run directories, grids, or patterns in quotes", nargs="+")
    parser.add_argument("--threshold", type=float, metavar="RETURN", help="the env's reward_threshold by default")
    parser.add_argument("--out", metavar="FILE.png", help="draw learning curves into this file")
    add_json(parser)


def run(chosen: argparse.Namespace) -> None:
    from rllab.analysis.compare import describe, group_runs, improve  # noqa: PLC0415 - TAB and --help need none of it
    from rllab.analysis.statistics import Undefined  # noqa: PLC0415

    groups = group_runs(_read(chosen.run))
    rows = [describe(group, chosen.threshold) for group in groups]
    better = improve(*groups[:2]) if len(groups) > 1 else None
    if chosen.out:
        _draw(groups, rows, chosen.out)
    if chosen.json:
        reason = better.reason if isinstance(better, Undefined) else None
        print_json({"groups": rows, "improvement": better if reason is None else {"reason": reason}})
        return
    _print_groups(rows)
    if isinstance(better, Undefined):
        _note(f"no probability of improvement: {better.reason}")
    elif better:
        beats = f"probability that {groups[0].label} beats {groups[1].label}: {better['value']:.2f}"
        interval = f" ({text})" if (text := interval_text(better, "{:.2f}".format)) else ""
        say("")
        say(f"{beats}{interval}")
    say(f"picture: {chosen.out or 'none; --out FILE.png draws one'}")
    _explain(groups, rows)


def _explain(groups: list[Group], rows: list[dict[str, Any]]) -> None:
    """Print what short labels stand for, and why some numbers are missing."""
    from rllab.analysis.compare import settings_text  # noqa: PLC0415 - as above

    for group in groups:
        text = settings_text(group.settings)
        if text and text != group.label:
            say(f"{group.label}: {text}")
        if group.repeated:
            _note(f"{group.label}: left out, as its seed is there already: {', '.join(group.repeated)}")
    concerned: dict[str, list[str]] = {}
    for row in rows:
        for reason in dict.fromkeys(row["reasons"].values()):
            concerned.setdefault(reason, []).append(row["label"])
    for reason, labels in concerned.items():
        _note(f"{', '.join(labels) if len(labels) <= _FEW else f'{len(labels)} groups'}: {reason}")


def _read(words: list[str]) -> list[Run]:
    from rllab.analysis.runs import read_run  # noqa: PLC0415 - as above
    from rllab.command.runs import expand, named  # noqa: PLC0415

    runs, by_name = [], {path for word in words for path in named(word)}
    for path in expand(words):
        try:
            run = read_run(path)
        except ValueError as error:
            _note(f"left out: {error}")
            continue
        if path not in by_name and (value_at(run.config, "meta", "max_trial", kind=int) or 1) > 1:
            _refuse_search(path.parent)
        runs.append(run)
    return runs or fail("no run to compare")


def _refuse_search(study: Path) -> NoReturn:
    """No two trials of a search have the same settings, so there are no groups; and pruned ones have seen less."""
    where = shell_path(study)
    fail(
        f"RUN: got {str(study)!r}, a search, in which each trial has settings of its own; rllab report {where} shows "
        f"them side by side. To compare some, name them: rllab compare {where}/0 {where}/1"
    )


def _draw(groups: list[Group], rows: list[dict[str, Any]], path: str) -> None:
    from rllab.analysis.plots import MOST_GROUPS, comparison  # noqa: PLC0415 - matplotlib takes its time

    scores = [row["score"]["mean"]["value"] for row in rows]
    ranked = sorted(range(len(groups)), key=lambda index: math.inf if scores[index] is None else -scores[index])
    kept = [groups[index] for index in sorted(ranked[:MOST_GROUPS])]
    if len(kept) < len(groups):
        _note(f"the picture shows the best {len(kept)} of {len(groups)} groups")
    thresholds = {row["threshold"] for row in rows}
    try:
        comparison(kept, Path(path), threshold=thresholds.pop() if len(thresholds) == 1 else None)
    except (OSError, ValueError) as error:
        fail(f"--out: got {path!r}, which cannot be written: {error}")


def _print_groups(rows: list[dict[str, Any]]) -> None:
    columns = ("group", "runs", "sessions", "score", "95 % interval", "iqm", "95 % interval", "solved", "frames", "s")
    tags = list(dict.fromkeys(tag for row in rows for tag in row["infos"]))
    print_table((*columns, *tags), [_cells(row, tags) for row in rows], right=(*columns[1:], *tags))


def _cells(row: dict[str, Any], tags: list[str]) -> list[str]:
    scores = [
        cell
        for estimate in (row["score"]["mean"], row["score"]["iqm"])
        for cell in (score_text(estimate["value"]), interval_text(estimate) or "-")
    ]
    solved = "-" if row["threshold"] is None else f"{row['reached']}/{row['sessions']}"
    times = _number(row["frames_to_threshold"], ",.0f"), _number(row["seconds_to_threshold"], ",.1f")
    told = [score_text(row["infos"][tag]["value"]) if tag in row["infos"] else "-" for tag in tags]
    return [row["label"], str(len(row["runs"])), str(row["sessions"]), *scores, solved, *times, *told]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _note(text: str) -> None:
    complain(f"note: {text}")
