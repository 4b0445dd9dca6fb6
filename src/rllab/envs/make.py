"""Making envs: the only place that chooses how sub-envs are vectorised."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium
import gymnasium.spaces as gs
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.error import DependencyNotInstalled
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import FlattenObservation

from rllab.envs import atari, envpool
from rllab.envs.registry import find_spec, is_atari, newest
from rllab.envs.sessions import SessionEnvs
from rllab.envs.workers import AsyncEnvs
from rllab.envs.wrappers import ClipReward, LifeLossTerminal, RescaleAction, TrackReward, is_bounded_box
from rllab.process import num_cpus

if TYPE_CHECKING:
    from rllab.config import Backend, EnvConfig

_SEEDED_PER_ROW = {
    "gymnasium.envs.classic_control.cartpole:CartPoleVectorEnv": "rllab.envs.cartpole:SeededCartPoleVectorEnv"
}
"""Vectorised envs of Gymnasium, and ours with a reset generator per sub-env: sessions stay independent."""
_EXTRAS = ("box2d", "mujoco")


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
    """Actions as an agent gives them: bounded boxes are rescaled to [-1, 1]."""
    env_obs_space: gs.Space[Any]
    """Observations as the env gives them."""
    env_action_space: gs.Space[Any]
    """Actions as the env takes them."""
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
    env_obs_space, env_action_space, render_modes = _look_inside(spec, config, backend)
    obs_space, action_space = env_obs_space, env_action_space
    if not isinstance(obs_space, gs.Box):
        flat = _flatten(obs_space, config)
        notes.append(f"observations of {type(obs_space).__name__} are flattened to {flat.shape}")
        obs_space = flat
    if is_bounded_box(action_space):
        action_space = gs.Box(-1.0, 1.0, action_space.shape)
    threshold = spec.reward_threshold if config.reward_threshold is None else config.reward_threshold
    return EnvInfo(
        id=_full_id(spec, config),
        backend=backend,
        obs_space=obs_space,
        action_space=action_space,
        env_obs_space=env_obs_space,
        env_action_space=env_action_space,
        render_modes=render_modes,
        reward_threshold=threshold,
        notes=tuple(notes),
    )


def _flatten(space: gs.Space[Any], config: EnvConfig) -> gs.Box[Any]:
    with contextlib.suppress(NotImplementedError):
        if isinstance(flat := gs.flatten_space(space), gs.Box):  # Sequence and Graph have no fixed length
            return flat
    raise ValueError(f"env.id: got {config.id!r}, whose observations {space} cannot be flattened")


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
    if is_bounded_box(envs.single_action_space):
        envs = RescaleAction(envs)
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
    if backend == "ale":
        return atari.AtariEnvs(spec, rows, num_threads=num_threads, render_mode=render_mode, **config.kwargs)
    if backend == "envpool":
        if render_mode:
            raise ValueError("env.backend: got 'envpool', whose envs cannot be drawn; write env.backend=sync")
        spaces = _look_inside(spec, config, backend)[:2]
        return envpool.EnvPoolEnvs(spec, rows, spaces, num_threads=num_threads, **config.kwargs)
    kwargs = config.kwargs | ({"render_mode": render_mode} if render_mode else {})
    if backend == "vector_entry_point":
        entry_point = _SEEDED_PER_ROW.get(str(spec.vector_entry_point), spec.vector_entry_point)
        if isinstance(entry_point, str):
            entry_point = load_env_creator(entry_point)  # type: ignore[assignment]
        spec = dataclasses.replace(spec, vector_entry_point=entry_point)
        return gymnasium.make_vec(spec, rows, vectorization_mode="vector_entry_point", **kwargs)
    config = dataclasses.replace(config, kwargs=kwargs)
    makers = [lambda: _make_one(spec, config, flatten=True)] * rows
    return AsyncEnvs(makers, timeout=config.timeout) if backend == "async" else SyncVectorEnv(makers)


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


def _look_inside(
    spec: EnvSpec, config: EnvConfig, backend: str
) -> tuple[gs.Space[Any], gs.Space[Any], tuple[str, ...]]:
    """Spaces of one sub-env, before they are flattened and rescaled, and its render modes."""
    env: Any
    if is_atari(spec) and backend in ("ale", "envpool"):
        try:
            env = atari.AtariEnvs(spec, 1, num_threads=1, **config.kwargs)
        except TypeError as error:
            raise _unknown_argument(spec, config, error) from None
        spaces = env.single_observation_space, env.single_action_space
    else:
        if backend == "envpool":  # its arguments are not Gymnasium's
            config = dataclasses.replace(config, kwargs={})
        env = _make_one(spec, config)
        spaces = env.observation_space, env.action_space
    env.close()
    return (*spaces, tuple(env.metadata.get("render_modes", ())))


def _make_one(spec: EnvSpec, config: EnvConfig, *, flatten: bool = False) -> gymnasium.Env[Any, Any]:
    """One env with the user's wrappers around it; also what a worker process of `async` runs."""
    _quiet_mujoco(spec)
    try:
        env: gymnasium.Env[Any, Any] = gymnasium.make(spec, disable_env_checker=True, **config.kwargs)
    except (DependencyNotInstalled, ImportError) as error:
        reason = " ".join(str(error).split())
        extra = next((extra for extra in _EXTRAS if extra in f"{spec.entry_point} {reason}".lower()), None)
        if isinstance(error, ImportError) and spec.id != newest(spec):
            hint = f"which is deprecated; write env.id={newest(spec)}"
        elif extra:
            hint = f"which is in the extra {extra}; type pip install 'rllab[{extra}]'"
        else:
            hint = f"which needs more packages: {reason}"
        raise ValueError(f"env.id: got {config.id!r}, {hint}") from None
    except Exception as error:
        if not config.kwargs:
            raise
        raise _unknown_argument(spec, config, error) from error
    for name in config.wrappers:
        wrapper = _wrapper(name)
        try:
            env = wrapper(env)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"env.wrappers: got {name!r}, which cannot wrap {spec.id}: {reason}") from error
    if flatten and not isinstance(env.observation_space, gs.Box):
        env = FlattenObservation(env)
    return env


def _wrapper(name: str) -> Any:
    """The callable that a dotted name means."""
    module, _, attribute = name.replace(":", ".").rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"env.wrappers: got {name!r}, which cannot be imported ({error}); "
            "write e.g. [gymnasium.wrappers.TimeAwareObservation]"
        ) from None


def _unknown_argument(spec: EnvSpec, config: EnvConfig, error: Exception) -> ValueError:
    reason = " ".join(str(error).split())
    if unknown := re.search(r"unexpected keyword argument '(\w+)'", reason):
        name = unknown[1]
        of_gymnasium = is_atari(spec) and config.backend not in ("auto", "ale")
        hint = f" with env.backend={config.backend}, which gives raw frames; write env.backend=ale" * of_gymnasium
        got = config.kwargs.get(name)
        return ValueError(f"env.kwargs.{name}: got {got!r}, but {_full_id(spec, config)} takes no such argument{hint}")
    return ValueError(f"env.kwargs: got {config.kwargs!r}, which {_full_id(spec, config)} refuses: {reason}")


def _full_id(spec: EnvSpec, config: EnvConfig) -> str:
    return spec.id if is_atari(spec) else config.id  # the latter may name a package


def _quiet_mujoco(spec: EnvSpec) -> None:
    """MuJoCo prints and logs a line for every sub-env whose model file it finds old-fashioned; real warnings stay."""
    if "mujoco" not in str(spec.entry_point):
        return
    try:
        import mujoco  # noqa: PLC0415 - an extra
    except ImportError:
        return  # making the env says so
    mujoco.set_mju_user_warning(_on_mujoco_warning)


def _on_mujoco_warning(text: str) -> None:
    if "deprecated" not in text:
        warnings.warn(f"MuJoCo: {text}", stacklevel=2)
