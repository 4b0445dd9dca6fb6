"""Rows as scalars of TensorBoard."""

import math
import os
import platform
import time
from itertools import count
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from rllab.tracking.tracker import Row

_NUMBERS = count()
"""Of the files of this process: two that begin in the same second must not have one name."""


class TensorBoardWriter:
    """The events of one session; all tags of a row travel in one event. See `writers.Writer`.

    TensorBoard's own writer has a thread, in which an error, as of a full disk, would be lost to whoever could tell.
    """

    def __init__(self, directory: Path, *, resumed_at: int | None) -> None:
        name = f"events.out.tfevents.{int(time.time()):010}.{platform.node()}.{os.getpid()}.{next(_NUMBERS)}"
        self.file = (directory / name).open("xb")
        self.writer = RecordWriter(self.file)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if resumed_at is not None:  # TensorBoard hides what an earlier process wrote here after that frame
            start = Event(wall_time=time.time(), step=resumed_at + 1)
            start.session_log.CopyFrom(SessionLog(status=SessionLog.START))
            self._write(start)
        self.file.flush()

    def _write(self, event: Event) -> None:
        self.writer.write(event.SerializeToString())

    def write_train(self, row: Row) -> None:
        values: list[Any] = [
            Summary.Value(tag=tag, simple_value=value)
            for tag, value in row.items()
            if "/" in tag and not math.isnan(value)
        ]
        self._write(Event(wall_time=time.time(), step=int(row["frame"]), summary=Summary(value=values)))

    def write_eval(self, row: Row, *, inferred: bool) -> None:
        if not inferred:  # otherwise it is there already, as ``rollout/ep_rew_mean``
            self.write_train(row)

    def flush(self) -> None:
        """Bring the events to where TensorBoard sees them."""
        self.file.flush()

    def close(self) -> None:
        self.file.close()
