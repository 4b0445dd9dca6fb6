"""Rows as scalars of TensorBoard."""

import math
import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from rllab.tracking.tracker import Row


class TensorBoardWriter:
    """The events of one session; all tags of a row travel in one event. See `writers.Writer`."""

    def __init__(self, directory: Path, *, resumed_at: int | None) -> None:
        self.writer = EventFileWriter(str(directory), flush_secs=10)
        if resumed_at is not None:  # TensorBoard hides what an earlier process wrote here after that frame
            start = Event(wall_time=time.time(), step=resumed_at + 1)
            start.session_log.CopyFrom(SessionLog(status=SessionLog.START))
            self.writer.add_event(start)

    def write_train(self, row: Row) -> None:
        values: list[Any] = [
            Summary.Value(tag=tag, simple_value=value)
            for tag, value in row.items()
            if "/" in tag and not math.isnan(value)
        ]
        self.writer.add_event(Event(wall_time=time.time(), step=int(row["frame"]), summary=Summary(value=values)))

    def write_eval(self, row: Row, *, inferred: bool) -> None:
        if not inferred:  # otherwise it is there already, as ``rollout/ep_rew_mean``
            self.write_train(row)

    def flush(self) -> None:
        """Nothing to do: TensorBoard's own writer flushes every ten seconds."""

    def close(self) -> None:
        self.writer.close()
