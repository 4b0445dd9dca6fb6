"""Where the numbers of an algorithm have become nan or infinite."""

import math
from typing import Any

import torch


def not_finite(state: Any, num_sessions: int, name: str = "") -> tuple[str, int, float] | None:
    """Name, session and value of the first nan or infinity in the tensors of an algorithm's state, ``[S, ...]``."""
    if isinstance(state, torch.Tensor):
        if not state.is_floating_point() or math.isfinite(float(state.sum())):
            return None
        places = (~state.isfinite()).nonzero()
        if not len(places):
            return None  # their sum is too large for 32 bits, they are not
        where = tuple(places[0].tolist())
        session = where[0] * num_sessions // len(state) if where else 0  # critics of a session lie side by side
        return name, session, float(state[where])
    if isinstance(state, (list, tuple)):
        state = dict(enumerate(state))
    for key, child in state.items() if isinstance(state, dict) else ():
        if found := not_finite(child, num_sessions, f"{name}.{key}" if name else str(key)):
            return found
    return None
