"""Checkpoints: nested plain data and tensors in one safetensors file.

The tensors are safetensors' own, the structure around them is JSON in its header: nothing in the file can execute.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

FORMAT = "rllab-checkpoint-1"
_TENSOR, _ARRAY, _SCALAR = "__tensor__", "__array__", "__scalar__"


class CheckpointError(Exception):
    """A file is no checkpoint of rllab, or not a whole one. Its text is one line."""


def write(path: Path, state: dict[str, Any]) -> None:
    """Write `state` so that `path` is at every moment either the old file or the new one, whole.

    `state` holds dicts with text keys, lists, numbers, text, None, tensors and arrays; a tuple comes back as a list.
    """
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(dumps(state))
    temporary.replace(path)


def dumps(state: dict[str, Any]) -> bytes:
    """A checkpoint as the bytes that `write` puts into a file."""
    tensors: dict[str, Tensor] = {}
    structure = _Encoder(tensors).encode(state)
    return save(tensors, {"format": FORMAT, "structure": structure})


def loads(data: bytes) -> dict[str, Any]:
    """The state that `dumps` was given."""
    length = int.from_bytes(data[:8], "little")
    return _decode(json.loads(data[8 : 8 + length])["__metadata__"]["structure"], load(data).__getitem__)  # type: ignore[no-any-return]


def read(path: Path, *keys: str | int) -> Any:
    """What `write` wrote; arrays come back as they were, tensors on the CPU.

    With `keys`, only what lies there: ``read(path, "algorithm", "policy")`` leaves a large replay buffer on the disk.

    Raises:
        CheckpointError: missing, truncated, not written by rllab, or without `keys`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise CheckpointError(f"{path}: not a checkpoint of rllab")
            structure = header["structure"]
            for key in keys:
                structure = json.dumps(json.loads(structure)[key])
            return _decode(structure, file.get_tensor)
    except KeyError as error:
        raise CheckpointError(f"{path}: has no {error}; it was written by another version of rllab") from None
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: truncated, or not a checkpoint ({error})") from None


def _decode(structure: str, tensor: Callable[[str], Tensor]) -> Any:
    def decode(node: dict[str, Any]) -> Any:
        if _TENSOR in node:
            return tensor(node[_TENSOR])
        if _ARRAY in node:
            return tensor(node[_ARRAY]).numpy()
        return tensor(node[_SCALAR]).numpy()[()] if _SCALAR in node else node

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
            self.tensors[name] = o.detach().clone(memory_format=torch.contiguous_format)
            return {_TENSOR: name}
        if isinstance(o, (np.ndarray, np.generic)):
            self.tensors[name] = torch.from_numpy(np.ascontiguousarray(o).reshape(o.shape))
            return {_SCALAR if isinstance(o, np.generic) else _ARRAY: name}
        raise TypeError(f"a checkpoint holds plain data and tensors, not {type(o).__name__}")
