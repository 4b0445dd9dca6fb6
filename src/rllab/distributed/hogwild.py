"""Hogwild: one policy in memory that several processes share and change without locks.

Recht, Re, Wright, Niu 2011, https://arxiv.org/abs/1106.5730; for reinforcement learning Mnih et al. 2016,
https://arxiv.org/abs/1602.01783. Not the parameters alone are shared, but all that an algorithm holds in tensors:
moments and step counts of optimisers, targets, temperatures, normalisers. What is private says so, see `private`.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from rllab.optim.adam import Adam
from rllab.optim.rmsprop import RMSprop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rllab.algorithms import Algorithm
    from rllab.optim.flat import FlatParameters

_ALIGNMENT = 64  # bytes, as torch aligns memory
_LEAVES = (type, types.ModuleType, types.MethodType, types.BuiltinFunctionType, str, bytes)


def share(algorithm: Algorithm) -> Tensor:
    """Move all that the policy is made of into one block of shared memory, and return that."""
    storages = _storages(algorithm)
    *starts, size = _layout(storages)
    block: Tensor = torch.zeros(size, dtype=torch.uint8).share_memory_()  # type: ignore[no-untyped-call]
    for (storage, _), start in zip(storages, starts, strict=True):
        block[start : start + storage.nbytes()] = torch.empty(0, dtype=torch.uint8).set_(storage)
    _move(storages, block)
    return block


def attach(algorithm: Algorithm, block: Tensor, *, copies: bool) -> None:
    """Let an algorithm that was made like the shared one be that one.

    With `copies` (`meta.distributed=synced`) its networks keep parameters of their own; optimisers move the shared
    ones, and pull them after each step.
    """
    storages = _storages(algorithm)
    if copies:
        for flat in _learned(algorithm):
            data = flat.data.untyped_storage().data_ptr()
            flat.keep_copy()
            storages = [(s, [flat.master] if s.data_ptr() == data else tensors) for s, tensors in storages]
    _move(storages, block)


def pull(algorithm: Algorithm) -> None:
    """Bring copies of parameters up to date."""
    for flat in _learned(algorithm):
        flat.pull()


def _learned(algorithm: Algorithm) -> list[FlatParameters]:
    """The parameters that optimisers move."""
    optimizers = (node for node in _walk(algorithm, {}) if isinstance(node, (Adam, RMSprop)))
    return [optimizer.flat for optimizer in optimizers]


def _storages(algorithm: Algorithm) -> list[tuple[torch.UntypedStorage, list[Tensor]]]:
    """What is to be shared, each with the tensors that look at it, in the same order for all that are made alike."""
    private = set()
    found: dict[int, tuple[torch.UntypedStorage, list[Tensor]]] = {}
    arrays = []
    for node in _walk(algorithm, {}):
        if isinstance(node, Tensor) and node.is_cpu and node.numel():
            storage = node.untyped_storage()
            found.setdefault(storage.data_ptr(), (storage, []))[1].append(node)
        elif isinstance(node, np.ndarray) and node.size:
            arrays.append(node.__array_interface__["data"][0])
        for name in getattr(type(node), "private", ()):
            private.add(getattr(node, name).untyped_storage().data_ptr())
    shared = [pair for address, pair in found.items() if address not in private]
    for storage, _ in shared:
        start = storage.data_ptr()
        if any(start <= address < start + storage.nbytes() for address in arrays):
            raise RuntimeError(
                f"{type(algorithm).__name__} has made a numpy view of its parameters before they could be shared; "
                "make it when it is first needed (functools.cached_property)"
            )
    return shared


def _walk(node: Any, seen: dict[int, Any]) -> Iterator[Any]:
    """All objects that `node` holds, itself included; each once."""
    if id(node) in seen or isinstance(node, _LEAVES):
        return
    seen[id(node)] = node
    yield node
    if isinstance(node, dict):
        children = list(node.values())
    elif isinstance(node, (list, tuple)):
        children = list(node)
    elif isinstance(node, Tensor):
        children = []
    elif isinstance(node, types.FunctionType):  # a policy in numpy, for one, closes over its arrays
        children = [cell.cell_contents for cell in node.__closure__ or ()]
    else:
        children = list(vars(node).values()) if hasattr(node, "__dict__") else []
    for child in children:
        yield from _walk(child, seen)


def _layout(storages: list[tuple[torch.UntypedStorage, list[Tensor]]]) -> list[int]:
    """Where each storage begins in the block, and where the last one ends."""
    sizes = [-(-storage.nbytes() // _ALIGNMENT) * _ALIGNMENT for storage, _ in storages]
    return [0, *np.cumsum(sizes).tolist()]


def _move(storages: list[tuple[torch.UntypedStorage, list[Tensor]]], block: Tensor) -> None:
    """Let all tensors look at the block instead."""
    memory = block.untyped_storage()
    for (_, tensors), start in zip(storages, _layout(storages), strict=False):
        for tensor in tensors:
            offset = start // tensor.element_size() + tensor.storage_offset()
            view = torch.empty(0, dtype=tensor.dtype).set_(memory, offset, tensor.size(), tensor.stride())
            tensor.data = view  # parameters included, which stay the same objects
