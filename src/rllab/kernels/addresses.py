"""Where arrays lie. Without torch, which whoever only steps envs need not import."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


def address(array: np.ndarray) -> int:
    """Where an array begins; sooner than by its `ctypes`."""
    return array.__array_interface__["data"][0]  # type: ignore[no-any-return]


def addresses(arrays: Iterable[np.ndarray | Tensor | None]) -> list[int | None]:
    """Where contiguous arrays or tensors begin; they must be kept for as long as they are used."""
    return [None if array is None else _contiguous(array) for array in arrays]


def _contiguous(array: np.ndarray | Tensor) -> int:
    if isinstance(array, np.ndarray):
        assert array.flags.c_contiguous
        return address(array)
    assert array.is_contiguous()
    return array.data_ptr()
