"""One worker as its parent holds it."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

_WORDS = 1.0
"""Seconds that a process which has said its last may take to end."""


class WorkerError(Exception):
    """A worker crashed, was killed or hangs. Its text is one line; a traceback from the worker is a note to it."""


@dataclass
class Handle:
    """One process, and what it has sent."""

    index: int
    numbers: range  # of its sessions
    process: BaseProcess
    link: Connection
    ready: bool = False
    notes: list[str] = field(default_factory=list)
    state: dict[str, Any] | None = None
    best: dict[str, Any] | None = None
    best_changed: bool = False
    answered: int = 0  # number of the latest snapshot that it has sent its state for
    ended: bool = False
    frame: int = 0  # of its own, at the last look
    moved_at: float = field(default_factory=time.monotonic)  # when that frame changed, or a message came or went
    waits: bool = False  # for our word: it cannot hang, however long others take

    def tell(self, word: Any) -> None:
        self.waits, self.moved_at = False, time.monotonic()
        with suppress(OSError):  # it has died, which `Workers._receive` notices
            self.link.send(word)

    def cause(self) -> str:
        """In words, how a process has ended."""
        self.process.join(_WORDS)
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return "hung up" if code is None else f"ended with exit code {code}"
