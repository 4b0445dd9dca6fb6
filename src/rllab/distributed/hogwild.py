"""Hogwild: one policy in memory that several processes share and change without locks.

Recht, Re, Wright, Niu 2011, https://arxiv.org/abs/1106.5730; for reinforcement learning Mnih et al. 2016,
https://arxiv.org/abs/1602.01783. Not the parameters alone are shared, but moments and step counts of optimisers,
targets, temperatures and normalisers too: what the algorithm names in `Algorithm.shared`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from rllab.algorithms import Algorithm
    from rllab.optim.flat import FlatParameters

_ALIGNMENT = 64  # bytes, as torch aligns memory


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
    parts = [getattr(algorithm, name) for name in algorithm.shared]
    return [part.flat for part in parts if hasattr(part, "flat")]


def _storages(algorithm: Algorithm) -> list[tuple[torch.UntypedStorage, list[Tensor]]]:
    """What is to be shared, each with the tensors that look at it, in the same order for all that are made alike."""
    tensors = [tensor for name in algorithm.shared for tensor in _tensors(getattr(algorithm, name))]
    found: dict[int, tuple[torch.UntypedStorage, list[Tensor]]] = {}
    for tensor in {id(tensor): tensor for tensor in tensors}.values():  # each once: a parameter is of two parts
        storage = tensor.untyped_storage()
        found.setdefault(storage.data_ptr(), (storage, []))[1].append(tensor)
    return list(found.values())


def _tensors(part: object) -> list[Tensor]:
    """All tensors of a part: of a module its parameters and buffers, except those that it names in `private`."""
    if isinstance(part, Tensor):
        return [part]
    if isinstance(part, nn.Module):
        private = getattr(part, "private", ())
        return [*part.parameters(), *(buffer for name, buffer in part.named_buffers() if name not in private)]
    return part.tensors()  # type: ignore[attr-defined, no-any-return]


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
