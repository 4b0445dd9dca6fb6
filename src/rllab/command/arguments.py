"""Arguments that several verbs have, and the parser that refuses the others in one line."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from rllab.command.output import fail


class Parser(argparse.ArgumentParser):
    """A parser that ends with one line and exit code 2 where the usage is bad."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        fail(f"{message}; see {self.prog} --help", code=2)


def add_run(parser: argparse.ArgumentParser, text: str, *, name: str = "run", nargs: str | None = None) -> None:
    """The positional argument RUN: a run directory, which TAB completes; `nargs="+"` takes several."""
    action = parser.add_argument(name, nargs=nargs, metavar=name.upper(), help=text)
    action.completer = _directories  # type: ignore[attr-defined] # as argcomplete wants it


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option --json."""
    parser.add_argument("--json", action="store_true", help="print JSON for a script")


def _directories(prefix: str, **_: Any) -> list[str]:
    from argcomplete.completers import DirectoriesCompleter  # noqa: PLC0415 - only where the shell asks

    return list(DirectoriesCompleter()(prefix))
