"""Rows as CSV: ``train.csv`` and ``eval.csv`` of a session."""

import math
from pathlib import Path
from typing import TextIO

from rllab.files import write_text
from rllab.tracking.tracker import Row


class CsvWriter:
    """Both files of one session; with Hogwild of the policy, or of one worker."""

    def __init__(self, directory: Path, *, resumed_at: int | None = None) -> None:
        """Begin to write, or go on after the frame `resumed_at`: rows behind it come again."""
        directory.mkdir(parents=True, exist_ok=True)
        self.train = CsvFile(directory / "train.csv", keep_until=resumed_at)
        self.eval = CsvFile(directory / "eval.csv", keep_until=resumed_at)

    def write_train(self, row: Row) -> None:
        self.train.write(row)

    def write_eval(self, row: Row) -> None:
        self.eval.write(row)

    def flush(self) -> None:
        self.train.flush()
        self.eval.flush()

    def close(self) -> None:
        self.train.close()
        self.eval.close()


class CsvFile:
    """Appends rows to a CSV file. A row with new columns (the first update of an agent) widens the file once."""

    def __init__(self, path: Path, *, keep_until: int | None = None) -> None:
        """Open `path`; with `keep_until`, go on in an existing file after its last whole row up to that frame."""
        self.path = path
        self.columns: list[str] = []
        rows: list[list[str]] = []
        if keep_until is not None and path.exists():
            whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
            self.columns, *rows = [line.rstrip("\n").split(",") for line in whole] or [[]]
            rows = [row for row in rows if int(row[0]) <= keep_until]
        self.file = self._rewrite(rows)

    def _rewrite(self, rows: list[list[str]]) -> TextIO:
        """Begin the file anew with these rows, each filled up to the present columns."""
        lines = [self.columns, *(row + [""] * (len(self.columns) - len(row)) for row in rows)] if self.columns else []
        write_text(self.path, "".join(",".join(line) + "\n" for line in lines))
        return self.path.open("a")

    def write(self, row: Row) -> None:
        """Append one row; not-a-number becomes an empty cell."""
        if new := [name for name in row if name not in self.columns]:
            self.file.close()  # this writes its rows to disk, where they are read
            rows = [line.split(",") for line in self.path.read_text().splitlines()[1:]]
            self.columns += new
            self.file = self._rewrite(rows)
        cells = (row.get(name, math.nan) for name in self.columns)
        self.file.write(",".join(_cell(x) for x in cells) + "\n")

    def flush(self) -> None:
        """Bring the rows to disk."""
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def _cell(x: float) -> str:
    if isinstance(x, int):
        return str(x)  # in full, since `keep_until` reads frames back
    return "" if math.isnan(x) else f"{x:.9g}"
