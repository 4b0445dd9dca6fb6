"""Numbers in the env's infos, per episode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper

from rllab.envs.sub_env import SUCCESS, OutputError

if TYPE_CHECKING:
    from rllab.envs.wrappers import Step

RATE = "success_rate"
"""The tag under which `SUCCESS` is tracked."""


class TrackInfos(VectorWrapper):
    """Makes one number of each episode of what the steps of a row tell under a name: the last, mean, sum or max.

    A step that finishes episodes has ``info["measured"]``: by tag, ``info/fuel``, an array as long as those of
    ``info["finished"]``, nan where an episode has told nothing. Directly around `TrackReward`; rows that only reset
    tell nothing.
    """

    def __init__(self, env: VectorEnv, kinds: dict[str, str]) -> None:
        """`kinds` has last, mean, sum or max by the name of the entry."""
        super().__init__(env)
        self.names, self.kinds = list(kinds), list(kinds.values())  # plain data, as all that a resume needs
        self.values = np.full((len(kinds), env.num_envs), np.nan)
        self.counts = np.zeros(self.values.shape, np.int64)
        self.done = np.zeros(env.num_envs, np.bool_)

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        self._forget(slice(None))
        self.done[:] = False
        return self.env.reset(**kwargs)

    def step(self, actions: Any) -> Step:
        obs, reward, terminated, truncated, info = self.env.step(actions)
        for index, (name, kind) in enumerate(zip(self.names, self.kinds, strict=True)):
            if (told := numbers(info, name, self.num_envs)) is not None:
                self._add(index, kind, np.where(self.done, np.nan, told))  # the rows that were done have only reset
        self.done = np.logical_or(terminated, truncated)
        if self.done.any():
            values = self.values[:, self.done] / np.maximum(self.counts[:, self.done], 1)
            info["measured"] = {f"info/{name}": row for name, row in zip(self.names, values, strict=True)}
            self._forget(self.done)
        return obs, reward, terminated, truncated, info

    def _add(self, index: int, kind: str, told: np.ndarray) -> None:
        known = ~np.isnan(told)
        before, now = self.values[index, known], told[known]
        if kind in ("sum", "mean"):
            now = now + np.nan_to_num(before)
        elif kind == "max":
            now = np.fmax(before, now)
        self.values[index, known] = now
        self.counts[index, known] += kind == "mean"  # others are divided by nothing

    def _forget(self, rows: Any) -> None:
        self.values[:, rows], self.counts[:, rows] = np.nan, 0


def measured(info: dict[str, Any], rows: np.ndarray, num_rows: int) -> dict[str, np.ndarray]:
    """What is known of the episodes that ended in these rows, by tag, each an array as long; nan is not known."""
    try:
        success = numbers(info, SUCCESS, num_rows)
    except OutputError:  # it is something else by that name
        success = None
    found: dict[str, np.ndarray] = info.get("measured", {})
    return found if success is None else found | {RATE: success[rows]}


def numbers(info: dict[str, Any], name: str, num_rows: int) -> np.ndarray | None:
    """The numbers under a name in the infos of a vector env ``[rows]``, nan where there is none; None if nowhere.

    Raises:
        OutputError: they are no numbers.
    """
    if name not in info:
        return None
    try:
        told = np.asarray(info[name], np.float64).reshape(num_rows)
    except (TypeError, ValueError):
        raise OutputError(f"info[{name!r}], which env.info_metrics tracks, is no number for each sub-env") from None
    return np.where(info.get(f"_{name}", True) & np.isfinite(told), told, np.nan)
