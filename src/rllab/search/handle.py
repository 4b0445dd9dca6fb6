"""The job's end of a search: report, learn whether to stop, and say how it ended."""

from __future__ import annotations

import math
import sys
import threading
from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING

from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import load_study
from optuna.trial import FrozenTrial, TrialState

from rllab.search.patience import Patience
from rllab.search.pruners import make_pruner
from rllab.search.storage import note, open_storage, public
from rllab.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

_ANSWER, _LOOK = 2.0, 0.02
"""Seconds that a report waits for the pruner's answer at most, and between two looks whether it will come."""


class TrialCancelled(Exception):  # noqa: N818 - not an error of the trial
    """The search has given this trial to another job, or has ended it."""


class TrialHandle:
    """One trial of a study, held by the job that runs it.

    What the job says is delivered by a thread. While the storage does not answer it waits there, in order, and the job
    goes on; so a pruner's answer may come at a later report.
    """

    def __init__(self, storage: str, study: str, *, number: int, attempt: int, owner: str, patience: float) -> None:
        """Attach to the trial.

        Args:
            storage: its URL.
            study: its name.
            number: of the trial.
            attempt: counts the jobs that have run this trial.
            owner: the sweeper that has started this one.
            patience: seconds for which a storage that does not answer is asked again.

        Raises:
            NoAnswerError: it was asked for so long.
            TrialCancelled: the search no longer waits for this job.
        """
        self.patience = Patience(patience, public(storage), _say)
        self.storage = open_storage(storage, patience=self.patience)
        self.study = load_study(study_name=study, storage=self.storage)
        self.scheduler = self.study.user_attrs["scheduler"]
        self.pruner = make_pruner(**self.scheduler)
        study_id = self.storage.get_study_id_from_name(study)
        self.trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, number)
        self.name, self.attempt, self.owner = study, attempt, owner
        self.begun = False
        self.stop_at: int | None = None  # the frame at which the pruner found that it should stop
        self.pruned = False
        """Whether the job has been told so."""
        self._mail = _Mail()
        self._trial()

    def begin(self) -> None:
        """Say that training begins. Who is interrupted before that has not spent a retry; a report says so as well.

        Raises:
            TrialCancelled: the search no longer waits for this job.
        """
        self._send(self._begin)

    def report(self, frame: int, value: float, *, last: bool = False) -> bool:
        """Report the score at a log checkpoint, and ask the pruner.

        Args:
            frame: of the checkpoint; all trials have theirs at the same frames.
            value: the score; nan, before any episode has ended, is not reported.
            last: whether this is the last frame, after which nothing is left to stop.

        Returns:
            Whether the trial should stop now.

        Raises:
            TrialCancelled: the search no longer waits for this job.
            NoAnswerError: the storage has not answered for as long as it may.
        """
        self._send(lambda: self._report(frame, value, last=last))
        self.pruned = self.stop_at is not None
        return self.pruned

    def finish(self, score: float, frame: int) -> None:
        """Record the end: the score of a complete trial, the last report of one that was stopped.

        Raises:
            ValueError: the score is not a number.
            TrialCancelled: as for `report`.
            NoAnswerError: as for `report`.
        """
        self._mail.wait(lambda: False)
        trial = self._trial()
        note(self.storage, self.trial_id, frame=frame)
        if self.pruned:
            note(self.storage, self.trial_id, reason=f"{self._rule()} at frame {self.stop_at:,}")
            state, value = TrialState.PRUNED, trial.intermediate_values[max(trial.intermediate_values)]
        elif math.isfinite(score):
            state, value = TrialState.COMPLETE, score
        else:
            raise ValueError(f"the score is {score}: no episode ended, or training diverged")
        try:
            self.storage.set_trial_state_values(self.trial_id, state, [value])
        except UpdateFinishedTrialError:
            raise TrialCancelled from None

    def _send(self, deliver: Callable[[], None]) -> None:
        seconds = 0 if self._mail.waiting else _ANSWER  # behind others, which are late already
        self._mail.post(deliver)
        self._mail.wait(lambda: self.patience.silent, seconds=seconds)

    def _begin(self) -> None:
        self._trial()
        if not self.begun:
            note(self.storage, self.trial_id, begun=self.attempt)
            self.begun = True

    def _report(self, frame: int, value: float, *, last: bool) -> None:
        self._begin()
        if math.isnan(value):
            return
        self.storage.set_trial_intermediate_value(self.trial_id, frame, value)
        if self.stop_at is None and not last and self.pruner.prune(self.study, self._trial()):
            self.stop_at = frame

    def _trial(self) -> FrozenTrial:
        """The trial as the storage has it; a `TrialCancelled` if another job has it now, or it has ended."""
        trial = self.storage.get_trial(self.trial_id)
        held = trial.user_attrs.get("attempt"), trial.user_attrs.get("owner")
        if trial.state != TrialState.RUNNING or held != (self.attempt, self.owner):
            raise TrialCancelled
        return trial

    def _rule(self) -> str:
        if self.scheduler["kind"] == "median":
            return "below the median"
        return f"not in the best {Fraction(1, self.scheduler['reduction_factor'])}"


class _Mail:
    """Calls that are made one after the other, in a thread that is there only while there are any.

    What one of them raises is raised by the next `wait`, and none is made after it.
    """

    def __init__(self) -> None:
        self.waiting: deque[Callable[[], None]] = deque()
        self.thread: threading.Thread | None = None
        self.lock = threading.Lock()
        self.error: BaseException | None = None

    def post(self, call: Callable[[], None]) -> None:
        with self.lock:
            self.waiting.append(call)
            if self.thread is None:
                self.thread = threading.Thread(target=self._deliver, daemon=True)
                self.thread.start()

    def wait(self, given_up: Callable[[], bool], *, seconds: float = math.inf) -> None:
        """Until all are made, or there is no use in waiting, or for so many seconds at most."""
        thread, passed = self.thread, 0.0
        while thread is not None and thread.is_alive() and passed < seconds and not given_up():
            thread.join(_LOOK)
            passed += _LOOK
        if self.error is not None:
            raise self.error

    def _deliver(self) -> None:
        try:
            while True:
                with self.lock:
                    if not self.waiting:
                        self.thread = None
                        return
                self.waiting[0]()
                self.waiting.popleft()
        except BaseException as error:  # noqa: BLE001 - it is for the thread that trains
            self.error = error


def _say(line: str) -> None:
    """For `output.log`, where the rest of the trial is."""
    sys.stderr.write(f"{printable(line)}\n")
