"""The state of running envs as plain data, so that a resumed run continues in the middle of its episodes.

An env qualifies if everything it holds is plain: numbers, text, arrays, random generators, and lists of these.
Constants (spaces, specs, functions, metadata) need no saving. An env that holds anything else (a physics engine, an
emulator) is not saved, and restarts its episodes on resume.
"""

import enum
import types
from typing import Any

import gymnasium.spaces as gs
import numpy as np
from gymnasium import Env, Wrapper
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import SyncVectorEnv, VectorEnv, VectorWrapper

from rllab.envs.actions import ActionMap

_CONSTANTS = (
    gs.Space,
    ActionMap,
    EnvSpec,
    enum.Enum,
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
)
_STRUCTURE = {"env", "envs", "env_fns", "metadata", "spec", "_cached_spec", "_metadata", "_saved_kwargs"}


class NotPlainError(Exception):
    """An env holds something that is not plain data."""


def get_state(envs: VectorEnv) -> list[dict[str, Any]] | None:
    """State of every object of a vector env, wrappers included; None if one of them is not plain data."""
    try:
        layers = _layers(envs)
        return [_get(layer) for layer in layers]
    except NotPlainError:
        return None


def set_state(envs: VectorEnv, state: list[dict[str, Any]]) -> None:
    """Restore what `get_state` gave, into a vector env made by the same config."""
    for layer, saved in zip(_layers(envs), state, strict=True):
        for name, value in saved.items():
            setattr(layer, name, _restore(value))


def _layers(envs: VectorEnv) -> list[object]:
    layers: list[object] = []
    vector: Any = envs
    while isinstance(vector, VectorWrapper):
        layers.append(vector)
        vector = vector.env
    layers.append(vector)
    if isinstance(vector, SyncVectorEnv):
        for env in vector.envs:
            sub: Env[Any, Any] = env
            while isinstance(sub, Wrapper):
                layers.append(sub)
                sub = sub.env
            layers.append(sub)
    elif not _in_this_process(vector):
        raise NotPlainError
    return layers


def _in_this_process(vector: object) -> bool:
    return not hasattr(vector, "processes") and not hasattr(vector, "parent_pipes")


def _get(layer: object) -> dict[str, Any]:
    if not hasattr(layer, "__dict__"):
        raise NotPlainError
    items = {k: v for k, v in vars(layer).items() if k not in _STRUCTURE and not isinstance(v, _CONSTANTS)}
    return {name: _plain(value) for name, value in items.items()}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.dtype.kind in "biuf"):
        return value.copy()
    if isinstance(value, np.random.Generator):
        return {"bit_generator": type(value.bit_generator).__name__, "state": value.bit_generator.state}
    if type(value) in (list, tuple):
        return [_plain(v) for v in value]
    raise NotPlainError(type(value).__name__)


def _restore(value: Any) -> Any:
    if isinstance(value, dict):
        generator = np.random.Generator(getattr(np.random, value["bit_generator"])())
        generator.bit_generator.state = value["state"]
        return generator
    return [_restore(v) for v in value] if isinstance(value, list) else value
