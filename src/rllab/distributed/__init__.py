"""Sessions over several processes: each training its share of them, or all training one policy (Hogwild)."""

from rllab.config import RunConfig
from rllab.distributed.checks import resolve, share
from rllab.distributed.workers import WorkerError, Workers
from rllab.envs import EnvInfo
from rllab.training.sessions import Sessions

Crew = Sessions | Workers
"""Who trains: both have the methods that `trial.Trial` calls."""

__all__ = ["Crew", "WorkerError", "make_crew", "resolve", "share"]


def make_crew(cfg: RunConfig, info: EnvInfo) -> Crew:
    """Whoever trains the sessions of a trial: this process, or several."""
    if cfg.meta.distributed or cfg.meta.num_workers != 1:
        return Workers(cfg, info)
    return Sessions(cfg, info, range(cfg.meta.max_session))
