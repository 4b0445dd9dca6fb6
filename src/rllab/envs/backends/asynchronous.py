"""Sub-envs in processes of their own; a failure names the sub-env."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from rllab.envs.backends.contract import Backend
from rllab.envs.backends.sync import row_makers
from rllab.envs.gymnasium_internals import KillableAsyncEnvs, orphan_safe_worker
from rllab.envs.sub_env import SubEnvError, reason_of
from rllab.host import memory

_OF_A_PROCESS = 16 * 2**20
"""Bytes that are a process's own, and not shared with its parent: the least."""
_OTHER_FILES = 64

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gymnasium.envs.registration import EnvSpec
    from gymnasium.vector import VectorEnv

    from rllab.config import EnvConfig
    from rllab.envs.sub_env import SubEnv


class Async(Backend):
    """A process for each sub-env: it pays where a step takes milliseconds."""

    name = "async"
    takes_wrappers = True

    def check(self, spec: EnvSpec, config: EnvConfig, num_sessions: int) -> None:  # noqa: ARG002
        most = _most_processes()
        if most is not None and config.num_envs * num_sessions > most:
            sessions = f", and meta.max_session={num_sessions} as many times" if num_sessions > 1 else ""
            raise ValueError(
                f"env.num_envs: got {config.num_envs}{sessions}, each of which env.backend=async gives a process, and "
                f"this machine has memory and files for {most:,}; write at most {max(most // num_sessions, 1)}"
            )

    def make(self, spec: EnvSpec, config: EnvConfig, num_rows: int) -> VectorEnv[Any, Any, Any]:
        return AsyncEnvs(row_makers(spec, config, num_rows), timeout=config.timeout)


def _most_processes() -> int | None:
    """How many this machine can run; None where that is not known."""
    available = memory.available_memory()
    known = [] if available is None else [available // _OF_A_PROCESS]
    with suppress(ImportError):  # Windows
        import resource  # noqa: PLC0415

        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        known += [] if files == resource.RLIM_INFINITY else [(files - _OTHER_FILES) // 2]  # both ends of a pipe
    return min(known, default=None)


class AsyncEnvs(KillableAsyncEnvs):
    """Gymnasium's `AsyncVectorEnv`, which waits for a sub-env for `timeout` seconds at most.

    `reset` and `step` raise `SubEnvError` when a sub-env raises, when its process dies, and when it hangs; the other
    processes are ended then.
    """

    def __init__(self, makers: Sequence[Callable[[], SubEnv]], *, timeout: float) -> None:
        super().__init__([partial(_make, maker, os.getpid()) for maker in makers], worker=orphan_safe_worker)
        self.timeout = timeout

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        try:
            self.reset_async(**kwargs)
            return self.reset_wait(self.timeout)
        except (multiprocessing.TimeoutError, EOFError, OSError) as error:
            raise self._failure() from error

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        try:
            self.step_async(actions)
            return self.step_wait(self.timeout)
        except (multiprocessing.TimeoutError, EOFError, OSError) as error:
            raise self._failure() from error

    def raise_error(self, row: int, error: Exception, trace: str) -> None:
        self.kill()
        raise SubEnvError(row, reason_of(error)) from RuntimeError(trace)

    def _failure(self) -> SubEnvError:
        """The error for a sub-env that did not answer: its process has died, or it hangs."""
        silent = [row for row, pipe in enumerate(self.parent_pipes) if not pipe.poll()]
        for process in self.processes:
            process.join(0.01)  # so that the exit code of a process that dies at this moment is known
        codes = [process.exitcode for process in self.processes]
        self.kill()
        for row, code in enumerate(codes):
            if code is not None:
                return SubEnvError(row, f"its process ended with exit code {code}")
        return SubEnvError(silent[0], f"no answer within env.timeout={self.timeout:g} seconds")


def _make(maker: Callable[[], SubEnv], parent: int) -> SubEnv:
    """Make a sub-env, in its own process or, for a look at its spaces, in the parent.

    Ctrl-C reaches the whole group of processes, but it is for the trainer, which saves and then ends these.
    """
    if os.getpid() != parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        threading.Thread(target=_end_with_parent, daemon=True).start()
    return maker()


def _end_with_parent() -> None:
    """End at once when the trainer has been killed, and not after a step that takes long."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
