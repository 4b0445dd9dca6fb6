"""Making envs: the only place that chooses how sub-envs are vectorised."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium
import gymnasium.spaces as gs
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from rllab.envs import atari, envpool
from rllab.envs.actions import ActionMap, AgentActions, action_map
from rllab.envs.registry import find_spec, is_atari, newest
from rllab.envs.sessions import SessionEnvs
from rllab.envs.single import full_id, layers, make_one, make_row, unknown_argument
from rllab.envs.sub_env import has_axes
from rllab.envs.workers import AsyncEnvs
from rllab.envs.wrappers import ClipReward, LifeLossTerminal, TrackReward
from rllab.host.process import num_cpus
from rllab.nets.spaces import has_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rllab.config import Backend, EnvConfig

_SEEDED_PER_ROW = {
    "gymnasium.envs.classic_control.cartpole:CartPoleVectorEnv": "rllab.envs.cartpole:SeededCartPoleVectorEnv"
}
"""Vectorised envs of Gymnasium, and ours with a reset generator per sub-env: sessions stay independent."""


@dataclass(frozen=True)
class EnvInfo:
    """What can be known of a task before it is vectorised."""

    id: str
    """The id as it is registered."""
    backend: Backend
    """The vectorisation that `make` will take."""
    obs_space: gs.Space[Any]
    """Observations as an agent gets them."""
    action_space: gs.Space[Any]
    """Actions as an agent gives them, see `ActionMap`."""
    env_obs_space: gs.Space[Any]
    """Observations as the env gives them."""
    actions: ActionMap
    """From the agent's actions to those that the env takes."""
    render_modes: tuple[str, ...]
    """How the env can be drawn."""
    reward_threshold: float | None
    """Mean return at which the env counts as solved."""
    notes: tuple[str, ...]
    """What a person should know: conversions that were made."""


def inspect(config: EnvConfig, *, num_sessions: int = 1) -> EnvInfo:
    """Make one copy of the env, look at it, and close it.

    Raises:
        ValueError: no such env or backend, a missing extra, wrong kwargs or an unusable space; one line each.
    """
    spec = find_spec(config)
    backend = _choose_backend(spec, config, num_sessions)
    notes = []
    if spec.id != newest(spec):
        notes.append(f"{spec.id} is out of date: there is {newest(spec)}")
    if backend == "envpool" and not is_atari(spec) and spec.id not in envpool.SAME_TASK:
        notes.append(f"EnvPool's {spec.id} has not been compared with Gymnasium's")
    look = _look_inside(spec, config, backend)
    env_obs_space, actions = look.obs_space, _action_map(look.action_space, config)
    notes += [*look.notes, *([actions.note] if actions.note else [])]
    obs_space = env_obs_space
    if not has_axes(obs_space):
        flat = _flatten(obs_space, config)
        notes.append(f"observations of {type(obs_space).__name__} are flattened to {flat.shape}")
        obs_space = flat
    threshold = spec.reward_threshold if config.reward_threshold is None else config.reward_threshold
    return EnvInfo(
        id=full_id(spec, config),
        backend=backend,
        obs_space=obs_space,
        action_space=actions.agent_space,
        env_obs_space=env_obs_space,
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
    """Parts with a height and a width, and their shapes."""
    if isinstance(space, (gs.Dict, gs.Tuple)):
        parts = space.spaces.items() if isinstance(space, gs.Dict) else enumerate(space.spaces)
        for key, part in parts:
            yield from _images(part, f"{name}[{key!r}]")
    elif isinstance(space, gs.Box) and has_pixels(space):
        yield name, space.shape


MAX_STEPS = 10_000
"""Steps after which an evaluation cuts an episode of an env that has no time limit: it may never end."""


def has_time_limit(config: EnvConfig) -> bool:
    """Whether every episode is cut at some step; an env that cuts by itself may not say so."""
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
    backend = _choose_backend(spec, config, num_sessions)
    envs = _vectorise(spec, config, backend, rows, render_mode)
    mode = envs.metadata.get("autoreset_mode")
    if mode != AutoresetMode.NEXT_STEP:
        raise ValueError(f"env.backend: got {backend!r}, whose autoreset is {mode}; write env.backend=sync")
    actions = _action_map(envs.single_action_space, config)
    if not actions.is_identity:
        envs = AgentActions(envs, actions)
    envs = TrackReward(envs)  # inside of what only learning sees
    if config.life_loss_terminal:
        envs = LifeLossTerminal(envs)
    if config.clip_reward:
        envs = ClipReward(envs)
    return SessionEnvs(envs, num_sessions, seed_each_row=not _has_one_generator(spec, backend))


def _vectorise(
    spec: EnvSpec, config: EnvConfig, backend: str, rows: int, render_mode: str | None
) -> VectorEnv[Any, Any, Any]:
    num_threads = config.num_threads or num_cpus()
    if config.max_episode_steps is not None and backend in ("ale", "envpool"):  # the others have it from the spec
        config = dataclasses.replace(config, kwargs=config.kwargs | _time_limit(spec, config))
    if backend == "ale":
        return atari.AtariEnvs(spec, rows, num_threads=num_threads, render_mode=render_mode, **config.kwargs)
    if backend == "envpool":
        if render_mode:
            raise ValueError("env.backend: got 'envpool', whose envs cannot be drawn; write env.backend=sync")
        look = _look_inside(spec, config, backend)
        spaces = look.obs_space, look.action_space
        return envpool.EnvPoolEnvs(spec, rows, spaces, num_threads=num_threads, **config.kwargs)
    kwargs = config.kwargs | ({"render_mode": render_mode} if render_mode else {})
    if backend == "vector_entry_point":
        entry_point = _SEEDED_PER_ROW.get(str(spec.vector_entry_point), spec.vector_entry_point)
        if isinstance(entry_point, str):
            entry_point = load_env_creator(entry_point)  # type: ignore[assignment]
        spec = dataclasses.replace(spec, vector_entry_point=entry_point)
        try:
            return gymnasium.make_vec(spec, rows, vectorization_mode="vector_entry_point", **kwargs)
        except TypeError as error:
            raise unknown_argument(spec, config, error) from error
    config = dataclasses.replace(config, kwargs=kwargs)
    kept = ("lives",) if config.life_loss_terminal else ()
    makers = [partial(make_row, spec, config, row, kept) for row in range(rows)]
    return AsyncEnvs(makers, timeout=config.timeout) if backend == "async" else SyncVectorEnv(makers)


def _time_limit(spec: EnvSpec, config: EnvConfig) -> dict[str, int]:
    """`config.max_episode_steps` as the backends in C++ take it: ALE counts frames of the emulator."""
    assert config.max_episode_steps is not None
    if not is_atari(spec):
        return {"max_episode_steps": config.max_episode_steps}
    frameskip = config.kwargs.get("frameskip", spec.kwargs["frameskip"])
    return {"max_num_frames_per_episode": config.max_episode_steps * frameskip}


def _has_one_generator(spec: EnvSpec, backend: str) -> bool:
    return backend == "vector_entry_point" and str(spec.vector_entry_point) not in _SEEDED_PER_ROW


def _choose_backend(spec: EnvSpec, config: EnvConfig, num_sessions: int) -> Backend:
    """The fastest vectorisation that means the same env and keeps sessions independent, or the one asked for.

    Raises:
        ValueError: the one asked for cannot be honoured; one line.
    """
    backend = config.backend
    if backend == "auto":
        backend = _fastest(spec, config)
    if backend == "gymnasium":
        own = str(spec.vector_entry_point) in _SEEDED_PER_ROW and spec.entry_point != spec.vector_entry_point
        backend = "vector_entry_point" if own and not config.wrappers else "sync"
    if config.wrappers and backend not in ("sync", "async"):
        raise ValueError(
            f"env.wrappers: got {config.wrappers!r}, which env.backend={backend} cannot wrap around each sub-env; "
            "write env.backend=sync"
        )
    if config.life_loss_terminal and not is_atari(spec):
        raise ValueError(f"env.life_loss_terminal: got True, but {spec.id} tells no lives; write false")
    if backend == "vector_entry_point":
        _check_vector_entry_point(spec, num_sessions)
    elif backend == "ale":
        if not is_atari(spec):
            raise ValueError(f"env.backend: got 'ale', which does not know {spec.id}; write env.backend=auto")
        atari.check_kwargs(config.kwargs)
    elif backend == "envpool":
        _check_envpool(spec, config)
    return backend


def _fastest(spec: EnvSpec, config: EnvConfig) -> Backend:
    if is_atari(spec):
        return "ale"
    plain = not config.kwargs and not config.wrappers
    return "envpool" if plain and spec.id in envpool.SAME_TASK and envpool.is_installed() else "gymnasium"


def _check_vector_entry_point(spec: EnvSpec, num_sessions: int) -> None:
    if spec.vector_entry_point is None:
        raise ValueError(
            f"env.backend: got 'vector_entry_point', which {spec.id} does not have; write env.backend=sync"
        )
    if is_atari(spec):
        raise ValueError("env.backend: got 'vector_entry_point', which is ALE's own; write env.backend=ale")
    if _has_one_generator(spec, "vector_entry_point") and num_sessions > 1:
        raise ValueError(
            "env.backend: got 'vector_entry_point', whose resets come from one generator for all sessions; "
            "write env.backend=sync or meta.max_session=1"
        )


def _check_envpool(spec: EnvSpec, config: EnvConfig) -> None:
    if not envpool.is_installed():
        raise ValueError("env.backend: got 'envpool', which is in the extra envpool; type pip install 'rllab[envpool]'")
    if not envpool.knows(spec):
        raise ValueError(f"env.backend: got 'envpool', which does not know {spec.id}; write env.backend=auto")
    if is_atari(spec):
        atari.check_kwargs(config.kwargs)
    envpool.check_kwargs(spec, config.kwargs)


class _Look(NamedTuple):
    """What one sub-env shows: its spaces as it gives them, how it can be drawn, what a person should know."""

    obs_space: gs.Space[Any]
    action_space: gs.Space[Any]
    render_modes: tuple[str, ...]
    notes: list[str]


def _look_inside(spec: EnvSpec, config: EnvConfig, backend: str) -> _Look:
    notes = []
    env: Any
    if is_atari(spec) and backend in ("ale", "envpool"):
        try:
            env = atari.AtariEnvs(spec, 1, num_threads=1, **config.kwargs)
        except TypeError as error:
            raise unknown_argument(spec, config, error) from None
        spaces = env.single_observation_space, env.single_action_space
    else:
        if backend == "envpool":  # its arguments are not Gymnasium's
            config = dataclasses.replace(config, kwargs={})
        env = make_one(spec, config)
        spaces = env.observation_space, env.action_space
        notes = [
            f"returns are sums of what {type(layer).__name__} makes of the rewards"
            for layer in layers(env)
            if isinstance(layer, gymnasium.RewardWrapper)
        ]
    env.close()
    return _Look(*spaces, tuple(env.metadata.get("render_modes", ())), notes)
