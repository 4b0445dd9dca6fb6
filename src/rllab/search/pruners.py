"""Which trials are stopped early. Steps are frames; higher values are better."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner

from rllab.errors import ConfigError

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from rllab.config import MetaConfig

MIN_OTHERS = 3
"""The fewest other trials with a value at the same frame whose median is trusted."""


class MedianPruner(BasePruner):
    """Stops a trial whose best value so far lies below the median of all others at the same frame.

    Optuna's own pruner of this name counts complete trials only, so that nothing is stopped before the first ones have
    run to their end. The rule is that of Golovin et al. 2017, with the others' values at that frame, which all trials
    report, in place of their running averages.
    """

    def __init__(self, grace_period: int) -> None:
        self.grace_period = grace_period

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        frame = trial.last_step
        if frame is None or frame < self.grace_period:
            return False
        others = [
            other.intermediate_values[frame]
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number and frame in other.intermediate_values
        ]
        return len(others) >= MIN_OTHERS and max(trial.intermediate_values.values()) < float(np.median(others))


def make_pruner(kind: str, grace_period: int, reduction_factor: int) -> BasePruner:
    """The pruner of `meta.search_scheduler`; the grace period in frames."""
    pruners: dict[str, Any] = {
        "median": lambda: MedianPruner(grace_period),
        "asha": lambda: SuccessiveHalvingPruner(min_resource=grace_period, reduction_factor=reduction_factor),
        "none": NopPruner,
    }
    pruner = pruners[kind]()
    assert isinstance(pruner, BasePruner)
    return pruner


def check_scheduler(meta: MetaConfig, *, max_frame: int, grid: bool) -> dict[str, Any]:
    """The arguments of `make_pruner` that `meta.search_scheduler` asks for; a plain grid is never pruned.

    Raises:
        ConfigError: the grace period fits neither the budget nor the log checkpoints, at which trials report.
    """
    scheduler, period, name = meta.search_scheduler, meta.log_frequency, "meta.search_scheduler.grace_period"
    arguments = {"kind": scheduler.kind, "grace_period": 0, "reduction_factor": scheduler.reduction_factor}
    if scheduler.kind == "none" or (grid and meta.max_trial == 1):
        return arguments | {"kind": "none"}
    if period >= max_frame:
        raise ConfigError(
            f"meta.log_frequency: got {period}, so that no trial reports before its end at env.max_frame={max_frame}; "
            f"write at most {max(max_frame // 10, 1)}, or meta.search_scheduler.kind=none"
        )
    grace, tenth = scheduler.grace_period, math.ceil(max_frame / 10 / period) * period
    if grace is None:
        return arguments | {"grace_period": tenth}
    if grace >= max_frame:
        raise ConfigError(
            f"{name}: got {grace}, so that no trial is stopped before its end at env.max_frame={max_frame}; "
            f"write e.g. {name}={tenth}, or meta.search_scheduler.kind=none"
        )
    if grace % period:
        raise ConfigError(
            f"{name}: got {grace}, which no log checkpoint meets (meta.log_frequency={period}); "
            f"write {name}={max(grace // period, 1) * period}"
        )
    return arguments | {"grace_period": grace}
