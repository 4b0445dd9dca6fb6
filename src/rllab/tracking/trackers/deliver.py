"""All trackers of a run as one: training waits for none of them, and none of them ends it."""

from __future__ import annotations

import csv
import dataclasses
import math
import threading
import time
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from rllab.files import flat, read_json, write_json
from rllab.text import one_line
from rllab.tracking import trackers
from rllab.tracking.csv_files import CsvWriter
from rllab.tracking.trackers.contract import TrackedRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rllab.config import RunConfig
    from rllab.tracking.tracker import Row
    from rllab.tracking.trackers.contract import Outcome, RunTracker, Scalars

    Call = Callable[[RunTracker], None]

IDS = "trackers.json"
"""What each tracker calls the run, for whoever goes on with it."""
PATIENCE = 120.0
"""Seconds that one call of a tracker may take."""


class Trackers:
    """The tables of a run, which are always written, and the trackers that it has beside them.

    Rows reach the trackers once the run has been saved at or behind them, so that none of them is ever taken back. What
    had not arrived when a process was killed is taken from the tables by the next one. So each comes once.
    """

    def __init__(
        self,
        cfg: RunConfig,
        folders: Sequence[str],
        say: Callable[[str], None],
        *,
        path: Path,
        study: str | None = None,
        resumed_at: int | None = None,
    ) -> None:
        """Begin to write.

        Args:
            cfg: the resolved config.
            folders: of the sessions, and of Hogwild's workers, in the order of their rows.
            say: shows a line to a person.
            path: the run directory.
            study: the search whose trial this is.
            resumed_at: the frame at which a run goes on; None for a new one.
        """
        self.path, self.say = path, say
        self.tables = {folder: CsvWriter(path / folder, resumed_at=resumed_at) for folder in folders}
        self._rows: dict[int, dict[str, dict[str, float]]] = {}
        self._media: list[tuple[int, Call]] = []
        self._couriers: list[Courier] = []
        self._lock = threading.Lock()
        if not cfg.tracker:
            return
        name = f"{study}/{path.name}" if study else path.name
        config = {name: value for name, value in flat(dataclasses.asdict(cfg)) if not name.startswith("tracker.")}
        group = study or path.name
        ids = {} if resumed_at is None else read_json(path / IDS)
        for key, settings in cfg.tracker.items():
            remember = partial(self._remember, key)
            run = TrackedRun(path, name, group, config, folders, ids.get(key), remember)
            self._couriers.append(Courier(key, partial(trackers.find(settings.name, field=key), settings, run)))
        if resumed_at:
            for frame, rows in sorted(_history(path, folders, evaluated=cfg.meta.evaluates).items()):
                self._post(partial(_scalars, frame, rows))
        for courier in self._couriers:
            courier.start()

    def _remember(self, key: str, tracker_id: str) -> None:
        """Write down what a tracker calls the run."""
        with self._lock:
            write_json(self.path / IDS, read_json(self.path / IDS) | {key: tracker_id})

    def train(self, rows: Sequence[Row]) -> None:
        """Take the rows of a log checkpoint, one for each folder."""
        for table, row in zip(self.tables.values(), rows, strict=True):
            table.write_train(row)
        self._keep(rows)

    def eval(self, rows: Sequence[Row], *, inferred: bool) -> None:
        """Take the rows of an evaluation; `inferred` ones repeat what training episodes have told."""
        for table, row in zip(self.tables.values(), rows, strict=True):
            table.write_eval(row)
        if not inferred:
            self._keep(rows)

    def _keep(self, rows: Sequence[Row]) -> None:
        if self._couriers:
            known = self._rows.setdefault(int(rows[0]["frame"]), {folder: {} for folder in self.tables})
            for values, row in zip(known.values(), rows, strict=True):
                values.update(_known(row))

    def text(self, tag: str, text: str, frame: int) -> None:
        """Take a text, in lines, of this start of the run."""
        self._post(lambda tracker: tracker.text(tag, text, frame))

    def video(self, tag: str, path: Path, frame: int) -> None:
        """Take a film of the policy at this frame, an MP4 or GIF file that stays where it is.

        As rows, it goes out once the run has been saved: whoever goes on from before this frame films it again.
        """
        if self._couriers:
            self._media.append((frame, partial(_video, tag, path, frame)))

    def flush(self) -> None:
        """Bring the tables to disk: a checkpoint is saved next."""
        for table in self.tables.values():
            table.flush()

    def saved(self) -> None:
        """A checkpoint has been saved: all that came so far goes out, and whoever has failed is told of."""
        for frame in sorted(self._rows):
            self._post(partial(_scalars, frame, self._rows[frame]))
        for _, call in self._media:
            self._post(call)
        self._rows, self._media = {}, []
        for courier in [*self._couriers]:
            self._tell(courier, courier.problem())

    def finish(self, scores: Mapping[str, float], frame: int) -> None:
        """The run is complete: its scores, its learning curve and its policies go out."""
        curve, model = self.path / "learning_curve.png", self.path / "checkpoints" / "best.safetensors"
        self._post(lambda tracker: tracker.scores(scores, frame))
        if curve.exists():
            self._post(lambda tracker: tracker.picture("learning_curve", curve, frame))
        if model.exists():
            self._post(lambda tracker: tracker.model(model))

    def close(self, outcome: Outcome) -> None:
        """The run has ended; waits until all has arrived, or does not."""
        self._post(lambda tracker: tracker.close(outcome))
        for courier in [*self._couriers]:
            self._tell(courier, courier.end())
        self._couriers = []
        for table in self.tables.values():
            table.close()

    def _post(self, call: Call) -> None:
        for courier in self._couriers:
            courier.queue.put(call)

    def _tell(self, courier: Courier, problem: str | None) -> None:
        if problem is not None:
            self._couriers.remove(courier)
            self.say(f"tracker {courier.name}: {problem}; the run goes on without it")


class Courier:
    """Makes the calls of one tracker, one after the other, in a thread."""

    def __init__(self, name: str, make: Callable[[], RunTracker]) -> None:
        self.name, self.make = name, make
        self.queue: SimpleQueue[Call | None] = SimpleQueue()
        self.since: float | None = time.monotonic()  # when the present call began; None between two
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._work, name=f"tracker {name}", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def _work(self) -> None:
        try:
            tracker = self.make()
            self.since = None
            while (call := self.queue.get()) is not None:
                self.since = time.monotonic()
                call(tracker)
                self.since = None
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ends no run
            self.error = error

    def problem(self) -> str | None:
        """Why this tracker is of no more use."""
        if self.error is not None:
            return f"failed ({type(self.error).__name__}: {one_line(self.error)[:200]})"
        since = self.since
        hangs = since is not None and time.monotonic() - since > PATIENCE
        return f"has not answered for {PATIENCE:g} seconds" if hangs else None

    def end(self) -> str | None:
        """Wait for the calls that are left; returns `problem`."""
        self.queue.put(None)
        while self.thread.is_alive() and self.problem() is None:
            self.thread.join(0.1)
        return self.problem()


def _scalars(frame: int, rows: Scalars, tracker: RunTracker) -> None:
    if frame > tracker.frame:
        tracker.scalars(frame, rows)


def _video(tag: str, path: Path, frame: int, tracker: RunTracker) -> None:
    if frame > tracker.frame:
        tracker.video(tag, path, frame)


def _known(row: Mapping[str, Any]) -> dict[str, float]:
    """What a tracker is given of a row: tags with a finite number."""
    return {tag: value for tag, value in row.items() if "/" in tag and math.isfinite(value)}


def _history(path: Path, folders: Sequence[str], *, evaluated: bool) -> dict[int, dict[str, dict[str, float]]]:
    """What the tables hold, by frame."""
    found: dict[int, dict[str, dict[str, float]]] = {}
    for folder in folders:
        for name in ("eval.csv", "train.csv") if evaluated else ("train.csv",):
            for row in _table(path / folder / name):
                found.setdefault(int(row["frame"]), {each: {} for each in folders})[folder].update(_known(row))
    return found


def _table(path: Path) -> Iterator[dict[str, float]]:
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            yield {name: float(cell) for name, cell in row.items() if cell}
