"""One env as Gymnasium makes it, with the user's wrappers around it; what goes wrong becomes an error of one line."""

from __future__ import annotations

import re
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gymnasium
import gymnasium.wrappers
from gymnasium.envs.registration import load_env_creator
from gymnasium.error import DependencyNotInstalled

from rllab import calls
from rllab.envs.registry import is_atari, newest
from rllab.envs.sub_env import SubEnv
from rllab.text import one_line, setting_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gymnasium.envs.registration import EnvSpec

    from rllab.config import EnvConfig

_EXTRAS = ("box2d", "mujoco")


def make_row(spec: EnvSpec, config: EnvConfig, row: int, kept: tuple[str, ...]) -> SubEnv:
    """The env of one row of a vector env; also what a process of `async` runs."""
    return SubEnv(make_one(spec, config), row, kept, metrics=tuple(config.info_kinds))


def make_one(spec: EnvSpec, config: EnvConfig) -> gymnasium.Env[Any, Any]:
    """One env with the user's wrappers around it.

    Raises:
        ValueError: it cannot be made, or not with these arguments or wrappers; one line.
    """
    _quiet_mujoco(spec)
    _check_render_mode(spec, config)
    try:
        env: gymnasium.Env[Any, Any] = gymnasium.make(spec, disable_env_checker=True, **config.kwargs)
    except (DependencyNotInstalled, ImportError) as error:
        reason = one_line(error)
        extra = next((extra for extra in _EXTRAS if extra in f"{spec.entry_point} {reason}".lower()), None)
        if isinstance(error, ImportError) and spec.id != newest(spec):
            hint = f"which is deprecated; write env.id={newest(spec)}"
        elif extra:
            hint = f"which is in the extra {extra}; type pip install 'rllab[{extra}]'"
        else:
            hint = f"which needs more packages: {reason}"
        raise ValueError(f"env.id: got {config.id!r}, {hint}") from None
    except Exception as error:
        if config.kwargs:
            raw = f" with env.backend={config.backend}, which gives raw frames; write env.backend=ale"
            raise unknown_argument(spec, config, error, hint=raw if is_atari(spec) else "") from error
        reason = one_line(f"{type(error).__name__}: {error}")
        raise ValueError(f"env.id: got {config.id!r}, which cannot be made: {reason}") from error
    for name, arguments in config.wrapper_calls:
        wrapper = calls.find("env.wrappers", name, example="[gymnasium.wrappers.TimeAwareObservation]")
        try:
            env = wrapper(env, **arguments)
        except Exception as error:
            raise _refused_wrapper(spec, name, wrapper, arguments, error) from error
    _refuse_normalizing(env, config)
    return env


def _check_render_mode(spec: EnvSpec, config: EnvConfig) -> None:
    """Refuse a render mode that the env does not have; Gymnasium only warns, in three lines."""
    mode = config.kwargs.get("render_mode")
    if mode is None:
        return
    creator: Any = spec.entry_point
    if isinstance(creator, str):
        with suppress(Exception):  # whatever it is, making the env meets it again, and says it
            creator = load_env_creator(creator)
    modes = getattr(creator, "metadata", {}).get("render_modes")  # a function has none
    if modes and mode not in modes:
        raise ValueError(
            f"env.kwargs.render_mode: got {mode!r}, which {spec.id} does not have; "
            f"write one of {', '.join(map(str, modes))}, or remove it"
        )


def _refuse_normalizing(env: gymnasium.Env[Any, Any], config: EnvConfig) -> None:
    """Refuse the wrappers of `_REFUSED`, also where a function of the user's has put one around the env."""
    for layer in layers(env):
        refused = next((kind for kind in _REFUSED if isinstance(layer, kind)), None)
        if refused:
            where = f"env.wrappers: got {config.wrappers}" if config.wrappers else f"env.id: got {config.id!r}"
            raise ValueError(f"{where}, with {refused.__name__}, {_REFUSED[refused]}")


_REFUSED: dict[type, str] = {
    gymnasium.wrappers.NormalizeReward: "by which returns would not be those of the env; write "
    "agent.normalize_reward=true instead, where the agent has it: learning alone sees it",
    gymnasium.wrappers.NormalizeObservation: "whose statistics begin anew in every evaluation; write "
    "agent.normalize_obs=true instead, where the agent has it: the policy carries them",
    gymnasium.wrappers.ClipReward: "by which returns would not be those of the env; write env.clip_reward=true "
    "instead: learning alone sees rewards clipped to [-1, 1]",
}
"""Wrappers that change what a person sees, and why and what to write instead."""


def layers(env: gymnasium.Env[Any, Any]) -> Iterator[gymnasium.Env[Any, Any]]:
    """The wrappers around an env, outermost first."""
    while isinstance(env, gymnasium.Wrapper):
        yield env
        env = env.env


def _refused_wrapper(spec: EnvSpec, name: str, wrapper: Any, arguments: dict[str, Any], error: Exception) -> ValueError:
    """The error for a wrapper that cannot be put around an env, which says what it takes if that is why."""
    if found := calls.unknown_argument(wrapper, arguments, first=1):
        unknown, known = found
        which = f"{unknown}: {arguments[unknown]!r}, but {name} takes no such argument"
        return ValueError(f"env.wrappers: got {which}; write one of {', '.join(known)}")
    got = f"{name!r}" + (f" with {setting_text(arguments)}" if arguments else "")
    return ValueError(f"env.wrappers: got {got}, which cannot wrap {spec.id}: {one_line(error)}")


def unknown_argument(spec: EnvSpec, config: EnvConfig, error: Exception, *, hint: str = "") -> ValueError:
    """The error for an env whose constructor has refused `config.kwargs` with `error`; `hint` ends the line."""
    reason = one_line(error)
    if unknown := re.search(r"unexpected keyword argument '(\w+)'", reason):
        name = unknown[1]
        got = config.kwargs.get(name)
        return ValueError(f"env.kwargs.{name}: got {got!r}, but {full_id(spec, config)} takes no such argument{hint}")
    return ValueError(f"env.kwargs: got {config.kwargs!r}, which {full_id(spec, config)} refuses: {reason}")


def full_id(spec: EnvSpec, config: EnvConfig) -> str:
    """The id with which this env can be made again: with its package, and a game in ALE's spelling."""
    return spec.id if is_atari(spec) else config.id


def _quiet_mujoco(spec: EnvSpec) -> None:
    """Silence the line that MuJoCo prints for each sub-env with a deprecated model file; other warnings stay."""
    if "mujoco" not in str(spec.entry_point):
        return
    try:
        import mujoco  # noqa: PLC0415 - an extra
    except ImportError:
        return  # making the env will say so
    mujoco.set_mju_user_warning(_on_mujoco_warning)


def _on_mujoco_warning(text: str) -> None:
    if "deprecated" not in text:
        warnings.warn(f"MuJoCo: {text}", stacklevel=2)
