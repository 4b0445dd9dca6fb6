"""One study as its sweepers share it: who runs which trial, what is left, and whose trials have to be run again.

A trial is WAITING, RUNNING in the hands of one sweeper, or finished; Optuna's storages let only one process take it
from WAITING, and only one finish it. A trial that is put back keeps its number, and so its directory, its parameters
and its reports, but has no owner: until whoever takes it has written its name, it is in nobody's hands.
"""

from __future__ import annotations

import platform
import time
import uuid
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import optuna
from filelock import FileLock, Timeout
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from rllab.errors import ConfigError
from rllab.host.process import is_held
from rllab.search import place
from rllab.search.identity import differences
from rllab.search.storage import note
from rllab.search.trials import State, TrialRow
from rllab.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.study import Study
    from optuna.trial import Trial

    from rllab.search.patience import Patience

BEAT = 5.0
"""Seconds between two signs of life of a sweeper, and between two looks for others that have vanished."""
_LEAST = 2 * BEAT
"""Seconds that a sweeper has for a sign of life at least, and to write its name on a trial that it has taken."""
MAX_STARTS = 5
"""How often in a row a trial may be killed before its training begins."""
_STATES: dict[TrialState, State] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


class SharedStudy:
    """The trials of one search, from 0 to `total`, as one of its sweepers sees them.

    Args:
        name: of the study.
        storage: where it is kept.
        patience: with which that is asked; also the seconds without a sign of life after which another sweeper counts
            as vanished, so that one which the storage did not answer in between still has its trials.
        directory: of this machine's results.
        sampler: proposes what nobody has asked for yet.
        total: trials of the search.
        max_retries: how often the trial of a vanished sweeper is run again, if its training had begun.
    """

    def __init__(
        self,
        name: str,
        storage: BaseStorage,
        patience: Patience,
        directory: Path,
        sampler: BaseSampler,
        *,
        total: int,
        max_retries: int,
    ) -> None:
        self.storage = storage
        self.patience = patience
        self.total = total
        self.max_retries = max_retries
        self.held: set[tuple[int, int]] = set()  # number and attempt of each trial that this sweeper runs
        self.study: Study = optuna.create_study(
            study_name=name, storage=storage, sampler=sampler, direction="maximize", load_if_exists=True
        )
        self.study_id = storage.get_study_id_from_name(name)
        self.id = f"{platform.node()}-{uuid.uuid4().hex[:8]}"
        self.directory = directory
        self.locks = directory / place.SWEEPERS
        self.lock = FileLock(self.locks / f"{self.id}.lock")
        with self._writing():
            self.locks.mkdir(parents=True, exist_ok=True)
            self.lock.acquire()  # the system lets go of it when this process dies, however it dies
        self.beat = 0
        self.study.set_user_attr(f"sweeper:{self.id}", self.beat)
        self.next_beat = 0.0
        self.seen: dict[str, tuple[object, float]] = {}
        self.silences = patience.silences

    def claim(self, facts: dict[str, Any]) -> None:
        """Write into the study what this search is, unless that is there already.

        Args:
            facts: JSON by name; the one named `search` tells searches apart (see `identity.describe`).

        Raises:
            ConfigError: the study is that of another search; the message names the differences.
        """
        known = self.study.user_attrs
        if not isinstance(known.get("search", {}), dict):
            raise self._no_study("what it searches is not written there")
        if "search" in known and (differing := differences(known["search"], facts["search"])):
            raise ConfigError(
                f"hydra.sweeper.study_name: {self.study.study_name!r} holds another search: {differing}; "
                "write another study_name"
            )
        for key, value in facts.items():
            if key not in known:
                self.study.set_user_attr(key, value)
        with self._writing():
            place.mark(self.directory, study=self.study.study_name, sweeper=self.id, search=facts["search"])

    def alone(self) -> bool:
        """Whether no other sweeper has ever worked on the study; of two that start at once, at most one is told so."""
        return sum(name.startswith("sweeper:") for name in self.study.user_attrs) == 1

    def trials(self) -> list[FrozenTrial]:
        """The trials that exist so far, at most `total`.

        Raises:
            ConfigError: the database has something else in the place of a number, by which a directory is named.
        """
        with self._understood():
            trials = self.study.get_trials(deepcopy=False)[: self.total]
        for trial in trials:
            if not isinstance(trial.number, int):  # SQLite keeps any text in a column of integers
                raise self._no_study(f"a trial has the number {trial.number!r}")
        return trials

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Refuse in one line what Optuna cannot make sense of."""
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise self._no_study(f"{type(error).__name__}: {one_line(error)[:200]}") from error

    def _no_study(self, problem: str) -> ConfigError:
        return ConfigError(
            f"hydra.sweeper.study_name: {self.study.study_name!r} is no study of rllab: {problem}; "
            "write another study_name"
        )

    def ask(self, distributions: dict[str, BaseDistribution]) -> FrozenTrial | None:
        """Take a trial to run: one that waits, or else a new one; None if there is none to start."""
        trials = self.trials()
        if len(trials) == self.total and all(trial.state != TrialState.WAITING for trial in trials):
            return None
        with self._understood():
            asked = self.study.ask(fixed_distributions=distributions)
            attempt = int(asked.user_attrs.get("attempt", -1)) + 1
        trial_id = self._id_of(asked)
        if asked.number >= self.total:  # another sweeper took the last one in between
            self.storage.set_trial_state_values(trial_id, TrialState.WAITING)
            return None
        with suppress(UpdateFinishedTrialError):  # as below, and it has ended there
            note(self.storage, trial_id, attempt=attempt, owner=self.id)
        trial = self.storage.get_trial(trial_id)
        if trial.state != TrialState.RUNNING or _attempt(trial)[1] != self.id:
            return None  # the storage was silent for so long that another sweeper has put it back
        for name, value in trial.params.items():  # it becomes a word of a job's command line
            is_choice = isinstance(distributions.get(name), CategoricalDistribution)
            if name not in distributions or not (is_choice or isinstance(value, int | float)):
                raise self._no_study(f"trial {trial.number} has {name}={value}")
        self.held.add((trial.number, attempt))
        return trial

    def fail(self, trial: FrozenTrial, reason: str) -> None:
        """Mark a trial as failed, unless it has a result after all, or another sweeper runs it now."""
        self._leave(trial, TrialState.FAIL, reason=reason)

    def fail_if_begun(self, trial: FrozenTrial, reason: str) -> None:
        """Mark a trial whose job was killed as failed; before it had begun to train, `lose` it."""
        if _has_begun(self.storage.get_trial(self._id_of(trial))):
            self.fail(trial, reason)
        else:
            self.lose(trial, reason)

    def put_back(self, trial: FrozenTrial, **notes: object) -> None:
        """Let a trial that was interrupted be taken again, by this sweeper or another."""
        self._leave(trial, TrialState.WAITING, seconds=_seconds(trial), owner=None, **notes)

    def lose(self, trial: FrozenTrial, what: str) -> None:
        """Put back a trial whose job or sweeper was killed, unless that has happened too often.

        Attempts that had begun to train count against `max_retries`. Of the others nothing is known but that they were
        killed, as by whoever starts and stops a search; only those in a row count, against `MAX_STARTS`.
        """
        now = self.storage.get_trial(self._id_of(trial))
        if _has_begun(now):
            lost = now.user_attrs.get("lost", 0) + 1
            if lost > self.max_retries:
                self.fail(trial, f"{what} {lost} times")
            else:
                self.put_back(trial, lost=lost, unbegun=0)
        elif (unbegun := now.user_attrs.get("unbegun", 0) + 1) >= MAX_STARTS:
            self.fail(trial, f"{what} {unbegun} times in a row before training began")
        else:
            self.put_back(trial, unbegun=unbegun)

    def _leave(self, trial: FrozenTrial, state: TrialState, **notes: object) -> None:
        """End this attempt at a trial, if it is the latest, and runs: others may have taken it while this one slept."""
        trial_id = self._id_of(trial)
        now = self.storage.get_trial(trial_id)
        if now.state == TrialState.RUNNING and _attempt(now) == _attempt(trial):
            with suppress(UpdateFinishedTrialError):  # at this moment the job has ended it
                note(self.storage, trial_id, **notes)
                self.storage.set_trial_state_values(trial_id, state)
        self.held.discard((trial.number, _attempt(trial)[0]))

    def look_after(self) -> None:
        """Every few seconds: give a sign of life, and put back the trials of sweepers that have vanished."""
        if time.monotonic() < self.next_beat:
            return
        self.next_beat = time.monotonic() + BEAT
        self.beat += 1
        self.study.set_user_attr(f"sweeper:{self.id}", self.beat)
        beats = self.study.user_attrs
        if self.silences != self.patience.silences:  # nobody could give a sign of life
            self.silences = self.patience.silences
            self.seen.clear()
        # two sweepers of one machine must not put back the same trial
        with suppress(Timeout), FileLock(self.locks / "recovery.lock", blocking=False):
            for trial in self.trials():
                if trial.state != TrialState.RUNNING or self._lives(trial, beats):
                    continue
                if _attempt(trial)[1] is None:  # nobody has begun anything
                    self.put_back(trial)
                else:
                    self.lose(trial, "its sweeper vanished")

    def _lives(self, trial: FrozenTrial, beats: dict[str, Any]) -> bool:
        """Whether the sweeper that runs a trial is still there.

        On this machine its file lock tells at once; of one on another machine a counter in the study must grow. A trial
        without an owner belongs to a sweeper that died between taking it and writing its name, or was not told that it
        has taken it.
        """
        owner = _attempt(trial)[1]
        if owner == self.id:
            return (trial.number, _attempt(trial)[0]) in self.held
        lock = self.locks / f"{owner}.lock"
        if owner is not None and lock.parent == self.locks and lock.exists() and (held := is_held(lock)) is not None:
            return held
        key = owner or f"trial {trial.number}"
        sign = trial.datetime_start if owner is None else beats.get(f"sweeper:{owner}")
        if key not in self.seen or self.seen[key][0] != sign:
            self.seen[key] = sign, time.monotonic()
        allowed = _LEAST if owner is None else max(self.patience.seconds, _LEAST)
        return time.monotonic() - self.seen[key][1] < allowed

    def rows(self) -> list[TrialRow]:
        """The trials as a person sees them."""
        return [to_row(trial) for trial in self.trials()]

    def finished(self) -> bool:
        """Whether every trial of the search has ended, here or elsewhere."""
        trials = self.trials()
        return len(trials) == self.total and all(trial.state.is_finished() for trial in trials)

    def close(self) -> None:
        self.lock.release()
        if not self.held:  # otherwise others of this machine are to see at once that nobody runs these
            (self.locks / f"{self.id}.lock").unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            got = f"hydra.sweep.dir: got {str(self.directory)!r}, which cannot be used ({error.strerror})"
            raise ConfigError(f"{got}; write another one") from None

    def _id_of(self, trial: FrozenTrial | Trial) -> int:
        """The storage's name of a trial, which is unique among all studies that it holds."""
        return self.storage.get_trial_id_from_study_id_trial_number(self.study_id, trial.number)


def _attempt(trial: FrozenTrial) -> tuple[int, str | None]:
    """Which attempt at its trial this is, and whose. Two sweepers that take it at once may count the same number."""
    return trial.user_attrs.get("attempt", -1), trial.user_attrs.get("owner")


def _has_begun(trial: FrozenTrial) -> bool:
    """Whether the latest attempt at a trial had begun to train."""
    return trial.user_attrs.get("begun") == _attempt(trial)[0]


def to_row(trial: FrozenTrial) -> TrialRow:
    """A trial as a person sees it."""
    last = trial.last_step
    value = trial.value if trial.state.is_finished() else None
    if value is None:
        value = trial.intermediate_values[last] if last is not None else float("nan")
    return TrialRow(
        index=int(trial.number),
        state=_STATES[trial.state],
        params=trial.params,
        frame=trial.user_attrs.get("frame", last or 0),
        value=value,
        seconds=_seconds(trial),
        reason=trial.user_attrs.get("reason", ""),
    )


def _seconds(trial: FrozenTrial) -> float:
    """Seconds of all attempts of a trial."""
    before: float = trial.user_attrs.get("seconds", 0.0)
    if trial.state == TrialState.WAITING or trial.datetime_start is None:
        return before
    return before + ((trial.datetime_complete or datetime.now()) - trial.datetime_start).total_seconds()  # noqa: DTZ005 - as Optuna stores it
