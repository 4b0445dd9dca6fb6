"""Sessions over several processes: each trains its share of them, or all train one policy (Hogwild)."""

from collections.abc import Callable

from rllab.config import RunConfig
from rllab.distributed.checks import resolve, share
from rllab.distributed.handle import WorkerError
from rllab.distributed.workers import Workers
from rllab.envs import EnvInfo
from rllab.training.evaluation import Progress
from rllab.training.sessions import Sessions

Crew = Sessions | Workers
"""Who trains the sessions of a trial. Both have the methods that `trial.Trial` calls."""

__all__ = ["Crew", "WorkerError", "make_crew", "resolve", "share"]


def make_crew(cfg: RunConfig, info: EnvInfo, say: Callable[[str], None], *, callbacks: bool = False) -> Crew:
    """Make what trains the sessions of a trial, in this process or in several.

    `say` shows a person how far a long evaluation is; several processes show nothing. Where there are
    `callbacks`, nothing goes on while a checkpoint is told, and episodes are reported one by one.
    """
    meta = cfg.meta
    if meta.distributed or meta.num_workers != 1:
        return Workers(cfg, info, callbacks=callbacks)
    num_episodes = meta.eval_episodes * meta.max_session
    progress = Progress("evaluation", num_episodes, say, "env.max_episode_steps ends episodes sooner")
    return Sessions(cfg, info, range(meta.max_session), watch=progress, callbacks=callbacks)
