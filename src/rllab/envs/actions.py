"""What an agent chooses and what its env is told: every action space in one of four plain forms.

An agent acts in ``Discrete(n)``, ``MultiDiscrete([n, ...])``, ``MultiBinary(n)`` or a one-dimensional float ``Box``:
choices count from 0, and what has two bounds is scaled to [-1, 1]. `ActionMap` leads from there to the env's own space.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium.spaces as gs
import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

MAX_CHOICES = 1000
"""The most integers that an element of an integer `Box` may range over: more are too many to choose among."""
USABLE_BOUND = 1e8
"""Bounds beyond this are bounds in name only (3.4e38 and the like): no agent could make use of such a range."""
Array = Any
"""A numpy array or a torch tensor; the result is of the same kind as the arguments."""


@dataclass(frozen=True)
class ActionMap:
    """From an agent's actions ``[B, *agent_space.shape]`` to its env's, ``[B, *env_space.shape]``.

    ``offset + scale * action``, clipped to both spaces, element by element in flat order. The elements of a box with
    two usable bounds are scaled from [-1, 1]; others are clipped only, and begin where the space is nearest to 0.
    """

    env_space: gs.Space[Any]
    agent_space: gs.Space[Any]
    offset: np.ndarray
    scale: np.ndarray
    note: str | None = None
    """What a person should know of this mapping; None where there is nothing to say."""

    @cached_property
    def is_identity(self) -> bool:
        """Whether the env takes the agent's actions as they are: both spaces are equal, and of 64-bit integers."""
        return bool(self.env_space == self.agent_space and self.env_space.dtype == np.int64)

    @cached_property
    def bounds(self) -> tuple[np.ndarray, ...] | None:
        """Low and high of the agent's box, then of the env's, each ``[n]``; None if actions are choices."""
        if not isinstance(self.agent_space, gs.Box):
            return None
        assert isinstance(self.env_space, gs.Box)
        ends = self.agent_space.low, self.agent_space.high, self.env_space.low, self.env_space.high
        return tuple(end.astype(self.offset.dtype).ravel() for end in ends)

    def to_env(self, action: np.ndarray) -> np.ndarray:
        """Actions of the env's shape and dtype, each inside its space unless it is nan."""
        flat: np.ndarray = action.reshape(len(action), *self.offset.shape)
        flat = flat + self.offset if self.bounds is None else scaled(flat, self.offset, self.scale, *self.bounds)
        assert self.env_space.shape is not None
        flat = flat.astype(self.env_space.dtype, copy=False)
        return flat.reshape(len(action), *self.env_space.shape)


def scaled(
    action: Array, offset: Array, scale: Array, agent_low: Array, agent_high: Array, low: Array, high: Array
) -> Array:
    """Actions of the env's box from those of an agent's, ``[B, n]``; works on torch tensors too, for exported files."""
    return (offset + scale * action.clip(agent_low, agent_high)).clip(low, high)


def action_map(space: gs.Space[Any]) -> ActionMap:
    """The mapping from an agent's plain space to an env's action space.

    Raises:
        ValueError: no agent can act in it. The message is a clause that continues "action space Box(...) ".
    """
    if math.prod(space.shape or ()) == 0:
        raise ValueError("has no elements; there is nothing to choose")
    if isinstance(space, gs.Discrete):
        return _choices(space, [int(space.n)], np.array(space.start), gs.Discrete(int(space.n)))
    if isinstance(space, gs.MultiDiscrete):
        return _choices(space, space.nvec.ravel().tolist(), space.start.ravel())
    if isinstance(space, gs.MultiBinary):
        size = math.prod(space.shape)
        return _choices(space, [2] * size, np.zeros(size, np.int64), gs.MultiBinary(size))
    if isinstance(space, gs.Box):
        return _real_box(space) if np.issubdtype(space.dtype, np.floating) else _integer_box(space)
    raise ValueError("has parts; rllab acts in Discrete, MultiDiscrete, MultiBinary and Box")


def _choices(
    space: gs.Space[Any],
    sizes: list[int],
    start: np.ndarray,
    agent_space: gs.Space[Any] | None = None,
    note: str | None = None,
) -> ActionMap:
    """The mapping for choices: element i is one of ``sizes[i]``, which the env counts from ``start[i]``."""
    if agent_space is None:
        agent_space = gs.Discrete(sizes[0]) if len(sizes) == 1 else gs.MultiDiscrete(sizes)
    start = start.astype(np.int64)
    return ActionMap(space, agent_space, start, np.ones_like(start), note)


def _integer_box(space: gs.Box[Any]) -> ActionMap:
    lows, highs = (end.astype(object).ravel() for end in (space.low, space.high))  # Python's integers do not overflow
    sizes = [int(high) - int(low) + 1 for low, high in zip(lows, highs, strict=True)]
    if max(sizes, default=1) > MAX_CHOICES:
        raise ValueError(
            f"has {max(sizes):,} integers in an element, more than the {MAX_CHOICES:,} that can be a choice; "
            "write a wrapper that offers fewer, or real numbers, into env.wrappers"
        )
    if min(lows) < -(2**63) or max(highs) >= 2**63:
        raise ValueError("has integers beyond 64 bits; write a wrapper that counts from 0 into env.wrappers")
    note = f"actions {space} are choices: one of {', '.join(map(str, sorted(set(sizes))))} for each element"
    return _choices(space, sizes, lows.astype(np.int64), note=note)


def _real_box(space: gs.Box[Any]) -> ActionMap:
    dtype = np.promote_types(space.dtype, np.float32)
    low, high = space.low.astype(dtype).ravel(), space.high.astype(dtype).ravel()
    bounded_below, bounded_above = low >= -USABLE_BOUND, high <= USABLE_BOUND
    usable = bounded_below & bounded_above
    offset, scale = np.zeros_like(low), np.ones_like(low)
    offset[usable] = (high[usable] + low[usable]) / 2
    scale[usable] = (high[usable] - low[usable]) / 2
    offset[~usable] = np.clip(0, low, high)[~usable]  # an untrained agent acts near 0
    agent_low = np.where(usable, -1.0, np.where(bounded_below, low - offset, -np.inf)).astype(np.float32)
    agent_high = np.where(usable, 1.0, np.where(bounded_above, high - offset, np.inf)).astype(np.float32)
    note = None
    if not usable.all():
        some = "actions" if not usable.any() else f"elements {np.flatnonzero(~usable).tolist()} of the actions"
        note = f"{some} have no two usable bounds: they are clipped to their space, not rescaled"
    return ActionMap(space, gs.Box(agent_low, agent_high), offset, scale, note)


class AgentActions(VectorWrapper):
    """Offers the agent's plain space as the action space, and maps each action into the env's own."""

    def __init__(self, env: VectorEnv, actions: ActionMap) -> None:
        super().__init__(env)
        self.actions = actions
        self.single_action_space = actions.agent_space
        self.action_space = batch_space(actions.agent_space, env.num_envs)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        return self.env.step(self.actions.to_env(actions))
