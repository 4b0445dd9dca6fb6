"""The fields of `hydra.sweeper`: Hydra refuses a wrong name or a wrong type, `check_options` what is out of range."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra_plugins.hydra_optuna_sweeper.config import TPESamplerConfig
from omegaconf import MISSING

from rllab.errors import ConfigError


@dataclass
class SweeperConfig:
    """Types of the fields that ``conf/hydra/sweeper/rllab.yaml`` sets and explains."""

    sampler: Any = MISSING
    study_name: str | None = None
    storage: str | None = None
    n_trials: int = MISSING
    n_jobs: int | None = None
    max_failure_rate: float = MISSING
    max_retries: int = MISSING
    patience: float = MISSING
    params: dict[str, Any] = MISSING
    _target_: str = MISSING


ConfigStore.instance().store(name="schema_search", node=SweeperConfig, provider="rllab")
ConfigStore.instance().store(name="schema_tpe", node=TPESamplerConfig, provider="rllab")


def check_options(
    *,
    study_name: str | None,
    n_trials: int,
    n_jobs: int | None,
    max_failure_rate: float,
    max_retries: int,
    patience: float,
    **others: object,
) -> None:
    """Refuse a name that is a path, numbers out of range, and fields that do not exist: `+hydra.sweeper.x=1` adds them.

    Raises:
        ConfigError: the first of them, one line.
    """
    known = sorted(field.name for field in fields(SweeperConfig) if field.name != "_target_")
    if unknown := set(others) - set(known):
        raise ConfigError(f"hydra.sweeper.{min(unknown)}: no such field; write one of {', '.join(known)}")
    if study_name is not None and not (re.fullmatch(r"[^./\\$][^/\\$]*", study_name) and study_name.isprintable()):
        raise ConfigError(
            f"hydra.sweeper.study_name: got {study_name!r}; write a name, without slashes or $, and not beginning "
            "with a dot, or a path as hydra.sweep.dir"
        )
    for name, low, value in (
        ("n_trials", 1, n_trials),
        ("n_jobs", 1, n_jobs),
        ("max_retries", 0, max_retries),
        ("patience", 1, patience),
    ):
        if value is not None and not value >= low:  # nan is refused too
            raise ConfigError(f"hydra.sweeper.{name}: got {value:g}; write a number of at least {low}")
    if not 0 <= max_failure_rate <= 1:
        raise ConfigError(
            f"hydra.sweeper.max_failure_rate: got {max_failure_rate:g}; write a share of the trials, e.g. 0.5"
        )
