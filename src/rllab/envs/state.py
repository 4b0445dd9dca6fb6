"""The state of running envs as plain data, so that a resumed run continues in the middle of its episodes.

An env qualifies if everything it holds is plain: numbers, text, arrays, random generators, and lists, tuples, deques
and dicts of these; of spaces the generators that members were drawn from. Constants (specs, functions, metadata) need
no saving. An env that holds anything else (a physics engine, an emulator) is not saved, and restarts its episodes on
resume.
"""

import ctypes
import enum
import types
from collections import deque
from typing import Any

import gymnasium.spaces as gs
import numpy as np
from gymnasium import Env, Wrapper
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import SyncVectorEnv, VectorEnv, VectorWrapper

from rllab.envs.actions import ActionMap
from rllab.envs.classic_control import ClassicControlVectorEnv
from rllab.envs.gymnasium_internals import CONSTANT_ATTRIBUTES, has_generator

_CONSTANTS = (
    ctypes.CDLL,  # what is compiled, and what it is called with
    ctypes.Structure,
    gs.Space,
    ActionMap,
    EnvSpec,
    enum.Enum,
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
)
_BIT_GENERATORS: dict[str, type[np.random.BitGenerator]] = {
    kind.__name__: kind
    for kind in (np.random.MT19937, np.random.PCG64, np.random.PCG64DXSM, np.random.Philox, np.random.SFC64)
}
"""All that numpy has; other names in it do more than to make one, as `numpy.random.test`."""
_STRUCTURE = CONSTANT_ATTRIBUTES | {"env", "envs", "env_fns"}


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
    """Restore what `get_state` gave, into a vector env made by the same config.

    Raises:
        ValueError: it is not that of such envs.
    """
    for layer, saved in zip(_layers(envs), state, strict=True):
        if isinstance(layer, ClassicControlVectorEnv):
            layer.check_state(saved)
        for name, value in saved.items():
            if isinstance(value, dict) and "spaces" in value:
                _set_generators(getattr(layer, name), value["spaces"])
            else:
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
    return layers


def _get(layer: object) -> dict[str, Any]:
    if not hasattr(layer, "__dict__"):
        raise NotPlainError
    items = {k: v for k, v in vars(layer).items() if k not in _STRUCTURE and not isinstance(v, _CONSTANTS)}
    spaces = {k: v for k, v in vars(layer).items() if isinstance(v, gs.Space)}
    if isinstance(layer, Env) and not isinstance(layer, Wrapper):  # the class may hold it instead of the object
        spaces |= {name: getattr(layer, name) for name in ("observation_space", "action_space")}
    drawn = {name: states for name, space in spaces.items() if any(states := _generators(space))}
    return {name: _plain(value) for name, value in items.items()} | {k: {"spaces": v} for k, v in drawn.items()}


def _parts(space: gs.Space[Any]) -> list[gs.Space[Any]]:
    """A space and those that it is made of."""
    inner = space.spaces if isinstance(space, (gs.Dict, gs.Tuple)) else ()
    children = inner.values() if isinstance(inner, dict) else inner
    return [space, *(part for child in children for part in _parts(child))]


def _generators(space: gs.Space[Any]) -> list[Any]:
    """States of the generators that an env may draw members of a space from; None where there is none yet."""
    return [part.np_random.bit_generator.state if has_generator(part) else None for part in _parts(space)]


def _set_generators(space: gs.Space[Any], states: list[Any]) -> None:
    for part, state in zip(_parts(space), states, strict=True):
        if state is not None:
            part.np_random.bit_generator.state = state


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.dtype.kind in "biuf"):
        return value.copy()
    if isinstance(value, np.random.Generator):
        return {"bit_generator": type(value.bit_generator).__name__, "state": value.bit_generator.state}
    if type(value) is list:
        return [_plain(v) for v in value]
    return _plain_container(value)


def _plain_container(value: Any) -> dict[str, Any]:
    """What a checkpoint would not give back as it was: tuples as lists, keys as text."""
    if type(value) is tuple:
        return {"tuple": [_plain(v) for v in value]}
    if type(value) is deque:
        return {"deque": [_plain(v) for v in value], "maxlen": value.maxlen}
    if type(value) is dict:
        return {"dict": [[_plain(k), _plain(v)] for k, v in value.items()]}
    raise NotPlainError(type(value).__name__)


def _restore(value: Any) -> Any:
    if isinstance(value, dict) and "deque" in value:
        return deque((_restore(v) for v in value["deque"]), maxlen=value["maxlen"])
    if isinstance(value, dict) and "dict" in value:
        return {_restore(k): _restore(v) for k, v in value["dict"]}
    if isinstance(value, dict) and "tuple" in value:
        return tuple(_restore(v) for v in value["tuple"])
    if isinstance(value, dict):
        bits = _BIT_GENERATORS[value["bit_generator"]]()
        bits.state = value["state"]
        return np.random.Generator(bits)
    return [_restore(v) for v in value] if isinstance(value, list) else value
