"""Observations of several parts as one array: what stores and moves them sees a `Box`, and networks take it apart."""

import functools
import math
import operator
from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor

from rllab.nets.images import axes_of, is_image, reading
from rllab.nets.normalize import RunningNorm

Obs = Tensor | dict[str, Tensor]
"""Observations as they are stored, or their parts by name."""


def flat_space(space: gs.Space[Any]) -> gs.Box[Any]:
    """The space of observations that have no axes as one array, see `flat_obs`.

    Raises:
        NotImplementedError: members have no fixed length.
        ValueError: two parts have the same name.
    """
    if not isinstance(space, (gs.Dict, gs.Tuple)):
        return _flattened(space)
    leaves = [leaf for _, leaf in _leaves(space)]
    if len(paths(space)) < len(leaves):
        raise ValueError("have two parts of the same name")
    return (Packed if any(map(is_image, leaves)) else Parts)(space)


def flat_obs(space: gs.Space[Any], flat: gs.Box[Any], obs: Any) -> np.ndarray:
    """An observation of `space` as an array of `flat`, the `flat_space` of it."""
    return flat.pack(obs) if isinstance(flat, Packed) else np.asarray(gs.flatten(space, obs), flat.dtype)


class Parts(gs.Box[Any]):
    """A Dict or Tuple of numbers and choices: the parts one after the other, choices as one-hot vectors."""

    def __init__(self, space: gs.Space[Any]) -> None:
        """`space` is the Dict or Tuple; its parts have names, ``state.goal`` where they are nested."""
        flat = _flattened(space)
        super().__init__(flat.low, flat.high, dtype=flat.dtype.type)
        self.whole, self.leaves = space, leaves_of(space)
        self.widths = {name: gs.flatdim(leaf) for name, leaf in self.leaves.items()}  # of what `split` gives

    def split(self, x: Obs) -> dict[str, Tensor]:
        """The parts of observations ``[..., n]`` as networks take them: numbers ``[..., *shape]``, one-hot vectors."""
        assert isinstance(x, Tensor)
        parts = torch.split(x, list(self.widths.values()), -1)
        named = zip(self.leaves.items(), parts, strict=True)
        return {name: _shaped(part, leaf) for (name, leaf), part in named}

    def __repr__(self) -> str:
        return f"parts {described(self)}"


class Stored(NamedTuple):
    """How a part lies in the bytes of a row."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    choices: tuple[int, ...] = ()
    """How many there are of each, where it is made of choices."""
    start: int = 0
    """Byte, a multiple of the dtype's size."""

    @property
    def bytes(self) -> slice:
        return slice(self.start, self.start + math.prod(self.shape) * self.dtype.itemsize)


class Packed(Parts):
    """A Dict or Tuple that holds an image: the bytes of its parts, each in a dtype of its own.

    Images stay bytes where they are, choices are integers of one byte if there are up to 256, all else is float32. Real
    numbers come first, and of those the ones that are no image.
    """

    def __init__(self, space: gs.Space[Any]) -> None:
        leaves = leaves_of(space)
        self.stored, num_bytes = _place(leaves)
        gs.Box.__init__(self, 0, 255, (num_bytes,), np.uint8)
        self.whole, self.leaves, self.paths = space, leaves, paths(space)
        real = {name: each for name, each in self.stored.items() if each.dtype == torch.float32}
        self.numbers = [name for name in real if not is_image(leaves[name])]
        sizes = {name: math.prod(each.shape) for name, each in real.items()}
        self.num_real = sum(sizes.values())
        self.num_numbers = sum(sizes[name] for name in self.numbers)
        self.widths = {name: sum(each.choices) or math.prod(each.shape) for name, each in self.stored.items()}

    def pack(self, obs: Any) -> np.ndarray:
        """An observation of the Dict or Tuple as bytes ``[n]``."""
        row = np.zeros(self.shape, np.uint8)
        for name, leaf in self.leaves.items():
            stored, value = self.stored[name], functools.reduce(operator.getitem, self.paths[name], obs)
            with np.errstate(over="ignore"):  # infinity is an error of the env, for all backends
                array = np.asarray(_storable(leaf, value)).astype(_NUMPY[stored.dtype])
            row[stored.bytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return row

    def unpack(self, x: Tensor) -> dict[str, Tensor]:
        """Views of the parts of bytes ``[..., n]``, as they are stored."""
        return {
            name: x[..., stored.bytes].view(stored.dtype).view(*x.shape[:-1], *stored.shape)
            for name, stored in self.stored.items()
        }

    def as_stored(self, name: str, x: Tensor) -> Tensor:
        """A part as the env gives it, ``[B, ...]``, as `unpack` gives it."""
        stored: Tensor = (x - self._start(name)).to(self.stored[name].dtype)
        return stored

    def as_given(self, name: str, x: Tensor) -> Tensor:
        """The same the other way round; what is neither array nor choice stays flat."""
        leaf = self.leaves[name]
        fixed = isinstance(leaf, (gs.Box, gs.Discrete, gs.MultiDiscrete, gs.MultiBinary))
        if not fixed:
            return x
        given: Tensor = x.to(torch.from_numpy(np.zeros(0, leaf.dtype)).dtype) + self._start(name)
        return given

    def _start(self, name: str) -> Any:
        """Where choices begin; elsewhere 0."""
        start = getattr(self.leaves[name], "start", 0)
        return torch.from_numpy(start) if isinstance(start, np.ndarray) else int(start)

    def split(self, x: Obs) -> dict[str, Tensor]:
        """The parts of bytes ``[..., n]``, or of what `unpack` gave, as networks take them; images stay as they are."""
        parts = self.unpack(x) if isinstance(x, Tensor) else x
        return {name: _one_hot(parts[name], self.stored[name], leaf) for name, leaf in self.leaves.items()}


class PackedNorm(RunningNorm):
    """Standardises those numbers of `Packed` observations that are no image."""

    def __init__(self, num_sessions: int, space: Packed) -> None:
        super().__init__(num_sessions, space.num_numbers)
        self.space = space

    def forward(self, x: Obs) -> Any:
        """Bytes ``[S, B, n]`` to such bytes, or parts ``[S, B, ...]`` to parts."""
        if isinstance(x, Tensor):
            x = x.clone()
            numbers = self._numbers(x)
            numbers.copy_(super().forward(numbers))
            return x
        numbers = super().forward(torch.cat([x[name].flatten(2) for name in self.space.numbers], -1))
        parts = torch.split(numbers, [self.space.widths[name] for name in self.space.numbers], -1)
        named = zip(self.space.numbers, parts, strict=True)
        return x | {name: part.reshape(x[name].shape) for name, part in named}

    @torch.no_grad()
    def update(self, x: Tensor, mask: Tensor) -> None:
        super().update(self._numbers(x), mask)

    def _numbers(self, x: Tensor) -> Tensor:
        return x[..., : 4 * self.space.num_numbers].view(torch.float32)


def make_obs_norm(num_sessions: int, obs_space: gs.Space[Any]) -> RunningNorm:
    """The normaliser of such observations."""
    if isinstance(obs_space, Packed):
        return PackedNorm(num_sessions, obs_space)
    assert obs_space.shape is not None
    return RunningNorm(num_sessions, *obs_space.shape)


def described(space: gs.Space[Any]) -> str:
    """What observations are taken for, in words: ``camera (64, 64, 3) image, channels last; state (5,)``."""
    leaves = space.leaves if isinstance(space, Parts) else {"": space}
    return "; ".join(f"{name} {_described(leaf)}".strip() for name, leaf in leaves.items())


def _described(leaf: gs.Space[Any]) -> str:
    if not isinstance(leaf, gs.Box):
        return str(leaf)
    axes = axes_of(leaf.shape) if is_image(leaf) else ""
    return f"{leaf.shape} image, {reading(axes)}" if axes else str(leaf.shape)


def network_shapes(space: gs.Space[Any]) -> dict[str, tuple[int, ...]]:
    """Shapes, without rows, in which networks get the parts of a space by name; an empty one if it has no parts."""
    return {name: x.shape if isinstance(x, gs.Box) else (gs.flatdim(x),) for name, x in leaves_of(space).items()}


_NUMPY = {torch.float32: np.float32, torch.int32: np.int32, torch.uint8: np.uint8}
"""What parts are stored as, the widest first: so each begins at a multiple of its size."""


def paths(space: gs.Space[Any]) -> dict[str, tuple[str | int, ...]]:
    """Where each part is in an observation: ``state.goal`` at ``("state", "goal")``."""
    return {".".join(map(str, keys)): keys for keys, _ in _leaves(space)}


def _leaves(space: gs.Space[Any], *keys: str | int) -> Iterator[tuple[tuple[str | int, ...], gs.Space[Any]]]:
    """What a space is made of, in the order in which Gymnasium flattens it."""
    if not isinstance(space, (gs.Dict, gs.Tuple)):
        yield keys, space
        return
    for key, part in space.spaces.items() if isinstance(space, gs.Dict) else enumerate(space.spaces):
        yield from _leaves(part, *keys, key)


def leaves_of(space: gs.Space[Any]) -> dict[str, gs.Space[Any]]:
    """The parts by name."""
    return dict(zip(paths(space), (leaf for _, leaf in _leaves(space)), strict=True))


def _flattened(space: gs.Space[Any]) -> gs.Box[Any]:
    flat = gs.flatten_space(space)
    if not isinstance(flat, gs.Box):  # Sequence and Graph have no fixed length
        raise NotImplementedError
    return flat


def _place(leaves: dict[str, gs.Space[Any]]) -> tuple[dict[str, Stored], int]:
    """Where the parts lie, and how many bytes that takes: a multiple of 4, so that rows can be seen as float32."""
    stored = {name: _stored(leaf) for name, leaf in leaves.items()}
    widest = list(_NUMPY)
    order = sorted(leaves, key=lambda name: (widest.index(stored[name].dtype), is_image(leaves[name])))
    placed, start = {}, 0
    for name in order:
        placed[name] = stored[name]._replace(start=start)
        start = placed[name].bytes.stop
    return placed, -(-start // 4) * 4


def _stored(leaf: gs.Space[Any]) -> Stored:
    if isinstance(leaf, gs.Box):
        as_bytes = leaf.dtype == np.uint8 and is_image(leaf)
        return Stored(torch.uint8 if as_bytes else torch.float32, leaf.shape)
    if isinstance(leaf, gs.MultiBinary):
        return Stored(torch.uint8, leaf.shape)
    if isinstance(leaf, (gs.Discrete, gs.MultiDiscrete)):
        counts = [int(leaf.n)] if isinstance(leaf, gs.Discrete) else leaf.nvec.ravel().tolist()
        return Stored(torch.uint8 if max(counts) <= 256 else torch.int32, leaf.shape or (), tuple(counts))
    return Stored(torch.float32, _flattened(leaf).shape)


def _storable(leaf: gs.Space[Any], value: Any) -> Any:
    """A value as numbers, choices from 0."""
    if isinstance(leaf, (gs.Discrete, gs.MultiDiscrete)):
        return np.asarray(value) - leaf.start
    return value if isinstance(leaf, (gs.Box, gs.MultiBinary)) else gs.flatten(leaf, value)


def _one_hot(x: Tensor, stored: Stored, leaf: gs.Space[Any]) -> Tensor:
    """A stored part as a network takes it: choices ``[S, B, ...]`` as one-hot vectors ``[S, B, n]``, truths as 0, 1."""
    if isinstance(leaf, gs.MultiBinary):
        return x.flatten(2).float()
    if not stored.choices:
        return x
    choices = x.reshape(*x.shape[:2], -1).unbind(-1)
    counted = zip(choices, stored.choices, strict=True)
    return torch.cat([(c.unsqueeze(-1) == torch.arange(n, device=x.device)).float() for c, n in counted], -1)


def _shaped(x: Tensor, leaf: gs.Space[Any]) -> Tensor:
    return x.reshape(*x.shape[:-1], *leaf.shape) if isinstance(leaf, gs.Box) else x
