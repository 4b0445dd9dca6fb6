"""What `meta.distributed` and `meta.num_workers` allow, and what `auto` stands for."""

import math
from dataclasses import replace
from typing import Any

from rllab.config import MetaConfig, RunConfig
from rllab.envs import EnvInfo
from rllab.envs.backends import BACKENDS
from rllab.errors import ConfigError
from rllab.host.process import num_cpus


def resolve(cfg: RunConfig, info: EnvInfo, *, cores: int | None = None) -> MetaConfig:
    """The meta settings with a number for `num_workers`.

    `cores`: those that this trial may use; None takes all that this process may.

    Raises:
        ConfigError: one line for settings that do not go together.
    """
    meta, cores = cfg.meta, cores or num_cpus()
    if meta.distributed:
        _check_hogwild(cfg)
        meta = replace(meta, num_workers=1)
        num_processes = meta.max_session
    else:
        num_workers = _choose(meta, info, cores) if meta.num_workers == "auto" else meta.num_workers
        if num_workers > meta.max_session:
            raise ConfigError(
                f"meta.num_workers: got {num_workers} for meta.max_session={meta.max_session}; "
                f"write at most {meta.max_session}"
            )
        meta = replace(meta, num_workers=num_workers)
        num_processes = num_workers
    if num_processes > 1:
        if meta.num_threads > 1 and meta.num_threads * num_processes > cores:
            raise ConfigError(
                f"meta.num_threads: got {meta.num_threads} in each of {num_processes} workers on {cores} cores, where "
                f"they would wait for each other; write meta.num_threads={max(1, cores // num_processes)}"
            )
        if meta.device != "cpu":
            name = "distributed" if meta.distributed else "num_workers"
            raise ConfigError(f"meta.{name}: workers train on the CPU, got meta.device={meta.device}; write cpu")
    return meta


def share(cfg: RunConfig) -> Any:
    """The agent's config for each process.

    With Hogwild a worker takes only its part of a session's frames, so whatever the agent counts in them
    (`counted_in_frames`) is divided by the number of workers.
    """
    agent = cfg.agent
    if not cfg.meta.distributed:
        return agent
    counts = {name: getattr(agent, name) for name in getattr(cfg.algorithm(), "counted_in_frames", ())}
    return replace(agent, **{name: math.ceil(count / cfg.meta.max_session) for name, count in counts.items()})


def _check_hogwild(cfg: RunConfig) -> None:
    meta = cfg.meta
    name = f"meta.distributed: got {meta.distributed!r}"
    if meta.max_session < 2:
        raise ConfigError(f"{name} for one session, which has nobody to share with; write meta.max_session=2")
    if meta.num_workers not in (1, "auto"):
        raise ConfigError(f"{name}, where each session is a worker; write meta.num_workers=1")
    if meta.compile:
        raise ConfigError(
            f"meta.compile: got True with meta.distributed={meta.distributed}, whose workers learn in torch; "
            "write meta.compile=false"
        )
    if not getattr(cfg.algorithm(), "shared", ()):
        raise ConfigError(
            f"{name} for agent={cfg.agent.name}, which has nothing to share; write meta.distributed=false"
        )


def _choose(meta: MetaConfig, info: EnvInfo, cores: int) -> int:
    """As many workers as there are cores for, where that was measured to be faster; otherwise one.

    A single process steps envs that are vectorised in numpy just as fast, and envs that have processes of their own
    need no more of them. Backends for images were not measured.
    """
    if meta.device != "cpu" or not BACKENDS[info.backend].gains_from_workers:
        return 1
    return max(1, min(meta.max_session, cores // meta.num_threads))
