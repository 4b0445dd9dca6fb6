"""TensorBoard: event files in the run directory, those of a session in its folder, all else beside config.yaml."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from typing import TYPE_CHECKING, Any

from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from rllab.tracking.trackers.contract import RunTracker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rllab.tracking.trackers.contract import Outcome, Scalars, TrackedRun

_NUMBERS = count()
"""Of the files of this process: two that begin in the same second must not have one name."""
_COLUMNS = ("final_return", "final_eval", "greedy_best", "greedy_last")
"""The scores that the table of hyper-parameters shows."""
_FILM = "fps=15,scale='min(320,iw)':-2"
"""What a film becomes as a GIF, the only kind that TensorBoard shows; it holds them in memory."""


@dataclass(frozen=True)
class TensorBoardConfig:
    """TensorBoard has no settings."""

    name: str = "tensorboard"
    """The tracker."""


class TensorBoard(RunTracker):
    """Writes what TensorBoard reads; all scalars of a session at a checkpoint travel in one event."""

    Config = TensorBoardConfig

    def __init__(self, config: TensorBoardConfig, run: TrackedRun) -> None:
        super().__init__(config, run)
        self.written = {folder: _last_frame(run.path / folder) for folder in run.folders}
        self.frame = min(self.written.values())
        self.files = {folder: EventFile(run.path / folder) for folder in run.folders}
        self.top = EventFile(run.path)
        fields = {name: _cell(value) for name, value in run.config.items() if value is not None}
        columns = [summary_v2.Metric(f"score/{name}", display_name=name) for name in _COLUMNS]
        self.top.add(0, summary_v2.hparams_config_pb([summary_v2.HParam(name) for name in fields], columns))
        self.top.add(0, summary_v2.hparams_pb(fields, trial_id=run.name))

    def scalars(self, frame: int, rows: Scalars) -> None:
        for folder, values in rows.items():
            if frame > self.written[folder]:
                self.files[folder].add(frame, _scalars(values))

    def text(self, tag: str, text: str, frame: int) -> None:
        self.top.add(frame, text_pb(tag, text.replace("\n", "  \n")))  # two spaces end a line of Markdown

    def picture(self, tag: str, path: Path, frame: int) -> None:
        self._image(tag, path.read_bytes(), frame)

    def video(self, tag: str, path: Path, frame: int) -> None:
        self._image(tag, path.read_bytes() if path.suffix == ".gif" else _gif(path), frame)

    def scores(self, scores: Mapping[str, float], frame: int) -> None:
        self.top.add(frame, _scalars({f"score/{name}": value for name, value in scores.items()}))

    def close(self, outcome: Outcome) -> None:
        if outcome != "stopped":
            status = api_pb2.STATUS_SUCCESS if outcome == "complete" else api_pb2.STATUS_FAILURE
            end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
            data = plugin_data_pb2.HParamsPluginData(session_end_info=end)
            about = metadata.create_summary_metadata(data)
            value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=about, tensor=metadata.NULL_TENSOR)
            self.top.add(0, Summary(value=[value]))
        for file in (self.top, *self.files.values()):
            file.close()

    def _image(self, tag: str, content: bytes, frame: int) -> None:
        width, height = Image.open(BytesIO(content)).size
        image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=content)
        self.top.add(frame, Summary(value=[Summary.Value(tag=tag, image=image)]))


class EventFile:
    """A new file of events in a directory. TensorBoard's own writer has a thread, in which errors would be lost."""

    def __init__(self, directory: Path) -> None:
        name = f"events.out.tfevents.{int(time.time()):010}.{platform.node()}.{os.getpid()}.{next(_NUMBERS)}"
        self.file = (directory / name).open("xb")
        self.writer = RecordWriter(self.file)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def add(self, frame: int, summary: Any) -> None:
        self._write(Event(wall_time=time.time(), step=frame, summary=summary))

    def _write(self, event: Any) -> None:
        self.writer.write(event.SerializeToString())
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def _scalars(values: Mapping[str, float]) -> Any:
    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])


def _last_frame(directory: Path) -> int:
    """The frame of the last event that an earlier process has written whole; 0 without any."""
    if not (files := [*directory.glob("events.out.tfevents.*")]):
        return 0
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader  # noqa: PLC0415 - slow

    return max((event.step for file in files for event in LegacyEventFileLoader(str(file)).Load()), default=0)


def _cell(value: Any) -> bool | float | str:
    return value if isinstance(value, bool | int | float | str) else str(value)


def _gif(film: Path) -> bytes:
    from imageio_ffmpeg import get_ffmpeg_exe  # noqa: PLC0415 - of the extra that has made the film

    words = [get_ffmpeg_exe(), "-i", str(film), "-vf", _FILM, "-f", "gif", "-"]
    return subprocess.run(words, check=True, capture_output=True).stdout  # noqa: S603 - our own words
