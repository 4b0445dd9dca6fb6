"""A user's own network as a torso: found by its name, and tried before anything depends on it."""

import importlib
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.nets.cnn import LAYOUTS
from rllab.nets.parts import network_shapes
from rllab.nets.stacked import Stacked

Make = Callable[[gs.Space[Any]], nn.Module]
_CHANGES = (
    "which changes {} when it is evaluated, and so when it only acts; write LayerNorm or GroupNorm in place of "
    "BatchNorm"
)
_NUM_ROWS = (2, 1)
"""Observations of a trial: of a single one much may come out in another shape, or be undefined."""


def make_user_torso(network: str, obs_space: gs.Space[Any], generators: list[torch.Generator]) -> tuple[nn.Module, int]:
    """A user's module, ``package.module:Class``, built with the observation space; and how many features it gives.

    Raises:
        ValueError: one line, see `try_user_torso`.
    """
    num_features = try_user_torso(network, obs_space)
    make = _find(network)
    return Stacked(lambda: make(obs_space), generators), num_features


def try_user_torso(network: str, obs_space: gs.Space[Any]) -> int:
    """Do with such a torso what training does, on a few observations; returns how many features it gives.

    Raises:
        ValueError: one line: it cannot be imported or made, does not map ``[B, *obs_shape]`` to ``[B, features]``, or
            cannot be evaluated and differentiated for several sessions at once.
    """
    make, got = _find(network), f"agent.network: got {network!r}"
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        with _one_line(f"{got}, whose constructor raises", "write one that takes the observation space alone"):
            module = make(obs_space)
        if not isinstance(module, nn.Module):
            made = type(module).__name__
            raise ValueError(f"{got}, which makes a {made}; write a torch.nn.Module")  # noqa: TRY004 - as all bad input
        if buffered := [type(m).__name__ for m in module.modules() if hasattr(m, "running_mean") and m.training]:
            raise ValueError(f"{got}, {_CHANGES.format('the running statistics of its ' + buffered[0])}")
        num_features = _try_alone(got, module, obs_space)
        _try_stacked(got, lambda: make(obs_space), obs_space)
    return num_features


def _find(network: str) -> Make:
    """The class that ``package.module:Class`` names."""
    module_name, _, class_name = network.partition(":")
    try:
        return getattr(importlib.import_module(module_name), class_name)  # type: ignore[no-any-return]
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"agent.network: got {network!r} ({error}); write auto, mlp, {', '.join(LAYOUTS)} or package.module:Class"
        ) from None
    except Exception as error:
        raise ValueError(
            f"agent.network: got {network!r}, whose module cannot be imported: {_reason(error)}; mend it"
        ) from error


def _try_alone(got: str, module: nn.Module, obs_space: gs.Space[Any]) -> int:
    """Evaluate one session's module as it is: what torch says of it is plain here, unlike under `torch.vmap`."""
    num_features = 0
    for num_rows in _NUM_ROWS:
        taken = f"{num_rows} observation{'s' * (num_rows > 1)} {_shape(obs_space)}"
        with _one_line(f"{got}, which cannot take {taken}", f"write one that maps {_shape(obs_space, 'B')} to (B, n)"):
            features = module(_observations(obs_space, num_rows))
        if wrong := _wrong_output(module, features, num_rows):
            raise ValueError(f"{got}, {wrong}")
        num_features = features.shape[1]
    return num_features


def _wrong_output(module: nn.Module, features: Any, num_rows: int) -> str:
    """What is wrong with the features of so many observations, and what to write; empty if nothing is."""
    rows = f"for {num_rows} observation{'s' * (num_rows > 1)}; write one that gives ({num_rows}, n)"
    if not isinstance(features, Tensor):
        return f"which gives a {type(features).__name__} {rows}"
    if features.dim() != 2 or len(features) != num_rows:
        return f"which gives {tuple(features.shape)} {rows}"
    learned = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if other := [x.dtype for x in (features, *learned) if x.dtype != torch.float32]:
        return f"which computes in {other[0]}; write one of torch.float32"
    if learned and not features.requires_grad:
        return "whose output has no gradient; leave out detach() and no_grad(), or freeze it by requires_grad_(False)"
    return ""


def _try_stacked(got: str, make: Callable[[], nn.Module], obs_space: gs.Space[Any]) -> None:
    """Evaluate and differentiate two sessions of it at once."""
    how = "at once for several sessions, by torch.vmap"
    advice = "write it without recurrent layers, lazy ones and branches on data"
    with _one_line(f"{got}, which cannot be evaluated and differentiated {how}", advice):
        stacked = Stacked(make, [torch.Generator().manual_seed(session) for session in range(2)])
        before = {name: buffer.clone() for name, buffer in stacked.named_buffers()}
        for num_rows in _NUM_ROWS:
            obs = _observations(obs_space, 2, num_rows)
            features = stacked(obs)
            if features.requires_grad:  # not where all of it is frozen
                features.sum().backward()
        again = stacked(obs)
    if not torch.equal(features, again):
        why = "nan" if features.isnan().any() else "other features for the same observations (dropout?)"
        raise ValueError(f"{got}, which gives {why}; write one that depends on observations and parameters alone")
    if changed := [name for name, buffer in stacked.named_buffers() if not torch.equal(buffer, before[name])]:
        raise ValueError(f"{got}, {_CHANGES.format('its buffer ' + changed[0].replace('__', '.'))}")


def _observations(obs_space: gs.Space[Any], *rows: int) -> Tensor | dict[str, Tensor]:
    """The observation of the space that is nearest to 0, as a network gets it: bytes as numbers; ``[*rows, ...]``."""
    if isinstance(obs_space, (gs.Dict, gs.Tuple)):
        return {name: torch.zeros(*rows, *shape) for name, shape in network_shapes(obs_space).items()}
    if not isinstance(obs_space, gs.Box):
        return torch.zeros(*rows, gs.flatdim(obs_space))
    obs = np.clip(0, obs_space.low, obs_space.high).astype(np.float32)
    return torch.from_numpy(obs).repeat(*rows, *[1] * obs.ndim)


def _shape(obs_space: gs.Space[Any], *rows: str) -> str:
    """What a network gets, in words: ``(B, 4)``, or ``{camera: (B, 64, 64, 3), state: (B, 5)}``."""

    def text(shape: tuple[int, ...]) -> str:
        return f"({', '.join(map(str, (*rows, *shape)))}{',' * (len(rows) + len(shape) == 1)})"

    shapes = network_shapes(obs_space)
    if not isinstance(obs_space, (gs.Dict, gs.Tuple)):
        return text(shapes[""])
    return "{" + ", ".join(f"{name}: {text(shape)}" for name, shape in shapes.items()) + "}"


@contextmanager
def _one_line(problem: str, advice: str) -> Iterator[None]:
    """Whatever is raised inside becomes one line."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"{problem}: {_reason(error)}; {advice}") from error


def _reason(error: Exception) -> str:
    """Type and first sentence of an error: torch's have many lines, and ask for reports of bugs."""
    sentence = re.split(r"\.\s", f"{error} ".lstrip())[0]
    return textwrap.shorten(f"{type(error).__name__}: {sentence}", 200, placeholder=" ...").rstrip(": ")
