"""Making envs: the only place that chooses how sub-envs are vectorised."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium
import gymnasium.spaces as gs
from gymnasium.envs.registration import EnvSpec, find_highest_version, get_env_id, load_env_creator
from gymnasium.error import DependencyNotInstalled
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.wrappers import FlattenObservation

from rllab.envs.sessions import SessionEnvs
from rllab.envs.wrappers import RescaleAction, TrackReward, is_bounded_box

if TYPE_CHECKING:
    from rllab.config import EnvConfig

_SEEDED_PER_ROW = {
    "gymnasium.envs.classic_control.cartpole:CartPoleVectorEnv": "rllab.envs.cartpole:SeededCartPoleVectorEnv"
}
"""Vectorised envs of Gymnasium, and ours with a reset generator per sub-env: sessions stay independent."""
_EXTRAS = ("box2d", "mujoco")


@dataclass(frozen=True)
class EnvInfo:
    """What can be known of a task before it is vectorised."""

    obs_space: gs.Space[Any]
    """Observations as an agent gets them."""
    action_space: gs.Space[Any]
    """Actions as an agent gives them: bounded boxes are rescaled to [-1, 1]."""
    reward_threshold: float | None
    """Mean return at which the env counts as solved."""
    notes: tuple[str, ...]
    """What a person should know: conversions that were made."""


def inspect(config: EnvConfig, *, num_sessions: int = 1) -> EnvInfo:
    """Make one copy of the env, look at it, and close it.

    Raises:
        ValueError: no such env or backend, a missing extra, wrong kwargs or an unusable space; one line each.
    """
    spec = _find_spec(config.id)
    _choose_backend(spec, config, num_sessions)
    newest = _newest(spec)
    notes = [f"{spec.id} is out of date: there is {newest}"] if spec.id != newest else []
    env = _make_one(spec, config)
    try:
        obs_space, action_space = env.observation_space, env.action_space
        if not isinstance(obs_space, gs.Box):
            flat = gs.flatten_space(obs_space)
            if not isinstance(flat, gs.Box):  # Sequence and Graph, of no fixed length
                raise NotImplementedError  # noqa: TRY301 - as flatten_space does for other spaces
            notes.append(f"observations of {type(obs_space).__name__} are flattened to {flat.shape}")
            obs_space = flat
        if is_bounded_box(action_space):
            action_space = gs.Box(-1.0, 1.0, action_space.shape)
    except NotImplementedError:
        raise ValueError(f"env.id: got {config.id!r}, whose observations {obs_space} cannot be flattened") from None
    finally:
        env.close()
    threshold = spec.reward_threshold if config.reward_threshold is None else config.reward_threshold
    return EnvInfo(obs_space, action_space, threshold, tuple(notes))


def make(config: EnvConfig, *, num_sessions: int, num_envs: int | None = None) -> SessionEnvs:
    """S x N sub-envs, vectorised as `config.backend` says.

    Args:
        config: the task.
        num_sessions: S.
        num_envs: N; the config's own number if not given.
    """
    spec = _find_spec(config.id)
    rows = num_sessions * (num_envs or config.num_envs)
    backend = _choose_backend(spec, config, num_sessions)
    one_generator = backend == "vector_entry_point" and str(spec.vector_entry_point) not in _SEEDED_PER_ROW
    if backend == "vector_entry_point":
        entry_point = _SEEDED_PER_ROW.get(str(spec.vector_entry_point), spec.vector_entry_point)
        if isinstance(entry_point, str):
            entry_point = load_env_creator(entry_point)  # type: ignore[assignment]
        spec = dataclasses.replace(spec, vector_entry_point=entry_point)
        envs: VectorEnv[Any, Any, Any] = gymnasium.make_vec(
            spec, rows, vectorization_mode="vector_entry_point", **config.kwargs
        )
    else:
        vector = gymnasium.vector.AsyncVectorEnv if backend == "async" else gymnasium.vector.SyncVectorEnv
        envs = vector([lambda: _make_one(spec, config, flatten=True)] * rows)
    mode = envs.metadata.get("autoreset_mode")
    if mode != AutoresetMode.NEXT_STEP:
        raise ValueError(f"env.backend: got {backend!r}, whose autoreset is {mode}; write env.backend=sync")
    if is_bounded_box(envs.single_action_space):
        envs = RescaleAction(envs)
    return SessionEnvs(TrackReward(envs), num_sessions, seed_each_row=not one_generator)


def _choose_backend(spec: EnvSpec, config: EnvConfig, num_sessions: int) -> str:
    """The fastest vectorisation that keeps sessions independent, or the one asked for."""
    entry_point = spec.vector_entry_point
    independent = str(entry_point) in _SEEDED_PER_ROW  # one session alone must see what it sees beside others
    if config.backend == "auto":
        return "vector_entry_point" if independent and spec.entry_point != entry_point else "sync"
    if config.backend == "vector_entry_point":
        if entry_point is None:
            raise ValueError(
                f"env.backend: got 'vector_entry_point', which {config.id} does not have; write env.backend=sync"
            )
        if not independent and num_sessions > 1:
            raise ValueError(
                "env.backend: got 'vector_entry_point', whose resets come from one generator for all sessions; "
                "write env.backend=sync or meta.max_session=1"
            )
    return config.backend


def _find_spec(env_id: str) -> EnvSpec:
    module, _, name = env_id.rpartition(":")
    if name.startswith("ALE/"):  # as Gymnasium's pages spell them
        module = "ale_py"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Gymnasium warns of versions; the id is the user's choice
            if module:
                library = importlib.import_module(module)
                if module == "ale_py":  # a banner from every sub-env
                    library.ALEInterface.setLoggerMode(library.LoggerMode.Error)
            return gymnasium.spec(name)
    except ImportError as error:
        raise ValueError(
            f"env.id: got {env_id!r}, whose package cannot be imported ({error}); install it, or start where it lies"
        ) from None
    except gymnasium.error.Error:
        known = list(gymnasium.registry)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        hint = f"did you mean env.id={near[0]}?" if near else "write a Gymnasium id or my_pkg:MyEnv-v0"
        raise ValueError(f"env.id: got {env_id!r}, which is not registered; {hint}") from None


def _newest(spec: EnvSpec) -> str:
    """Id of the latest version of this env."""
    return get_env_id(spec.namespace, spec.name, find_highest_version(spec.namespace, spec.name))


def _make_one(spec: EnvSpec, config: EnvConfig, *, flatten: bool = False) -> gymnasium.Env[Any, Any]:
    try:
        env: gymnasium.Env[Any, Any] = gymnasium.make(spec, disable_env_checker=True, **config.kwargs)
    except (DependencyNotInstalled, ImportError) as error:
        reason = " ".join(str(error).split())
        extra = next((extra for extra in _EXTRAS if extra in reason.lower()), None)
        newest = _newest(spec)
        if isinstance(error, ImportError) and spec.id != newest:
            hint = f"which is deprecated; write env.id={newest}"
        elif extra:
            hint = f"which is in the extra {extra}; type pip install 'rllab[{extra}]'"
        else:
            hint = f"which needs more packages: {reason}"
        raise ValueError(f"env.id: got {config.id!r}, {hint}") from None
    except Exception as error:
        if not config.kwargs:
            raise
        if unknown := re.search(r"unexpected keyword argument '(\w+)'", str(error)):
            value = config.kwargs[unknown[1]]
            raise ValueError(
                f"env.kwargs.{unknown[1]}: got {value!r}, but {config.id} takes no such argument"
            ) from error
        raise ValueError(
            f"env.kwargs: got {config.kwargs!r}, which {config.id} refuses: {' '.join(str(error).split())}"
        ) from error
    if flatten and not isinstance(env.observation_space, gs.Box):
        env = FlattenObservation(env)
    return env
