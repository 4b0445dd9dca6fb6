"""What every verb says in the same way: errors, hints, JSON."""

from __future__ import annotations

import difflib
import json
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from rllab.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def fail(line: str, *, code: int = 1) -> NoReturn:
    """Exit with one line on stderr. The code is 2 for bad usage, 1 for anything else that went wrong."""
    complain(f"error: {line}")
    sys.exit(code)


def say(line: str) -> None:
    """Print one line, whatever the names in it hold."""
    sys.stdout.write(f"{printable(line)}\n")


def complain(line: str) -> None:
    """Print one line on stderr, whatever the names in it hold."""
    sys.stderr.write(f"{printable(line)}\n")


def did_you_mean(word: str, known: Sequence[str], *, prefix: str = "") -> str:
    """The end of an error line about `word`: the known word nearest to it, or all of them if none is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {prefix}{near[0]}?" if near else f"write one of {', '.join(known)}"


def print_json(content: Any) -> None:
    """Print JSON for a script to read; numbers that do not exist must be None in `content`, not nan."""
    sys.stdout.write(json.dumps(content, indent=2, allow_nan=False) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print a table with columns named in `right` flush right; for 500 rows rich would take a second."""
    table = [tuple(map(printable, row)) for row in (columns, *rows)]
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    for row in table:
        cells = (
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(columns, row, widths, strict=True)
        )
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
