"""Rows to files: CSV and TensorBoard, one of each per session."""

import math
import time
from pathlib import Path
from typing import Any, TextIO

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from rllab.tracking.tracker import Row


class CsvWriter:
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
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text("".join(",".join(line) + "\n" for line in lines))
        temporary.replace(self.path)  # at every moment either the old file or the new one, whole
        return self.path.open("a")

    def write(self, row: Row) -> None:
        """Append one row; not-a-number becomes an empty cell."""
        if new := [name for name in row if name not in self.columns]:
            self.file.close()  # its rows are on disk now
            rows = [line.split(",") for line in self.path.read_text().splitlines()[1:]]
            self.columns += new
            self.file = self._rewrite(rows)
        cells = (row.get(name, math.nan) for name in self.columns)
        self.file.write(",".join(_cell(x) for x in cells) + "\n")

    def close(self) -> None:
        self.file.close()


def _cell(x: float) -> str:
    if isinstance(x, int):
        return str(x)  # frames in full: `keep_until` reads them back
    return "" if math.isnan(x) else f"{x:.9g}"


class TensorBoardWriter:
    """Scalars of one session; all tags of a row travel in one event."""

    def __init__(self, directory: Path, *, purge_after: int | None = None) -> None:
        """Write to `directory`; TensorBoard hides what an earlier process wrote there after frame `purge_after`."""
        self.writer = EventFileWriter(str(directory), flush_secs=10)
        if purge_after is not None:
            start = Event(wall_time=time.time(), step=purge_after + 1)
            start.session_log.CopyFrom(SessionLog(status=SessionLog.START))
            self.writer.add_event(start)

    def write(self, row: Row) -> None:
        values: list[Any] = [
            Summary.Value(tag=tag, simple_value=value)
            for tag, value in row.items()
            if "/" in tag and not math.isnan(value)
        ]
        self.writer.add_event(Event(wall_time=time.time(), step=int(row["frame"]), summary=Summary(value=values)))

    def close(self) -> None:
        self.writer.close()


class SessionWriter:
    """All files of one session: ``train.csv``, ``eval.csv`` and TensorBoard events."""

    def __init__(self, directory: Path, *, resumed_at: int | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.train = CsvWriter(directory / "train.csv", keep_until=resumed_at)
        self.eval = CsvWriter(directory / "eval.csv", keep_until=resumed_at)
        self.tensorboard = TensorBoardWriter(directory, purge_after=resumed_at)

    def write_train(self, row: Row) -> None:
        self.train.write(row)
        self.tensorboard.write(row)

    def write_eval(self, row: Row, *, inferred: bool) -> None:
        """An evaluation; TensorBoard has an inferred one already, as ``rollout/ep_rew_mean``."""
        self.eval.write(row)
        if not inferred:
            self.tensorboard.write(row)

    def flush(self) -> None:
        """Bring the rows to disk; TensorBoard's writer does so by itself, every ten seconds."""
        self.train.file.flush()
        self.eval.file.flush()

    def close(self) -> None:
        self.train.close()
        self.eval.close()
        self.tensorboard.close()
