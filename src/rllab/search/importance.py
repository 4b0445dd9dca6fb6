"""How much each searched field matters."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import optuna
from optuna.importance import PedAnovaImportanceEvaluator

from rllab.search.trials import too_few

if TYPE_CHECKING:
    from optuna.importance import BaseImportanceEvaluator
    from optuna.trial import FrozenTrial


def complete_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have run to their end, with a score that is a finite number."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state.name == "COMPLETE" and math.isfinite(trial.values[0])]


def searched_fields(study: optuna.Study) -> set[str]:
    """Fields that were sampled in any complete trial."""
    return {field for trial in complete_trials(study) for field in trial.params}


def importance_evaluator(study: optuna.Study) -> tuple[BaseImportanceEvaluator, float]:
    """Optuna's evaluator of importances, and the share of the complete trials that it counts as good ones."""
    quantile = min(max(0.1, 5 / len(complete_trials(study))), 0.5)  # its documentation asks for five good trials
    return PedAnovaImportanceEvaluator(target_quantile=quantile), quantile  # the others need scikit-learn


def importances(study: optuna.Study) -> dict[str, float]:
    """How much each field matters, shares that sum to 1; empty with too few complete trials or fields."""
    if too_few(len(complete_trials(study))) or len(searched_fields(study)) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the evaluator counts as experimental
        return optuna.importance.get_param_importances(study, evaluator=importance_evaluator(study)[0])
