"""`rllab report`: a page about a run or a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rllab.command.arguments import add_run
from rllab.command.output import fail, say

if TYPE_CHECKING:
    import argparse

NAME = "report"
SUMMARY = "write one HTML page about a run or a study"
EXAMPLE = "rllab report outputs/2026-11-23/21-15-00_ppo_cartpole_seed0"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser, "run directory, or that of a study")
    parser.add_argument("--out", metavar="FILE.html", help="report.html in that directory by default")


def run(chosen: argparse.Namespace) -> None:
    from rllab.report import write_report  # noqa: PLC0415 - matplotlib and Jinja, which TAB and --help need not

    path = Path(chosen.run)
    out = Path(chosen.out) if chosen.out else path / "report.html"
    try:
        write_report(path, out)
    except ValueError as error:
        fail(f"RUN: {error}")
    except OSError as error:
        fail(f"--out: got {str(out)!r}, which cannot be written: {error.strerror}")
    say(str(out))
