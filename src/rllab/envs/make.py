"""Making envs: what an env is like for an agent (`inspect`), and a vector env for all sessions (`make`)."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium.spaces as gs
from gymnasium.vector import AutoresetMode

from rllab.envs.actions import ActionMap, AgentActions, action_map
from rllab.envs.backends import choose
from rllab.envs.infos import TrackInfos
from rllab.envs.registry import find_spec, is_atari, newest
from rllab.envs.sessions import SessionEnvs
from rllab.envs.single import full_id
from rllab.envs.sub_env import has_axes
from rllab.envs.wrappers import ClipReward, LifeLossTerminal, TrackReward
from rllab.nets.spaces import has_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        notes.append(f"observations of {type(obs_space).__name__} are flattened to {flat.shape}")
        obs_space = flat
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
    if images := [f"{name} {shape}" for name, shape in _images(space)]:
        raise ValueError(
            f"env.id: got {config.id!r}, whose observations hold an image beside other things ({', '.join(images)}), "
            "which would lose its shape; write a wrapper that gives the image or the rest alone into env.wrappers"
        )
    with contextlib.suppress(NotImplementedError):
        if isinstance(flat := gs.flatten_space(space), gs.Box):  # Sequence and Graph have no fixed length
            return flat
    raise ValueError(f"env.id: got {config.id!r}, whose observations {space} cannot be flattened")


def _images(space: gs.Space[Any], name: str = "obs") -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of those parts of a space that look like images."""
    if isinstance(space, (gs.Dict, gs.Tuple)):
        parts = space.spaces.items() if isinstance(space, gs.Dict) else enumerate(space.spaces)
        for key, part in parts:
            yield from _images(part, f"{name}[{key!r}]")
    elif isinstance(space, gs.Box) and has_pixels(space):
        yield name, space.shape


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
