"""The seven metrics of SLM Lab, and aggregates over sessions with bootstrap intervals.

The seven follow the code (not the docstrings, which differ) of `slm_lab/experiment/analysis.py` in
https://github.com/kengz/SLM-Lab; what divides by zero, next to nothing or a negative sum there is `Undefined` here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from rllab.analysis.runs import RETURN, Array, Curve, Session


@dataclass(frozen=True)
class Undefined:
    """Stands for a number that does not exist; `reason` is one sentence for a person to read."""

    reason: str


Metric = float | Undefined
Statistic = Callable[[Array], Array]  # [..., S] -> [...]

STRENGTHS = ("strength", "max_strength", "final_strength")
SESSION_METRICS = (*STRENGTHS, "sample_efficiency", "training_efficiency", "stability")
NO_RANDOM_RETURN = Undefined(
    "env.random_return is not set: give it the return of a random policy, e.g. measured by agent=random"
)
NO_EVALUATION = Undefined("there is no evaluation row with a finite eval/mean_reward")
NOT_POSITIVE = Undefined("the denominator, a sum of strengths, is not positive: no better than random")
SMALLEST_DENOMINATOR = 0.1
"""The least ratio of a sum of strengths to the sum of their absolute values for the former to be a denominator. Where
strengths of both signs nearly cancel, a ratio to their sum says nothing: -80,000 has been seen, of an agent about as
good as random."""
NEAR_ZERO = Undefined(
    f"the denominator, a sum of strengths, is below {SMALLEST_DENOMINATOR:g} of the sum of their absolute values: too "
    "near to zero to divide by"
)


def session_metrics(session: Session, random_return: float | None) -> dict[str, Metric]:
    """Six of the seven, from one session's evaluation curve; strength is score minus `random_return`."""
    if random_return is None:
        return dict.fromkeys(SESSION_METRICS, NO_RANDOM_RETURN)
    frames, scores = session.scores()
    if scores.size == 0:
        return dict.fromkeys(SESSION_METRICS, NO_EVALUATION)
    strengths = scores - random_return
    return {
        "strength": float(strengths.mean()),
        "max_strength": float(strengths.max()),
        "final_strength": float(strengths[-1]),
        "sample_efficiency": efficiency(strengths, frames),
        "training_efficiency": efficiency(strengths, updates_at(session, frames)),
        "stability": stability(strengths),
    }


def trial_metrics(sessions: list[Session], random_return: float | None) -> dict[str, Metric]:
    """The seven of a trial: means over sessions, and consistency.

    A mean is undefined where a session's value is: the mean of the others would hide the one that failed.
    """
    each = {session.index: session_metrics(session, random_return) for session in sessions}
    means = {name: _mean({index: each[index][name] for index in each}) for name in SESSION_METRICS}
    if random_return is None:
        return {**means, "consistency": NO_RANDOM_RETURN}
    curves = [(frames, scores - random_return) for frames, scores in (s.scores() for s in sessions)]
    return {**means, "consistency": consistency(curves)}


def efficiency(strengths: Array, t: Array) -> Metric:
    """`sum(str_i / t_i) / sum(str_i)` of `[K]`, in 1/t: higher when the strength came early.

    `t` counts frames or optimiser steps. As in SLM Lab, `t_i = 0` drops out of the numerator only.
    """
    started = t > 0
    if not started.any():
        return Undefined("no optimiser update had been counted (train/num_updates) at any evaluation")
    return _ratio((strengths[started] / t[started]).sum(), strengths.sum(), strengths)


def stability(strengths: Array) -> Metric:
    """`1 - |sum of drops between neighbours / sum of all strengths but the last|` of `[K]`."""
    if strengths.size < 2:
        return Undefined("stability compares neighbouring evaluations and there are fewer than two")
    fall = -np.minimum(np.diff(strengths), 0.0).sum()
    ratio = _ratio(fall, strengths[:-1].sum(), strengths)
    return ratio if isinstance(ratio, Undefined) else 1 - ratio


def consistency(curves: list[Curve]) -> Metric:
    """`1 - 2 sum_i(std_i) / sum_i(mean_i)` over the sessions' strengths at the frames they have in common.

    The standard deviation is the sample's (n - 1), as pandas computes it for SLM Lab.
    """
    if len(curves) < 2:
        return Undefined("consistency compares sessions and there are fewer than two")
    common = reduce(np.intersect1d, (frames for frames, _ in curves))
    if common.size == 0:
        return Undefined("no evaluation frame is common to all sessions")
    aligned = np.stack([values[np.searchsorted(frames, common)] for frames, values in curves])  # [S, K]
    ratio = _ratio(aligned.std(axis=0, ddof=1).sum(), aligned.mean(axis=0).sum(), aligned / len(aligned))
    return ratio if isinstance(ratio, Undefined) else 1 - 2 * ratio


def _ratio(numerator: float, denominator: float, strengths: Array) -> Metric:
    """A ratio to a sum of strengths; undefined unless the sum is positive and not small beside the strengths."""
    if denominator <= 0:
        return NOT_POSITIVE
    return float(numerator / denominator) if denominator >= SMALLEST_DENOMINATOR * abs(strengths).sum() else NEAR_ZERO


def updates_at(session: Session, frames: Array) -> Array:
    """Optimiser steps `[K]` by the last train row at or before each of `frames` `[K]`; 0 if unknown."""
    counts = session.train.get("train/num_updates", np.zeros_like(session.train["frame"]))
    rows = np.searchsorted(session.train["frame"], frames, side="right")
    return np.concatenate([[0.0], np.nan_to_num(counts)])[rows]


def final_return(session: Session) -> Metric:
    """Mean return of the last 100 episodes at the last log checkpoint."""
    returns = session.train[RETURN]
    if returns.size and np.isfinite(returns[-1]):
        return float(returns[-1])
    return Undefined("the last log checkpoint has no finite rollout/ep_rew_mean (no episode finished?)")


def env_steps(session: Session) -> Metric:
    """Frames at the last log checkpoint, less the rows that only reset a sub-env."""
    steps = session.train.get("rollout/env_steps", np.zeros(0))
    if steps.size and np.isfinite(steps[-1]):
        return int(steps[-1])
    return Undefined("train.csv has no rollout/env_steps: there was no log checkpoint, or an older version wrote it")


def final_score(session: Session) -> Metric:
    """Score of the last evaluation."""
    scores = session.scores()[1]
    return float(scores[-1]) if scores.size else NO_EVALUATION


def told(session: Session, tag: str) -> Metric:
    """The last value of what the env tells of its episodes, see `runs.told`."""
    value = session.told(tag)
    return value if np.isfinite(value) else Undefined(f"no episode has told it ({tag}) at the last checkpoint")


def max_return(session: Session) -> Metric:
    """Highest mean return of the last 100 episodes at any log checkpoint."""
    returns = session.returns()[1]
    return float(returns.max()) if returns.size else Undefined("no episode has finished")


def solved_frame(session: Session, threshold: float | None) -> Metric:
    """First frame whose mean return of the last 100 episodes is at least `threshold`."""
    solved = first_reached(session, threshold)
    return solved if isinstance(solved, Undefined) else solved[0]


def first_reached(session: Session, threshold: float | None) -> tuple[int, float] | Undefined:
    """Frame and seconds of training at which the mean return of the last 100 episodes is first at least `threshold`."""
    if threshold is None:
        return Undefined("env.reward_threshold is not set")
    (frames, returns), (seconds, _) = session.returns(), session.returns("elapsed_s")
    solved = np.flatnonzero(returns >= threshold)
    if not solved.size:
        return Undefined("env.reward_threshold was never reached")
    return int(frames[solved[0]]), float(seconds[solved[0]])


def iqm(values: Array) -> Array:
    """Interquartile mean `[..., S] -> [...]`: the mean without the floor(S / 4) values at each end.

    Agarwal et al. 2021, https://arxiv.org/abs/2108.13264 (`scipy.stats.trim_mean` with 0.25).
    """
    cut = values.shape[-1] // 4
    return mean(np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut])


def mean(values: Array) -> Array:
    """Mean over the last axis, `[..., S] -> [...]`."""
    return np.asarray(values.mean(axis=-1))


def median(values: Array) -> Array:
    """Median over the last axis, `[..., S] -> [...]`."""
    return np.asarray(np.median(values, axis=-1))


def bootstrap_interval(values: Array, statistic: Statistic) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a statistic of `[S]`: 10,000 resamples, always the same ones.

    Raises:
        ValueError: fewer than two values, which tell nothing about their spread.
    """
    if values.size < 2:
        raise ValueError(f"a bootstrap interval needs at least two values, got {values.size}")
    resamples = np.random.default_rng(0).integers(values.size, size=(10_000, values.size))
    low, high = np.percentile(statistic(values[resamples]), [2.5, 97.5])
    return float(low), float(high)


def improvement(x: Array, y: Array) -> Array:
    """Probability that a run of x is better than one of y, `[..., S], [..., R] -> [...]`; a tie counts half.

    Agarwal et al. 2021; the Mann-Whitney statistic divided by its maximum.
    """
    pairs = x[..., :, None] - y[..., None, :]
    return np.asarray(((pairs > 0) + 0.5 * (pairs == 0)).mean(axis=(-2, -1)))


def improvement_interval(x: Array, y: Array) -> tuple[float, float]:
    """95 % percentile bootstrap interval of `improvement`, each side `[S]`, `[R]` resampled by itself.

    Raises:
        ValueError: a side has fewer than two values.
    """
    if min(x.size, y.size) < 2:
        raise ValueError(f"a bootstrap interval needs at least two values, got {x.size} and {y.size}")
    generator = np.random.default_rng(0)
    sides = [values[generator.integers(values.size, size=(10_000, values.size))] for values in (x, y)]
    low, high = np.percentile(improvement(*sides), [2.5, 97.5])
    return float(low), float(high)


STATISTICS: dict[str, Statistic] = {"mean": mean, "median": median, "iqm": iqm}


def with_intervals(values: Array) -> dict[str, dict[str, float | None]]:
    """Mean, median and iqm of `[S]`, each as {value, low, high}; a single value has no interval."""
    each: dict[str, dict[str, float | None]] = {}
    for name, statistic in STATISTICS.items():
        low, high = bootstrap_interval(values, statistic) if values.size > 1 else (None, None)
        each[name] = {"value": float(statistic(values)), "low": low, "high": high}
    return each


def complete(values: dict[int, Metric]) -> Array | Undefined:
    """The numbers `[S]` of all sessions, keyed by session index, or why they are not complete."""
    missing = {index: value.reason for index, value in values.items() if isinstance(value, Undefined)}
    if not missing:
        return np.array(list(values.values()), dtype=np.float64)
    if len(missing) == len(values) and len(set(missing.values())) == 1:
        return Undefined(next(iter(missing.values())))
    return Undefined("; ".join(f"session {index}: {reason}" for index, reason in missing.items()))


def _mean(values: dict[int, Metric]) -> Metric:
    numbers = complete(values)
    return numbers if isinstance(numbers, Undefined) else float(numbers.mean())
