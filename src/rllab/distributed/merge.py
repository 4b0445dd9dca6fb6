"""What several workers say at a checkpoint, and the policies that they have, as one."""

from __future__ import annotations

import math
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import torch

from rllab.tracking.tracker import WINDOW, Episode, known_mean
from rllab.training.sessions import CheckpointReport

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def side_by_side(parts: list[CheckpointReport]) -> CheckpointReport:
    """One report from those of workers that have sessions of their own: all sessions, in order."""
    rows = [row for part in parts for row in part.rows]
    if parts[0].kind == "log":
        rate = sum(part.rows[0]["time/fps"] for part in parts)
        rows = [row | {"time/fps": rate} for row in rows]
    return CheckpointReport(
        parts[0].kind,
        max(part.frame for part in parts),
        rows,
        [score for part in parts for score in part.scores],
        [score for part in parts for score in part.best_scores],
        ended=_ended(parts),
    )


def of_one_policy(parts: list[CheckpointReport], *, evaluated: bool) -> CheckpointReport:
    """One report from those of workers that share a policy: a row for the policy, and beside it those of the workers.

    `best_scores` stays empty, for whoever holds the policy to fill in.
    """
    rows = [part.rows[0] for part in parts]
    frame = max(part.frame for part in parts)
    ended = [Episode(*each) for part in parts for each in part.episodes]  # of a checkpoint, it comes as a list
    last = sorted(ended, key=attrgetter("frame"))[-WINDOW:]
    mean_return, mean_length = known_mean(e.value for e in last), known_mean(e.length for e in last)
    tags = dict.fromkeys(tag for episode in last for tag in episode.infos)
    told = {f"rollout/{tag}": known_mean(e.infos.get(tag, math.nan) for e in last) for tag in tags}
    names = dict.fromkeys(name for row in rows for name in row)
    row = {name: _merge(name, [row[name] for row in rows if name in row]) for name in names} | {"frame": frame}
    if parts[0].kind == "log":
        row |= {"rollout/ep_rew_mean": mean_return, "rollout/ep_len_mean": mean_length} | told
    elif not evaluated:
        row["eval/mean_reward"] = mean_return
    score = known_mean([score for part in parts for score in part.scores]) if evaluated else mean_return
    worker_rows = [row | {"frame": frame} for row in rows]
    return CheckpointReport(parts[0].kind, frame, [row], [score], [], worker_rows, _ended(parts))


def _ended(parts: list[CheckpointReport]) -> list[tuple[int, Episode]]:
    """The episodes of all, in the order in which they ended."""
    ended = [(session, Episode(*episode)) for part in parts for session, episode in part.ended]  # as above
    return sorted(ended, key=lambda each: (each[1].frame, each[0]))


def policies(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The policies of all sessions, from those of each worker's: tensors ``[S, ...]`` by name."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def best(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The checkpoint `best` of all sessions, from that of each worker's."""
    whole = {name: [value for part in parts for value in part[name]] for name in ("frame", "score")}
    return {**whole, "policy": policies([part["policy"] for part in parts])}


def part_of_best(whole: dict[str, Any], numbers: range) -> dict[str, Any]:
    """The part of `best` that belongs to these sessions: what `best` puts together."""
    here = slice(numbers.start, numbers.stop)
    policy = {name: tensor[here] for name, tensor in whole["policy"].items()}
    return {"frame": whole["frame"][here], "score": whole["score"][here], "policy": policy}


def _merge(name: str, values: list[float]) -> float:
    """The number that stands in the policy's row, from those of its workers."""
    return _MERGES.get(name, known_mean)(values)


_MERGES: dict[str, Callable[[list[float]], float]] = {
    "elapsed_s": max,
    "time/fps": sum,
    "rollout/num_episodes": sum,
    "rollout/env_steps": sum,
    "train/num_updates": sum,
    "eval/min_reward": min,
    "eval/max_reward": max,
    "eval/num_cut": sum,
}
