"""A storage that does not answer is asked again: a database that is restarted, a file that others have locked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar, cast

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import get_storage
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError, SQLAlchemyError

from rllab.errors import ConfigError
from rllab.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from optuna.storages import BaseStorage
    from optuna.trial import TrialState

T = TypeVar("T")
_FIRST, _LONGEST = 0.1, 2.0
"""Seconds of the first pause, each of the next being twice as long, and of the longest."""


class NoAnswerError(ConfigError):
    """The storage has not answered for as long as `hydra.sweeper.patience` says."""


class Patience:
    """How long a storage is asked again. All that ask it share one, in any thread.

    Args:
        seconds: `hydra.sweeper.patience`.
        shown: the storage as a person types it.
        say: told once, when it does not answer, and again when it does.
    """

    def __init__(self, seconds: float, shown: str, say: Callable[[str], None]) -> None:
        self.seconds, self.shown, self.say = seconds, shown, say
        self.silent = False  # whether the latest call was not answered
        self.silences = 0  # how often it has fallen silent
        self.given_up = False

    def give_up(self) -> None:
        """Do not ask again what is not answered from here on; signal handlers may call it."""
        self.given_up = True

    def ask(self, call: Callable[[], T]) -> T:
        """What `call` gives, which is made again until the storage answers it.

        Raises:
            NoAnswerError: it has not.
        """
        began, pause = time.monotonic(), _FIRST
        while True:
            try:
                answer = call()
            except (StorageInternalError, SQLAlchemyError, OSError) as error:
                reason = _silence(error)
                if reason is None:
                    raise
                left = began + self.seconds - time.monotonic()
                if left <= 0 or self.given_up:
                    raise NoAnswerError(self._line(time.monotonic() - began, reason)) from None
                if not self.silent:
                    self.silent = True
                    self.silences += 1
                    self.say(f"{self.shown} does not answer ({reason}); asking again for {self.seconds:g} s")
                time.sleep(min(pause, left))
                pause = min(2 * pause, _LONGEST)
            else:
                if self.silent:
                    self.silent = False
                    self.say(f"{self.shown} answers again")
                return answer

    def _line(self, seconds: float, reason: str) -> str:
        return (
            f"hydra.sweeper.storage: got {self.shown!r}, which has not answered for {seconds:.0f} s ({reason}); "
            "start it and type the same command again, which goes on, or write more than "
            f"hydra.sweeper.patience={self.seconds:g}"
        )


class _Patient:
    """A storage of which every method is patient. A call whose answer was lost may have been carried out.

    - What is read, and what is written under a name or a frame, may be repeated.
    - A new trial is then there twice. The first is in nobody's hands, so a sweeper puts it back (`study.look_after`).
    - So is a trial that was taken: whoever takes it again is told that it is taken.
    - A trial that was ended is refused when it is ended again, which is no news here.
    """

    def __init__(self, storage: BaseStorage, patience: Patience) -> None:
        self._storage, self._patience = storage, patience

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._storage, name)
        return lambda *args, **options: self._patience.ask(lambda: method(*args, **options))

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        times = 0

        def change() -> bool:
            nonlocal times
            times += 1
            try:
                return self._storage.set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                trial = self._storage.get_trial(trial_id)
                if times > 1 and (trial.state, trial.values) == (state, None if values is None else list(values)):
                    return True
                raise

        return self._patience.ask(change)


def patient(storage: BaseStorage, patience: Patience) -> BaseStorage:
    """The same storage, asked with patience."""
    return cast("BaseStorage", _Patient(get_storage(storage), patience))


def _silence(error: BaseException) -> str | None:
    """Why there is no answer; None if the error is one."""
    cause = error.__cause__ or error
    if isinstance(cause, OSError):
        return cause.strerror or one_line(cause)
    if isinstance(cause, PendingRollbackError):
        return "the connection was lost"
    if isinstance(cause, (OperationalError, InterfaceError)) or (
        isinstance(cause, DBAPIError) and cause.connection_invalidated
    ):
        return one_line(str(cause.orig).strip().partition("\n")[0])[:200]
    return None
