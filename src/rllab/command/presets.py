"""`rllab presets meta`: the presets of a group side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rllab.command.output import did_you_mean, fail

if TYPE_CHECKING:
    import argparse

NAME = "presets"
SUMMARY = "show the presets of a group side by side"
EXAMPLE = "rllab presets meta"
GROUPS = ("meta", "env", "agent", "tuned", "tracker")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("group", nargs="?", metavar="GROUP", help=f"one of {', '.join(GROUPS)}; none lists all")


def run(chosen: argparse.Namespace) -> None:
    if chosen.group is not None and chosen.group not in GROUPS:
        fail(f"GROUP: got {chosen.group!r}; {did_you_mean(chosen.group, GROUPS, prefix='rllab presets ')}", code=2)
    from rich.console import Console  # noqa: PLC0415 - this and Hydra take longer than the other verbs

    from rllab.command.preset_tables import show_presets  # noqa: PLC0415

    show_presets(chosen.group, Console(highlight=False))
