"""CMA-ES without Optuna's pickles: a study may be somebody else's, and what is unpickled can execute code.

Optuna keeps the state of CMA-ES in the study, pickled. Here it is made anew from the trials each time one is proposed,
by telling it the generations that have ended. That takes about a millisecond for each, and proposes the same.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna import samplers
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


class CmaEsSampler(samplers.CmaEsSampler):
    """Proposes what Optuna's sampler proposes, and neither writes nor reads a pickle. Its hooks are Optuna's own."""

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> None:
        """Restore nothing, so that `_init_optimizer` is called, which is to know these trials."""
        self._completed = completed_trials

    def _init_optimizer(self, trans: Any, direction: Any) -> Any:
        """A new optimizer that has been told all generations that have ended: Optuna finds none left to tell."""
        begun = self._cma_rng.rng.get_state()
        optimizer: Any = super()._init_optimizer(trans, direction)
        while ended := self._get_solution_trials(self._completed, optimizer.generation):
            optimizer = copy.deepcopy(optimizer)  # rounds as a pickle does: numbers are the same to the last bit
            if len(ended) < optimizer.population_size:
                break
            optimizer.tell([self._told(trial, trans, direction) for trial in ended[: optimizer.population_size]])
        if any(trial.system_attrs.get(self._attr_key_generation, 0) != 0 for trial in self._completed):
            self._cma_rng.rng.set_state(begun)  # Optuna would have restored the optimizer, and drawn no seed for it
        return optimizer

    def _told(self, trial: FrozenTrial, trans: Any, direction: Any) -> tuple[np.ndarray, float]:
        """A point and its value, of which less is better, as Optuna tells them."""
        assert trial.value is not None
        x = np.array(trial.system_attrs["x_for_tell"]) if self._with_margin else trans.transform(trial.params)
        return x, trial.value if direction == StudyDirection.MINIMIZE else -trial.value

    def _get_solution_trials(self, trials: list[FrozenTrial], generation: int) -> list[FrozenTrial]:
        """The trials of a generation in the order in which they ended: one that ends later changes nothing."""
        found = super()._get_solution_trials(trials, generation)
        return sorted(found, key=lambda trial: (trial.datetime_complete, trial.number))


def without_pickles(sampler: BaseSampler) -> BaseSampler:
    """The same sampler; where it, or one inside it, is Optuna's CMA-ES, that keeps no pickles in the study."""
    for inner in vars(sampler).values():
        if isinstance(inner, BaseSampler):
            without_pickles(inner)
    if type(sampler) is samplers.CmaEsSampler:
        sampler.__class__ = CmaEsSampler  # it has the same attributes, and so it need not be told its settings again
    return sampler
