"""`eval.json`: what the policies of a run score in whole episodes, by checkpoint and by how they act."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from rllab.analysis.statistics import with_intervals
from rllab.files import read_json, value_at, write_json
from rllab.host.process import Hold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rllab.analysis.runs import Array


def describe(
    returns: Array,
    lengths: Array,
    cut: Array,
    infos: Mapping[str, Array] = MappingProxyType({}),
    *,
    sessions: Sequence[int],
    frames: Sequence[int],
) -> dict[str, Any]:
    """An evaluation as `eval.json` holds it.

    Statistics over sessions are those of the sessions' means, since episodes of one policy are not independent seeds.

    Args:
        returns: of E whole episodes of each session, ``[S, E]``.
        lengths: of the same episodes, in steps.
        cut: whether each of them was cut by a limit of the evaluation.
        infos: what the env has told of them, by tag; nan where it has told nothing.
        sessions: numbers of the S sessions.
        frames: the frame that each session's policy is from.
    """
    told = {tag: [_known_mean(row) for row in values] for tag, values in infos.items()}  # of each session
    return {
        "num_episodes": returns.shape[1],
        "over_sessions": with_intervals(returns.mean(1)) | _infos(told, slice(None)),
        "sessions": [
            {
                "session": session,
                "frame": frame,
                **with_intervals(row),
                "std": float(row.std()),
                "min": float(row.min()),
                "max": float(row.max()),
                "mean_length": float(length.mean()),
                "num_cut": int(short.sum()),
                "returns": row.tolist(),
                **_infos(told, slice(index, index + 1)),
            }
            for index, (session, frame, row, length, short) in enumerate(
                zip(sessions, frames, returns, lengths, cut, strict=True)
            )
        ],
    }


def _infos(told: dict[str, list[float]], which: slice) -> dict[str, dict[str, float | None]]:
    """Means over some of the sessions; None where an episode has told nothing, no entry where the env tells none."""
    means = {tag: float(np.mean(values[which])) for tag, values in told.items()}
    return {"infos": {tag: None if np.isnan(mean) else mean for tag, mean in means.items()}} if means else {}


def _known_mean(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan


def record(run: Path, checkpoint: str, acting: str, evaluation: dict[str, Any]) -> None:
    """Write an evaluation into `eval.json`, in the place of the last one of that checkpoint and that way of acting.

    Args:
        run: the run directory.
        checkpoint: best or last.
        acting: greedy or stochastic.
        evaluation: what `describe` made.

    Raises:
        OSError: it cannot be written.
        HeldError: another process has been writing it for a minute.
    """
    with Hold(run, ".eval.lock", patience=60):
        everything = read_json(run / "eval.json")
        ways = value_at(everything, checkpoint, kind=dict) or {}
        write_json(run / "eval.json", everything | {checkpoint: ways | {acting: evaluation}})
