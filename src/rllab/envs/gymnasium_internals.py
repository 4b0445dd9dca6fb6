"""What rllab needs of Gymnasium and what has no public name there; no other module uses it.

Tried with Gymnasium 1.4.0. `tests/envs/test_gymnasium_internals.py` says which of it has moved in another version.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gymnasium.vector.async_vector_env import AsyncState, AsyncVectorEnv, _async_worker

if TYPE_CHECKING:
    from collections.abc import Iterable

    import gymnasium.spaces as gs

CONSTANT_ATTRIBUTES = frozenset({"metadata", "spec", "_cached_spec", "_metadata", "_saved_kwargs"})
"""Attributes of envs and wrappers that never change: the state that is saved leaves them out."""


class KillableAsyncEnvs(AsyncVectorEnv):
    """An `AsyncVectorEnv` whose processes can be killed at any time, and that lets a subclass raise their errors."""

    def kill(self) -> None:
        """End all processes, also one that hangs, and close."""
        for process in self.processes:
            process.kill()
        self._state = AsyncState.DEFAULT  # otherwise `close` waits for the answers to the call that is under way
        self.close(terminate=True)

    def raise_error(self, row: int, error: Exception, trace: str) -> None:
        """Raise what the process of a row has raised.

        Args:
            row: of the sub-env.
            error: its exception.
            trace: the traceback there, as text.
        """
        raise NotImplementedError

    def _raise_if_errors(self, successes: Iterable[bool]) -> None:
        """What Gymnasium calls with the answers of all processes; its own prints the traceback of each error."""
        if not all(successes):
            row, _, error, trace = self.error_queue.get()
            self.raise_error(row, error, trace)


def orphan_safe_worker(*arguments: Any) -> None:
    """What Gymnasium runs in the process of a sub-env; it ends without a word when the trainer has been killed."""
    try:
        _async_worker(*arguments)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(1)


def has_generator(space: gs.Space[Any]) -> bool:
    """Whether a space has a random generator yet: reading the public `np_random` makes one."""
    return space._np_random is not None  # noqa: SLF001
