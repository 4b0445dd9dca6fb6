"""Sessions over several processes: each training its share of them, or all training one policy (Hogwild)."""

from collections.abc import Callable

from rllab.config import RunConfig
from rllab.distributed.checks import resolve, share
from rllab.distributed.workers import WorkerError, Workers
from rllab.envs import EnvInfo
from rllab.training.evaluation import Progress
from rllab.training.sessions import Sessions

Crew = Sessions | Workers
"""Who trains: both have the methods that `trial.Trial` calls."""

__all__ = ["Crew", "WorkerError", "make_crew", "resolve", "share"]


def make_crew(cfg: RunConfig, info: EnvInfo, say: Callable[[str], None]) -> Crew:
    """Whoever trains the sessions of a trial: this process, or several.

    `say` shows a person how far an evaluation is that takes long; several processes do not tell.
    """
    meta = cfg.meta
    if meta.distributed or meta.num_workers != 1:
        return Workers(cfg, info)
    num_episodes = meta.eval_episodes * meta.max_session
    progress = Progress("evaluation", num_episodes, say, "env.max_episode_steps ends episodes sooner")
    return Sessions(cfg, info, range(meta.max_session), watch=progress)
