"""Weights & Biases: one run there for each trial, on the server or, without a network, in files beside config.yaml."""

from __future__ import annotations

import os
import struct
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rllab.tracking.trackers.contract import RunTracker, means_first, need

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rllab.tracking.trackers.contract import Outcome, Scalars, TrackedRun

_BLOCK, _HEADER = 32768, 7
"""Bytes: of a block of the log, and of what comes before its first record and before each."""
_FULL, _LAST = 1, 4
"""Kinds of records: a whole one, and the last part of one."""
_CLOSING = 10.0
"""Seconds that the files of an offline run have to be closed."""
_FINISH = 90.0
"""Seconds that the end of a run waits for an upload; `wandb sync` brings the rest."""


@dataclass(frozen=True)
class WandbConfig:
    """Settings of Weights & Biases."""

    name: str = "wandb"
    """The tracker."""
    mode: Literal["online", "offline"] = "online"
    """online: to the server, for which `wandb login` is typed once. offline: into the run directory."""
    project: str = "rllab"
    """Project there."""
    entity: str | None = None
    """User or team; null is your own."""
    tags: list[str] = field(default_factory=list)
    """Words to find the run by."""


class Wandb(RunTracker):
    """Numbers at the top are means over sessions; those of a session begin with ``session_0/``. A step is a frame."""

    Config = WandbConfig

    @classmethod
    def check(cls, config: WandbConfig) -> None:
        need("wandb", tracker="wandb")
        if config.mode == "online":
            import wandb  # noqa: PLC0415 - an extra

            if not wandb.login(prompt=False):
                raise ValueError(
                    "tracker.wandb.mode: got 'online', but nobody is logged in; type wandb login, or write "
                    "tracker.wandb.mode=offline"
                )

    def __init__(self, config: WandbConfig, run: TrackedRun) -> None:
        import wandb  # noqa: PLC0415 - an extra

        super().__init__(config, run)
        self.wandb, online = wandb, config.mode == "online"
        self.id = run.id or uuid.uuid4().hex[:8]
        run.remember(self.id)
        if not online:
            os.environ.pop("WANDB_SERVICE", None)  # a parent's would hold the run when this process is killed
            files = run.path / "wandb"
            self.frame = max(_steps(files, self.id), default=0)
            while [*files.glob(f"offline-run-{time.strftime('%Y%m%d_%H%M%S')}-{self.id}")]:
                time.sleep(0.1)  # a run that goes on within the same second would write over what is there
        self.run = wandb.init(
            id=self.id,
            resume="allow" if online else None,
            mode=config.mode,
            project=config.project,
            entity=config.entity,
            tags=config.tags,
            group=run.group,
            name=run.name,
            dir=str(run.path),
            config=dict(run.config),
            allow_val_change=True,  # a run may go on with a longer budget
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", finish_timeout=_FINISH),
        )
        if online:
            self.frame = max(self.run.starting_step - 1, 0)

    def scalars(self, frame: int, rows: Scalars) -> None:
        self._log(means_first(rows), frame)

    def text(self, tag: str, text: str, frame: int) -> None:  # noqa: ARG002
        self.run.summary[tag] = text

    def picture(self, tag: str, path: Path, frame: int) -> None:
        self._log({tag: self.wandb.Image(str(path))}, frame)

    def video(self, tag: str, path: Path, frame: int) -> None:
        self._log({tag: self.wandb.Video(str(path), format="gif" if path.suffix == ".gif" else "mp4")}, frame)

    def model(self, path: Path) -> None:
        self.run.log_artifact(str(path), name=f"{self.id}-best", type="model")

    def scores(self, scores: Mapping[str, float], frame: int) -> None:  # noqa: ARG002
        self.run.summary.update({f"score/{name}": value for name, value in scores.items()})

    def close(self, outcome: Outcome) -> None:
        self.run.finish(exit_code=0 if outcome == "complete" else 1)
        if self.run.offline:  # it has answered a moment before its file is whole, which who goes on will read
            log, started = Path(self.run.dir).parent / f"run-{self.id}.wandb", time.monotonic()
            while not _is_whole(log) and time.monotonic() - started < _CLOSING:
                time.sleep(0.05)

    def _log(self, values: dict[str, Any], frame: int) -> None:
        self.run.log(values, step=max(frame, self.run.step))  # what comes with a lower step than before is dropped


def _is_whole(log: Path) -> bool:
    """Whether a transaction log ends with the end of its run."""
    from wandb.proto.wandb_internal_pb2 import Record  # noqa: PLC0415 - an extra

    *_, last = [b"", *_records(log.read_bytes())]
    return bool(Record.FromString(last).HasField("exit"))


def _steps(directory: Path, run_id: str) -> Iterator[int]:
    """The steps that are in the files of earlier processes: W&B holds back some 32 kB, which die with a process."""
    from wandb.proto.wandb_internal_pb2 import Record  # noqa: PLC0415 - an extra

    for log in directory.glob(f"offline-run-*-{run_id}/run-{run_id}.wandb"):
        for content in _records(log.read_bytes()):
            if (record := Record.FromString(content)).HasField("history"):
                yield record.history.step.num


def _records(log: bytes) -> Iterator[bytes]:
    """The whole records of a transaction log, which has the format of LevelDB's log behind seven bytes of its own."""
    position, parts = _HEADER, b""
    while position + _HEADER <= len(log):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER:  # the rest of a block is empty
            position += left
            continue
        _checksum, length, kind = struct.unpack_from("<IHB", log, position)
        position += _HEADER + length
        if position > len(log):
            return
        parts += log[position - length : position]
        if kind in (_FULL, _LAST):
            yield parts
            parts = b""
