"""The `rllab` command: everything that is not training. One module for each verb; nothing heavy is imported here."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from rllab.command import compare, doctor, enjoy, export, ls, presets, report
from rllab.command import eval as evaluation
from rllab.command.arguments import Parser
from rllab.command.output import did_you_mean, fail

if TYPE_CHECKING:
    import argparse


class Verb(Protocol):
    """What the module of a verb has. It imports heavy packages inside of `run` only: `rllab --help` must be quick."""

    NAME: str
    SUMMARY: str
    """What it does, in a few words that follow the name."""
    EXAMPLE: str
    """A whole command line that shows its use."""

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None: ...

    def run(self, chosen: argparse.Namespace, /) -> None: ...


VERBS: tuple[Verb, ...] = (ls, enjoy, evaluation, compare, report, export, presets, doctor)


def main(arguments: list[str] | None = None) -> None:
    """Run one verb of `rllab`; the command line's own arguments if none are given."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell wants completions for TAB
        import argcomplete  # noqa: PLC0415 - nobody else needs it

        argcomplete.autocomplete(parser)
    names = [verb.NAME for verb in VERBS]
    word = next((word for word in words if not word.startswith("-")), None)
    if word is not None and word not in names:
        fail(f"rllab {word}: no such verb; {did_you_mean(word, names, prefix='rllab ')}", code=2)
    chosen, unknown = parser.parse_known_args(words)
    if unknown:
        fail(f"{unknown[0]}: rllab {word} does not take this; see rllab {word} --help", code=2)
    chosen.verb.run(chosen)


def _parser() -> Parser:
    parser = Parser(prog="rllab", description="What is not training: see train.py --help.")
    parser.add_argument("--version", action="version", version=f"rllab {version('rllab')}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for verb in VERBS:
        inner = verbs.add_parser(
            verb.NAME,
            help=verb.SUMMARY,
            description=f"{verb.SUMMARY[0].upper()}{verb.SUMMARY[1:]}.",
            epilog=f"example: {verb.EXAMPLE}",
        )
        verb.add_arguments(inner)
        inner.set_defaults(verb=verb)
    return parser
