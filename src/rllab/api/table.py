"""Tables as a person wants them: pandas where it is installed, otherwise numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Table = Any
"""A pandas DataFrame; a structured numpy array where pandas is not installed. ``table["frame"]`` works for both."""


def table(columns: Mapping[str, Sequence[Any] | np.ndarray]) -> Table:
    """Put columns of one length side by side."""
    try:
        import pandas as pd  # noqa: PLC0415 - no dependency, and slow
    except ImportError:
        arrays = {name: np.asarray(column) for name, column in columns.items()}
        rows = len(next(iter(arrays.values()), ()))
        found = np.empty(rows, [(name, column.dtype) for name, column in arrays.items()])
        for name, column in arrays.items():
            found[name] = column
        return found
    return pd.DataFrame(columns)
