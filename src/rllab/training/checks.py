"""What is refused before anything starts: settings that the env, the agent or this machine cannot honour."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import torch
from gymnasium.spaces import Box

from rllab import algorithms, distributed, envs
from rllab.config.schema import as_eval_env
from rllab.errors import BudgetError, ConfigError
from rllab.functional.schedules import by_fractions
from rllab.nets.parts import Parts
from rllab.text import one_line
from rllab.tracking import trackers
from rllab.training import callbacks, initial

if TYPE_CHECKING:
    from gymnasium.spaces import Space

    from rllab.config import RunConfig


def check(cfg: RunConfig, *, cores: int | None = None, begins: bool = True) -> tuple[RunConfig, envs.EnvInfo]:
    """Refuse what cannot be honoured, before any env or directory is made.

    Returns the config with what only the env and the machine know filled in, and what is known about the env. `cores`
    are those that this trial may use, None all that this process may. A run that goes on (not `begins`) has no need of
    the one that it began from.

    Raises:
        ConfigError: one line for what cannot be honoured.
    """
    cfg = dataclasses.replace(cfg, meta=dataclasses.replace(cfg.meta, device=_check_device(cfg.meta.device)))
    meta = cfg.meta
    num_sharing = meta.max_session if meta.distributed else 1  # workers that share out the budget
    try:
        trackers.check(cfg.tracker)
        info = envs.inspect(cfg.env, num_sessions=meta.max_session)
        task = cfg.task(info.obs_space, info.action_space, meta.max_session)
        task = dataclasses.replace(task, max_frame=task.max_frame // num_sharing)
        by_fractions(cfg.agent, cfg.env.max_frame)
        algorithms.check(distributed.share(cfg), task, shown=str(info.actions.env_space))
        _check_eval_env(cfg, info)
        callbacks.make(cfg)
        if begins:
            initial.check(cfg, info)
    except BudgetError as error:  # told in frames of the trial, of which each worker has a part
        what = f"{error.what}, in each of {num_sharing} workers" if num_sharing > 1 else error.what
        raise ConfigError(str(BudgetError(what, num_sharing * error.needed, cfg.env.max_frame))) from error
    except ValueError as error:
        raise ConfigError(one_line(error)) from error
    env = dataclasses.replace(cfg.env, id=info.id, backend=info.backend, reward_threshold=info.reward_threshold)
    return dataclasses.replace(cfg, meta=distributed.resolve(cfg, info, cores=cores), env=env), info


def _check_eval_env(cfg: RunConfig, info: envs.EnvInfo) -> None:
    """Refuse an env of evaluations that cannot be made, or in which the agent could not act."""
    if not cfg.eval_env:
        return
    try:
        found = envs.inspect(cfg.evaluation_env(), num_sessions=cfg.meta.max_session)
    except ValueError as error:
        raise as_eval_env(error) from error
    for what, there, here in (
        ("observations", found.obs_space, info.obs_space),
        ("actions", found.action_space, info.action_space),
    ):
        if _kind(there) != _kind(here):
            raise ConfigError(
                f"eval_env: got {what} {_kind(there)}, where env has {_kind(here)}; write an env of the same spaces"
            )


def _kind(space: Space[Any]) -> str:
    """A space, but for the bounds of its numbers: ``Box(4,) float32``."""
    if isinstance(space, Box) and not isinstance(space, Parts):
        return f"Box{space.shape} {space.dtype}"
    return str(space)


def _check_device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.ones(1, device=name).item()  # meta tensors have no numbers
    except (RuntimeError, AssertionError):
        raise ConfigError(
            f"meta.device: got {name!r}, which this machine or torch does not have; write meta.device=cpu"
        ) from None
    return name
