"""Checkpoints: nested plain data and tensors in one safetensors file.

The tensors are safetensors' own, the structure around them is JSON in its header: nothing in the file can execute.
The structure has a checksum of each tensor, and the header one of the structure: a damaged file is not taken for whole.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from rllab.files import write_bytes
from rllab.text import one_line

FORMAT = "rllab-checkpoint-2"
_TENSOR, _ARRAY, _SCALAR = "__tensor__", "__array__", "__scalar__"
_MALFORMED = (
    SafetensorError,
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    RuntimeError,
    RecursionError,
)
"""What reading a file raises that is not what `write` has written."""


class CheckpointError(Exception):
    """A file is no checkpoint of rllab, or not a whole one. Its text is one line."""


def write(path: Path, state: dict[str, Any]) -> None:
    """Write `state` so that `path` is at every moment either the old file or the new one, whole.

    `state` holds dicts with text keys, lists, numbers, text, None, tensors and arrays; a tuple comes back as a list.

    Raises:
        OSError: it cannot be written; the old file is still there.
    """
    write_bytes(path, dumps(state))


def dumps(state: dict[str, Any]) -> bytes:
    """A checkpoint as the bytes that `write` puts into a file."""
    tensors: dict[str, Tensor] = {}
    structure = _Encoder(tensors).encode(state)
    return save(tensors, {"format": FORMAT, "structure": structure, "sha256": _digest(structure.encode())})


def loads(data: bytes) -> dict[str, Any]:
    """The state that `dumps` was given."""
    length = int.from_bytes(data[:8], "little")
    return _decode(json.loads(data[8 : 8 + length])["__metadata__"]["structure"], load(data).__getitem__)  # type: ignore[no-any-return]


def read(path: Path, *keys: str | int) -> Any:
    """What `write` wrote; arrays come back as they were, tensors on the CPU.

    With `keys`, only what lies there: ``read(path, "algorithm", "policy")`` leaves a large replay buffer on the disk.
    What is read is compared with its checksums.

    Raises:
        CheckpointError: missing, truncated, damaged, not written by rllab, or without `keys`.
    """
    while True:
        file = _file(path)
        try:
            return _read(path, *keys)
        except CheckpointError:
            if _file(path) == file:
                raise  # otherwise a run has replaced it meanwhile: safetensors opens it once for the header, once more


def _file(path: Path) -> tuple[int, int] | None:
    """Which file lies there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _read(path: Path, *keys: str | int) -> Any:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise CheckpointError(f"{path}: not a checkpoint of rllab, or of another version of it")
            structure = header["structure"]
            if _digest(structure.encode()) != header["sha256"]:
                raise CheckpointError(f"{path}: damaged, its structure is not what was written")
            for key in keys:
                structure = json.dumps(_part(path, json.loads(structure), key))
            return _decode(structure, file.get_tensor)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    except _MALFORMED as error:
        raise CheckpointError(f"{path}: truncated, damaged, or not a checkpoint ({one_line(error)[:200]})") from None


def _part(path: Path, structure: Any, key: str | int) -> Any:
    try:
        return structure[key]
    except (LookupError, TypeError):
        raise CheckpointError(f"{path}: has no {key!r}; it was written by another version of rllab") from None


def _digest(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest_of(tensor: Tensor) -> str:
    """Checksum of a contiguous tensor on the CPU: of its type, its shape and its bytes."""
    digest = hashlib.sha256(f"{tensor.dtype} {list(tensor.shape)}".encode())
    if tensor.numel():
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _decode(structure: str, tensor: Callable[[str], Tensor]) -> Any:
    def decode(node: dict[str, Any]) -> Any:
        kind = next((kind for kind in (_TENSOR, _ARRAY, _SCALAR) if kind in node), None)
        if kind is None:
            return node
        found = tensor(node[kind])
        if _digest_of(found) != node["sha256"]:
            raise ValueError(f"tensor {node[kind]} is not what was written")
        return found if kind == _TENSOR else found.numpy() if kind == _ARRAY else found.numpy()[()]

    return json.loads(structure, object_hook=decode)


class _Encoder(json.JSONEncoder):
    """Writes the structure as JSON; every array goes into `tensors`, and the number that it has there into the JSON."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.tensors = tensors

    def default(self, o: Any) -> dict[str, str]:
        name = str(len(self.tensors))
        if isinstance(o, Tensor):
            # a copy of each: safetensors refuses what shares memory, as a shared torso does
            kind, tensor = _TENSOR, o.detach().clone(memory_format=torch.contiguous_format).cpu()
        elif isinstance(o, (np.ndarray, np.generic)):
            kind = _SCALAR if isinstance(o, np.generic) else _ARRAY
            tensor = torch.from_numpy(np.ascontiguousarray(o).reshape(o.shape))
        else:
            raise TypeError(f"a checkpoint holds plain data and tensors, not {type(o).__name__}")
        self.tensors[name] = tensor
        return {kind: name, "sha256": _digest_of(tensor)}
