"""Making envs: what an env is like for an agent (`inspect`), and a vector env for all sessions (`make`)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gymnasium.vector import AutoresetMode

from rllab.envs.actions import ActionMap, AgentActions, action_map
from rllab.envs.backends import choose
from rllab.envs.infos import TrackInfos
from rllab.envs.registry import find_spec, is_atari, newest
from rllab.envs.sessions import SessionEnvs
from rllab.envs.single import full_id
from rllab.envs.sub_env import has_axes
from rllab.envs.wrappers import ClipReward, FlatObs, LifeLossTerminal, TrackReward
from rllab.nets.images import is_image
from rllab.nets.parts import Packed, described, flat_space

if TYPE_CHECKING:
    import gymnasium.spaces as gs

    from rllab.config import Backend, EnvConfig


@dataclass(frozen=True)
class EnvInfo:
    """What can be known of a task before it is vectorised."""

    id: str
    """The id as it is registered."""
    backend: Backend
    """Name of the backend that `make` will take."""
    obs_space: gs.Space[Any]
    """Observations as an agent gets them."""
    action_space: gs.Space[Any]
    """Actions as an agent gives them, see `ActionMap`."""
    env_obs_space: gs.Space[Any]
    """Observations as the env gives them."""
    actions: ActionMap
    """From the agent's actions to those that the env takes."""
    render_modes: tuple[str, ...]
    """The render modes of the env, in Gymnasium's words."""
    reward_threshold: float | None
    """Mean return at which the env counts as solved."""
    notes: tuple[str, ...]
    """What a person should know of the env and of conversions that were made, one sentence each."""


def inspect(config: EnvConfig, *, num_sessions: int = 1) -> EnvInfo:
    """Make one copy of the env, look at it, and close it.

    Raises:
        ValueError: no such env or backend, a missing extra, wrong kwargs or an unusable space; one line each.
    """
    spec = find_spec(config)
    backend = choose(spec, config, num_sessions)
    notes = []
    if spec.id != newest(spec):
        notes.append(f"{spec.id} is out of date: there is {newest(spec)}")
    look = backend.look(spec, config)
    obs_space, actions = look.obs_space, _action_map(look.action_space, config)
    notes += [*look.notes, *([actions.note] if actions.note else [])]
    if not has_axes(obs_space):
        flat = _flatten(obs_space, config)
        if not isinstance(flat, Packed):
            notes.append(f"observations of {type(obs_space).__name__} are flattened to {flat.shape}")
        obs_space = flat
    if isinstance(obs_space, Packed) or is_image(obs_space):
        notes.append(f"observations: {described(obs_space)}")
    threshold = spec.reward_threshold if config.reward_threshold is None else config.reward_threshold
    return EnvInfo(
        id=full_id(spec, config),
        backend=backend.name,
        obs_space=obs_space,
        action_space=actions.agent_space,
        env_obs_space=look.obs_space,
        actions=actions,
        render_modes=look.render_modes,
        reward_threshold=threshold,
        notes=tuple(notes),
    )


def _action_map(space: gs.Space[Any], config: EnvConfig) -> ActionMap:
    try:
        return action_map(space)
    except ValueError as error:
        raise ValueError(f"env.id: got {config.id!r}, whose action space {space} {error}") from None


def _flatten(space: gs.Space[Any], config: EnvConfig) -> gs.Box[Any]:
    try:
        return flat_space(space)
    except NotImplementedError:
        raise ValueError(f"env.id: got {config.id!r}, whose observations {space} cannot be flattened") from None
    except ValueError as error:
        raise ValueError(f"env.id: got {config.id!r}, whose observations {error}") from None


MAX_STEPS = 10_000
"""Steps after which an evaluation cuts an episode of an env that has no time limit: it may never end."""


def has_time_limit(config: EnvConfig) -> bool:
    """Whether every episode is known to end after some number of steps; an env that cuts by itself may not say so."""
    spec = find_spec(config)
    return spec.max_episode_steps is not None or is_atari(spec)


def make(
    config: EnvConfig, *, num_sessions: int, num_envs: int | None = None, render_mode: str | None = None
) -> SessionEnvs:
    """S x N sub-envs, vectorised as `config.backend` says.

    Args:
        config: the task.
        num_sessions: S.
        num_envs: N; the config's own number if not given.
        render_mode: as Gymnasium's; `SessionEnvs.vector.render()` then gives one picture for each sub-env.
    """
    spec = find_spec(config)
    rows = num_sessions * (num_envs or config.num_envs)
    backend = choose(spec, config, num_sessions)
    if render_mode is not None:
        backend = backend.counterpart(spec)
        config = dataclasses.replace(config, kwargs=config.kwargs | {"render_mode": render_mode})
    envs = backend.make(spec, config, rows)
    mode = envs.metadata.get("autoreset_mode")
    if mode != AutoresetMode.NEXT_STEP:
        raise ValueError(f"env.backend: got {backend.name!r}, whose autoreset is {mode}; write env.backend=sync")
    if not has_axes(envs.single_observation_space):  # the sub-envs of `sync` and `async` do it themselves
        envs = FlatObs(envs)
    actions = _action_map(envs.single_action_space, config)
    if not actions.is_identity:
        envs = AgentActions(envs, actions)
    envs = TrackReward(envs)  # sums raw rewards, so it comes inside of the wrappers that change them for learning
    if config.info_metrics:
        envs = TrackInfos(envs, config.info_kinds)
    if config.life_loss_terminal:
        envs = LifeLossTerminal(envs)
    if config.clip_reward:
        envs = ClipReward(envs)
    return SessionEnvs(envs, num_sessions, seed_each_row=backend.seeds_each_row(spec))
