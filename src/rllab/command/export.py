"""`rllab export`: a trained greedy policy as one file that runs without rllab, and a card beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rllab.command.arguments import add_run
from rllab.command.output import say
from rllab.command.playing import add_policy, add_trust, load_one, refusing

if TYPE_CHECKING:
    import argparse

NAME = "export"
SUMMARY = "write a trained policy as one file that runs without rllab"
EXAMPLE = "rllab export outputs/2026-11-23/21-15-00_ppo_cartpole_seed0 --format onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser, "run directory")
    parser.add_argument("--format", choices=("onnx", "torchscript"), default="onnx", help="of the file (onnx)")
    parser.add_argument("--out", metavar="FOLDER", help="where to (RUN/export)")
    add_policy(parser, session="which session (the one that scored best)")
    add_trust(parser)


def run(chosen: argparse.Namespace) -> None:
    with refusing():
        from rllab.play.card import write_card  # noqa: PLC0415 - TAB and --help need none of these
        from rllab.play.export import export  # noqa: PLC0415

        player, session = load_one(chosen)
        exported = export(player, session, chosen.format, Path(chosen.out or player.path / "export"))
        card = write_card(player, session, chosen.checkpoint, chosen.format, exported)
    say(
        f"{exported.path} ({exported.path.stat().st_size:,} bytes): acts as session {session} does at "
        f"{exported.num_same:,} of {len(exported.action):,} observations"
    )
    say(str(card))
