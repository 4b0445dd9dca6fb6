"""The job's end of a search: report, learn whether to stop, and say how it ended."""

from __future__ import annotations

import math
from fractions import Fraction

from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import load_study
from optuna.trial import FrozenTrial, TrialState

from rllab.search.pruners import make_pruner
from rllab.search.storage import note, open_storage


class TrialCancelled(Exception):  # noqa: N818 - not an error of the trial
    """The search has given this trial to another job, or has ended it."""


class TrialHandle:
    """One trial of a study, held by the job that runs it."""

    def __init__(self, storage: str, study: str, *, number: int, attempt: int) -> None:
        self.storage = open_storage(storage)
        self.study = load_study(study_name=study, storage=self.storage)
        self.scheduler = self.study.user_attrs["scheduler"]
        self.pruner = make_pruner(**self.scheduler)
        study_id = self.storage.get_study_id_from_name(study)
        self.trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, number)
        self.attempt = attempt
        self.pruned = False
        self._trial()

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
        """
        self._trial()
        if math.isnan(value):
            return False
        self.storage.set_trial_intermediate_value(self.trial_id, frame, value)
        if not last and self.pruner.prune(self.study, self._trial()):
            self.pruned = True
            note(self.storage, self.trial_id, reason=f"{self._rule()} at frame {frame:,}")
        return self.pruned

    def finish(self, score: float, frame: int) -> None:
        """Record the end: the score of a complete trial, the last report of one that was stopped.

        Raises:
            ValueError: the score is not a number.
            TrialCancelled: as for `report`.
        """
        trial = self._trial()
        note(self.storage, self.trial_id, frame=frame)
        if self.pruned:
            state, value = TrialState.PRUNED, trial.intermediate_values[max(trial.intermediate_values)]
        elif math.isfinite(score):
            state, value = TrialState.COMPLETE, score
        else:
            raise ValueError(f"the score is {score}: no episode ended, or training diverged")
        try:
            self.storage.set_trial_state_values(self.trial_id, state, [value])
        except UpdateFinishedTrialError:
            raise TrialCancelled from None

    def _trial(self) -> FrozenTrial:
        """The trial as the storage has it; a `TrialCancelled` if another job has it now, or it has ended."""
        trial = self.storage.get_trial(self.trial_id)
        if trial.state != TrialState.RUNNING or trial.user_attrs.get("attempt") != self.attempt:
            raise TrialCancelled
        return trial

    def _rule(self) -> str:
        if self.scheduler["kind"] == "median":
            return "below the median"
        return f"not in the best {Fraction(1, self.scheduler['reduction_factor'])}"
