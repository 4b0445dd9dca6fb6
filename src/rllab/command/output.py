"""What every verb says in the same way: errors, hints, JSON."""

from __future__ import annotations

import difflib
import json
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def fail(line: str, *, code: int = 1) -> NoReturn:
    """End with one line on stderr; code 2 for bad usage, 1 for what went wrong."""
    sys.stderr.write(f"error: {line}\n")
    sys.exit(code)


def did_you_mean(word: str, known: Sequence[str], *, prefix: str = "") -> str:
    """The end of a line that refuses `word`: the nearest of those that are known, or all of them."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {prefix}{near[0]}?" if near else f"write one of {', '.join(known)}"


def print_json(content: Any) -> None:
    """Print what a script reads; a number that does not exist is null."""
    sys.stdout.write(json.dumps(content, indent=2, allow_nan=False) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print columns as wide as they need, those named in `right` flush right; rich would take a second for 500 rows."""
    table = [tuple(columns), *map(tuple, rows)]
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    for row in table:
        cells = (
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(columns, row, widths, strict=True)
        )
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
