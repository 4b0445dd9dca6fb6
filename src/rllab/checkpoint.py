"""Checkpoints: nested plain data and tensors in one safetensors file.

The tensors are safetensors' own, the structure around them is JSON in its header: nothing in the file can execute.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

FORMAT = "rllab-checkpoint-1"


class CheckpointError(Exception):
    """A file that is no checkpoint of ours, or not a whole one. One line."""


def write(path: Path, state: dict[str, Any]) -> None:
    """Write `state` so that `path` is at every moment either the old file or the new one, whole."""
    tensors: dict[str, Tensor] = {}
    structure = json.dumps(_encode(state, tensors))
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(save(tensors, {"format": FORMAT, "structure": structure}))
    os.replace(temporary, path)


def read(path: Path) -> dict[str, Any]:
    """What `write` wrote; arrays come back as they were, tensors on the CPU.

    Raises:
        CheckpointError: missing, truncated, or not written by rllab.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise CheckpointError(f"{path}: not a checkpoint of rllab")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: truncated, or not a checkpoint ({error})") from None
    return _decode(json.loads(header["structure"]), tensors)  # type: ignore[no-any-return]


def _encode(value: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON for the structure; every array is put into `tensors` under a number."""
    if value is None or isinstance(value, (bool, int, float, str)) and not isinstance(value, np.generic):
        return value
    if isinstance(value, dict):
        return {"dict": [[key, _encode(v, tensors)] for key, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_encode(v, tensors) for v in value]}
    name = str(len(tensors))
    if isinstance(value, Tensor):
        tensors[name] = value.detach().contiguous()
        return {"tensor": name}
    if isinstance(value, (np.ndarray, np.generic)):
        tensors[name] = torch.from_numpy(np.ascontiguousarray(value).reshape(value.shape))
        return {"scalar" if isinstance(value, np.generic) else "array": name}
    raise TypeError(f"a checkpoint holds plain data and tensors, not {type(value).__name__}")


def _decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "dict":
        return {key: _decode(v, tensors) for key, v in content}
    if kind == "list":
        return [_decode(v, tensors) for v in content]
    if kind == "tuple":
        return tuple(_decode(v, tensors) for v in content)
    if kind == "tensor":
        return tensors[content]
    array = tensors[content].numpy()
    return array[()] if kind == "scalar" else array
