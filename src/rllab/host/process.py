"""This process: how it was started, the cores it may use, signals, processes of its own, and the run that it holds."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rllab.text import shell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.process import BaseProcess

LOCK = ".lock"
"""File of a run directory that the process which writes it holds a lock on."""
_PRELOADED = ("rllab.", "optuna.storages.", "sqlalchemy.", "alembic.")
"""Packages that take long to import: the server that forks our processes imports what this one has of them."""


_typed: ContextVar[list[str] | None] = ContextVar("_typed")
_starting = threading.Lock()


def typed() -> list[str] | None:
    """The command line that a person has typed for what is done here; None if there is none.

    A script or a notebook that calls rllab has another one: see `as_typed`.
    """
    return _typed.get(sys.argv)


@contextmanager
def as_typed(argv: list[str] | None) -> Iterator[None]:
    """Let `typed` say this, in this thread: what a person would type for the same."""
    token = _typed.set(argv)
    try:
        yield
    finally:
        _typed.reset(token)


def program(argv: list[str]) -> str:
    """What a person types to start this program: ``python train.py``, or ``rllab-train``."""
    script = argv[0].endswith(".py")
    return f"python {shell(argv[0])}" if script else shell(Path(argv[0]).name)


def discard_stdout() -> None:
    """Write to nowhere from here on: whoever read this output has gone, or there is no room for it."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def num_cpus() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Let Ctrl-C and SIGTERM call `stop`, so that the state is whole when it is saved; a second one ends at once.

    Yields the list of signals received. Outside the main thread Python delivers none, and nothing is changed.
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


def start_process(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Run ``target(*arguments)`` in a new process. It leads a group of processes, which ends when this one does.

    A server that has imported what this process has forks it: that is as quick as a fork of this process, but copies
    none of its threads. What it runs lies in a package, never in the script that was started.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["rllab.host.server", *(name for name in sys.modules if name.startswith(_PRELOADED))]
    )
    process = context.Process(target=_lead_group, args=(dict(os.environ), target, *arguments))
    ours = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C is for us alone; the server inherits it
    try:
        with _without_main():
            process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, ours)
    return process


@contextmanager
def _without_main() -> Iterator[None]:
    """Have multiprocessing not run the script that was started once more, in each process.

    One without ``if __name__ == "__main__":`` would train again there, and begin with what comes before.
    """
    main = sys.modules["__main__"]
    with _starting:
        kept = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
        vars(main).update(dict.fromkeys(kept))
        try:
            yield
        finally:
            vars(main).update(kept)


def _lead_group(environment: dict[str, str], target: Callable[..., None], *arguments: Any) -> None:
    os.environ.update(environment)  # the server has that of its own start
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one that is waiting is forgotten with it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, _leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        target(*arguments)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(1)  # the parent no longer listens: it has ended, or is about to


def _leave(number: int, _: object) -> None:
    """End without a traceback, while there is nothing yet that wants to be saved; see `stopping_on_signals`."""
    sys.exit(128 + number)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    end_group(0)


def end_group(leader: int) -> None:
    """End all processes in the group that this process leads, such as those of envs; 0 is our own group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


class HeldError(Exception):
    """Another process writes this run directory."""


class Hold:
    """A lock by which one process alone writes a run directory. The system frees it with the process."""

    def __init__(self, directory: Path, name: str = LOCK, *, patience: float = 0.3) -> None:
        """Take it; `patience` is how long to wait, in seconds, for others: whoever only looks has it for a moment.

        Another `name` is that of a lock for a single file.

        Raises:
            HeldError: somebody else still has it.
            OSError: the directory cannot be written.
        """
        from filelock import FileLock, Timeout  # noqa: PLC0415 - who only looks for a lock mostly finds none

        self.lock = FileLock(directory / name)
        try:
            self.lock.acquire(timeout=patience)
        except Timeout:
            raise HeldError from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Free the lock, and remove its file: one that is left over shows that its process was killed."""
        if self.lock.is_locked:
            with suppress(OSError):  # the directory may be gone
                Path(self.lock.lock_file).unlink(missing_ok=True)  # first: afterwards it may be somebody else's
            self.lock.release()


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
