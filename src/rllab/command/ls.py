"""`rllab ls`: the runs and studies below a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllab.command.arguments import add_json, add_run
from rllab.command.output import fail, print_json, print_table
from rllab.text import score_text

if TYPE_CHECKING:
    import argparse

    from rllab.analysis.shelf import Entry

NAME = "ls"
SUMMARY = "list the runs and studies below a folder, newest first"
EXAMPLE = "rllab ls outputs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser, "folder to look in, this one by default", name="dir", nargs="?")
    add_json(parser)


def run(chosen: argparse.Namespace) -> None:
    from rllab.analysis.shelf import find  # noqa: PLC0415 - TAB and --help need none of it

    root = Path(chosen.dir or ".")
    if not root.is_dir():
        fail(f"DIR: got {str(root)!r}, which is no directory")
    entries = find(root)
    if chosen.json:
        print_json([_plain(entry) for entry in entries])
        return
    if not entries:
        fail(f"no run or study below {root}")
    print_table(
        ("run", "trials", "agent", "env", "sessions", "frames", "score", "state", "age"),
        map(_cells, entries),
        right=("trials", "sessions", "frames", "score", "age"),
    )


def _plain(entry: Entry) -> dict[str, Any]:
    return vars(entry) | {"path": str(entry.path)}


def _cells(entry: Entry) -> list[str]:
    from rllab.analysis.shelf import age  # noqa: PLC0415 - as above

    state = f"unknown, on {entry.host}" if entry.state == "unknown" and entry.host else entry.state
    numbers = [f"{n:,}" if n is not None else "-" for n in (entry.sessions, entry.frames)]
    return [
        str(entry.path),
        "" if entry.trials is None else str(entry.trials),
        entry.agent or "-",
        entry.env or "-",
        *numbers,
        score_text(entry.score),
        state,
        age(entry.started),
    ]
