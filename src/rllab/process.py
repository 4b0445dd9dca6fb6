"""This process: how it was called, what it may use, how it is asked to stop, and what it is writing."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

LOCK = ".lock"
"""File of a run directory that the process which writes it holds a lock on."""


def program(argv: list[str]) -> str:
    """How this program was called."""
    return f"python {argv[0]}" if argv[0].endswith(".py") else Path(argv[0]).name


def num_cpus() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM call `stop`, so that the state is whole when it is saved; a second one ends at once.

    Yields the list of signals received. Outside the main thread Python delivers no signals, and nothing is changed.
    """
    received: list[int] = []
    previous: dict[int, Any] = {}

    def handle(number: int, _frame: object) -> None:
        received.append(number)
        stop()
        signal.signal(number, previous[number])

    if threading.current_thread() is threading.main_thread():
        for number in (int(signal.SIGINT), int(signal.SIGTERM)):
            previous[number] = signal.signal(number, handle)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Hold:
    """Shows others that this process writes a run directory; the system ends it with the process, however that dies."""

    def __init__(self, directory: Path) -> None:
        from filelock import FileLock, Timeout  # noqa: PLC0415 - who only looks for a lock mostly finds none

        self.lock = FileLock(directory / LOCK)
        with suppress(Timeout):  # an attempt at the same trial that is about to end has it
            self.lock.acquire(timeout=1)

    def release(self) -> None:
        """Also take the file away: what is left by then was killed."""
        if self.lock.is_locked:
            self.lock.release()
            Path(self.lock.lock_file).unlink(missing_ok=True)


def is_held(lock: Path) -> bool | None:
    """Whether a living process holds this lock file; None where it may not be opened.

    On another machine's disk, as far as the file system tells.
    """
    if not lock.exists():
        return False
    from filelock import FileLock, Timeout  # noqa: PLC0415 - as above

    try:
        with FileLock(lock, blocking=False):
            return False
    except Timeout:
        return True
    except OSError:  # somebody else's
        return None
