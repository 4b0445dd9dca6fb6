"""This process: how it was called, what it may use, and how it is asked to stop."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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
