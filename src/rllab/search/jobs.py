"""The jobs of one sweeper: a slot and a thread for each, from its start to the reason why it ended."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from rllab.errors import ConfigError
from rllab.host.process import end_group
from rllab.search.handle import TrialCancelled
from rllab.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna.trial import FrozenTrial

    from rllab.search.slots import Slot


class Jobs:
    """Trials that run in slots.

    Args:
        slots: room for one trial each.
        launch: runs a trial in a slot to its end and gives what went wrong, if anything did; called in a thread.
    """

    def __init__(self, slots: list[Slot], launch: Callable[[FrozenTrial, Slot], BaseException | None]) -> None:
        self.free = list(slots)
        self.running: list[FrozenTrial] = []
        self.launch = launch
        self.ended: SimpleQueue[tuple[FrozenTrial, Slot, BaseException | None] | None] = SimpleQueue()

    def start(self, trial: FrozenTrial) -> None:
        """Run a trial in a free slot."""
        self.running.append(trial)
        threading.Thread(target=self._run, args=(trial, self.free.pop(0)), daemon=True).start()

    def wait(self, seconds: float) -> tuple[FrozenTrial, BaseException | None] | None:
        """Wait until a job ends, `wake` is called, or some time has passed.

        Returns:
            The trial that ended, if one did, and what went wrong, if anything did.
        """
        try:
            end = self.ended.get(timeout=seconds)
        except Empty:
            return None
        if end is None:
            return None
        trial, slot, error = end
        self.running.remove(trial)
        self.free.append(slot)
        return trial, error

    def wake(self) -> None:
        """End a `wait` that is going on; signal handlers may call it."""
        self.ended.put(None)

    def _run(self, trial: FrozenTrial, slot: Slot) -> None:
        try:
            error = self.launch(trial, slot)
        except BaseException as caught:  # noqa: BLE001 - whatever it was, the slot is free again
            error = caught
        self.ended.put((trial, slot, error))


def end_processes() -> None:
    """Kill what still runs of the jobs' processes, and of joblib's pool: Python would wait for them at its end."""
    for process in multiprocessing.active_children():
        if process.pid is not None:
            end_group(process.pid)
    if loky := sys.modules.get("joblib.externals.loky"):
        loky.get_reusable_executor(reuse=False, kill_workers=True)


class KilledError(RuntimeError):
    """A signal has ended the process of a job."""


def was_killed(error: BaseException | None) -> bool:
    """Whether a signal has ended a job, in whatever way it answered that."""
    return isinstance(error, (KilledError, KeyboardInterrupt)) or _signal(error) is not None


def reason(error: BaseException | None) -> str:
    """One line for the way a job ended without a result."""
    if error is None:
        return "ended without a result"
    if isinstance(error, TrialCancelled):
        return "cancelled"
    if isinstance(error, KeyboardInterrupt) or _signal(error) is not None:
        return f"stopped ({(_signal(error) or signal.SIGINT).name})"
    text = one_line(error)
    if isinstance(error, (ConfigError, SystemExit, KilledError)) or type(error) is RuntimeError:
        return text[:300] or type(error).__name__
    return f"{type(error).__name__}: {text}".removesuffix(": ")[:300]


def _signal(error: BaseException | None) -> signal.Signals | None:
    """The signal after which a run has saved what it had and ended."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if isinstance(error, SystemExit) and error.code == 128 + number:
            return number
    return None
