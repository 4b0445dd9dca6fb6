"""The callbacks of a run: how they are found, told, saved, and what happens where one fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rllab import calls
from rllab.callbacks import Callback
from rllab.errors import ConfigError
from rllab.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rllab.callbacks import Training
    from rllab.config import RunConfig
    from rllab.training.sessions import CheckpointReport


class CallbackError(Exception):
    """A callback has raised. Its text is one line; the error is its cause."""


class Function(Callback):
    """A function as a callback: called at each log checkpoint."""

    def __init__(self, function: Callable[[Training], None]) -> None:
        self.function = function

    def on_log(self, training: Training) -> None:
        self.function(training)


class Callbacks:
    """All callbacks of a run, as one."""

    def __init__(self, all_of_them: Sequence[Callback]) -> None:
        self.all = [*all_of_them]

    def __bool__(self) -> bool:
        return bool(self.all)

    def start(self, training: Training) -> None:
        self._tell("on_start", training)

    def checkpoint(self, training: Training, found: CheckpointReport) -> None:
        """Tell what the sessions report; the rows may get more columns."""
        training.frame, training.rows = found.frame, found.rows
        training.scores, training.best_scores = found.scores, found.best_scores
        for session, episode in found.ended:
            self._tell("on_episode", training, session, episode)
        self._tell(f"on_{found.kind}", training)
        training.rows = []

    def end(self, training: Training) -> None:
        self._tell("on_end", training)

    def _tell(self, what: str, *told: Any) -> None:
        for callback in self.all:
            try:
                getattr(callback, what)(*told)
            except Exception as error:
                reason = one_line(error if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}")
                raise CallbackError(f"callbacks: {name_of(callback)} failed in {what}, {reason}") from error

    def state(self) -> list[list[Any]]:
        """Name and state of each, for the checkpoint."""
        return [[name_of(callback), callback.state_dict()] for callback in self.all]

    def load(self, saved: list[list[Any]]) -> list[str]:
        """Take in what `state` gave, each by its place and name; returns lines for a person.

        Those of Python are not there when a command line goes on with a run.
        """
        gone = []
        for index, (name, state) in enumerate(saved):
            if index < len(self.all) and name_of(self.all[index]) == name:
                self.all[index].load_state_dict(state)
            else:
                gone.append(name)
        return [f"callbacks: {name} of the run before is not there" for name in gone]


def name_of(callback: Callback) -> str:
    """``my_pkg.Early``."""
    named = callback.function if isinstance(callback, Function) else type(callback)
    return f"{named.__module__}.{getattr(named, '__qualname__', type(named).__qualname__)}"


def make(cfg: RunConfig, given: Sequence[Callback | Callable[[Training], None]] = ()) -> Callbacks:
    """Those that the config names, and after them those `given` from Python.

    Raises:
        ConfigError: one cannot be imported, or does not take its arguments; one line.
    """
    try:
        made = [*(_make(name, arguments) for name, arguments in cfg.callback_calls), *map(_as_callback, given)]
    except ValueError as error:
        raise ConfigError(one_line(error)) from error
    for callback in made:
        try:
            callback.check(cfg)
        except ValueError as error:
            raise ConfigError(f"callbacks: {one_line(error)}") from error
    return Callbacks(made)


def _make(name: str, arguments: dict[str, Any]) -> Callback:
    found = calls.find("callbacks", name, example="[{rllab.callbacks.EarlyStopping: {score: 475}}]")
    if not isinstance(found, type):
        if arguments:
            raise ConfigError(f"callbacks: got {name!r} with arguments, but a function takes none; write a class")
        return _as_callback(found, name)
    if wrong := calls.unknown_argument(found, arguments):
        unknown, known = wrong
        write = f"one of {', '.join(known)}" if known else "none"
        raise ConfigError(f"callbacks: got {name!r} with {unknown}, which it does not take; write {write}")
    try:
        made = found(**arguments)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"callbacks: got {name!r}, which cannot be made: {one_line(error)}") from error
    return _as_callback(made, name)


def _as_callback(found: Any, name: str | None = None) -> Callback:
    if isinstance(found, Callback):
        return found
    if callable(found) and not isinstance(found, type):
        return Function(found)
    raise ConfigError(
        f"callbacks: got {name or found!r}, which is neither a function nor derived from rllab.callbacks.Callback"
    )
