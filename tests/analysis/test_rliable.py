"""Intervals beside those of rliable, the library of Agarwal et al. 2021 (extra `rliable`, for development only)."""

from __future__ import annotations

import numpy as np
import pytest

from rllab.analysis import statistics

library = pytest.importorskip("rliable.library")
metrics = pytest.importorskip("rliable.metrics")

SCORES = np.array([257.1, 259.9, 269.8, 257.1, 240.3, 281.0, 251.2, 262.8])
OTHERS = np.array([201.4, 255.0, 198.7, 260.2, 246.1, 230.9, 266.0, 212.5])


def intervals(scores, statistic, reps=10_000):
    _, found = library.get_interval_estimates(
        {"": scores}, lambda *x: np.array([statistic(*x)]), reps=reps, random_state=np.random.RandomState(1)
    )
    return found[""][:, 0]


def assert_same(interval, theirs):
    # an end of 10,000 draws that are not seeded moves by 0.7 % of the width: four times that
    assert interval == pytest.approx(theirs, abs=0.03 * (theirs[1] - theirs[0]))


@pytest.mark.parametrize("sessions", [4, 8])
def test_mean(sessions):
    scores = SCORES[:sessions]
    assert_same(
        statistics.bootstrap_interval(scores, statistics.mean), intervals(scores[:, None], metrics.aggregate_mean)
    )


def test_iqm():
    scores = SCORES[:4]
    assert statistics.iqm(scores) == pytest.approx(metrics.aggregate_iqm(scores[:, None]))
    theirs = intervals(scores[:, None], metrics.aggregate_iqm, reps=4_000)
    assert_same(statistics.bootstrap_interval(scores, statistics.iqm), theirs)


@pytest.mark.parametrize("sessions", [4, 8])
def test_probability_of_improvement(sessions):
    x, y = SCORES[:sessions], OTHERS[:sessions]
    assert statistics.improvement(x, y) == pytest.approx(metrics.probability_of_improvement(x[:, None], y[:, None]))


@pytest.mark.slow
@pytest.mark.parametrize("sessions", [4, 8])
def test_interval_of_the_probability(sessions):
    x, y = SCORES[:sessions], OTHERS[:sessions]
    theirs = intervals((x[:, None], y[:, None]), metrics.probability_of_improvement)
    one_pair = 1 / sessions**2  # it moves in such steps
    assert statistics.improvement_interval(x, y) == pytest.approx(theirs, abs=one_pair)
