from __future__ import annotations

import numpy as np
import pytest

from rllab.analysis import statistics
from rllab.analysis.runs import Session
from rllab.analysis.statistics import Undefined, bootstrap_interval, iqm, mean, median


def array(*values):
    return np.array(values, dtype=np.float64)


def session(scores, *, index=0, frames=(100, 200, 400), updates=(0, 4, 8, 10), returns=(np.nan, 20, 40, 35)):
    train = {
        "frame": array(100, 200, 300, 400),
        "elapsed_s": array(1, 2, 3, 4),
        "rollout/ep_rew_mean": array(*returns),
    }
    if updates is not None:
        train["train/num_updates"] = array(*updates)
    return Session(index, train, {"frame": array(*frames), "eval/mean_reward": array(*scores)})


# Random return 10, so the strengths are 10, 20, 10.
def test_the_six_metrics_of_a_session():
    metrics = statistics.session_metrics(session([20, 30, 20]), random_return=10.0)
    assert metrics["strength"] == pytest.approx(40 / 3)
    assert metrics["max_strength"] == 20
    assert metrics["final_strength"] == 10
    # (10/100 + 20/200 + 10/400) / 40 = 0.225 / 40
    assert metrics["sample_efficiency"] == pytest.approx(0.005625)
    # updates at frames 100, 200, 400: 0, 4, 10. The first has no 1/t: (20/4 + 10/10) / 40 = 6 / 40
    assert metrics["training_efficiency"] == pytest.approx(0.15)
    # one drop of 10; strengths but the last sum to 30: 1 - 10/30
    assert metrics["stability"] == pytest.approx(2 / 3)


# Strengths 10, 20, 10 and 20, 40, 50: means 15, 30, 30, sum 75; sample deviations |a-b|/sqrt(2) of
# 10, 20, 40, sum 70/sqrt(2). Consistency = 1 - 2 * 49.4975 / 75.
def test_the_seven_metrics_of_a_trial():
    sessions = [session([20, 30, 20]), session([30, 50, 60], index=1)]
    metrics = statistics.trial_metrics(sessions, random_return=10.0)
    assert metrics["strength"] == pytest.approx((40 / 3 + 110 / 3) / 2)
    assert metrics["max_strength"] == (20 + 50) / 2
    assert metrics["final_strength"] == (10 + 50) / 2
    # session 1: (20/100 + 40/200 + 50/400) / 110 = 0.525 / 110
    assert metrics["sample_efficiency"] == pytest.approx((0.005625 + 0.525 / 110) / 2)
    # session 1: (40/4 + 50/10) / 110 = 15 / 110
    assert metrics["training_efficiency"] == pytest.approx((0.15 + 15 / 110) / 2)
    assert metrics["stability"] == pytest.approx((2 / 3 + 1) / 2)  # session 1 never drops
    assert metrics["consistency"] == pytest.approx(1 - 2 * (70 / np.sqrt(2)) / 75)


def test_identical_sessions_are_fully_consistent():
    curve = (array(1, 2), array(3, 4))
    assert statistics.consistency([curve, curve, curve]) == 1


# Common frames are 200 and 300: strengths 2, 3 and 4, 5: means 3, 4, deviations sqrt(2) each.
def test_sessions_are_aligned_on_common_frames():
    first, second = (array(100, 200, 300), array(1, 2, 3)), (array(200, 300, 400), array(4, 5, 6))
    assert statistics.consistency([first, second]) == pytest.approx(1 - 2 * 2 * np.sqrt(2) / 7)


def test_rows_without_a_score_are_dropped():
    metrics = statistics.session_metrics(session([np.nan, 30, 20]), random_return=10.0)
    assert metrics["strength"] == 15
    assert metrics["sample_efficiency"] == pytest.approx((20 / 200 + 10 / 400) / 30)


def test_updates_are_those_of_the_last_row_before_the_evaluation():
    frames = array(50, 100, 250, 299, 300, 999)
    assert statistics.updates_at(session([1, 2, 3]), frames).tolist() == [0, 0, 4, 4, 8, 10]
    unknown = session([1, 2, 3], updates=(np.nan, 4, 8, 10))
    assert statistics.updates_at(unknown, array(100, 200)).tolist() == [0, 4]


def reason(metric):
    assert isinstance(metric, Undefined), metric
    return metric.reason


def test_without_a_random_return_nothing_has_a_strength():
    metrics = statistics.trial_metrics([session([1, 2, 3]), session([1, 2, 3], index=1)], random_return=None)
    assert len(metrics) == 7
    for metric in metrics.values():
        assert reason(metric).startswith("env.random_return is not set")
        assert "agent=random" in reason(metric)


def test_a_random_return_of_zero_is_set():
    assert statistics.session_metrics(session([1, 2, 3]), random_return=0.0)["strength"] == 2


# Strengths -10, 5, 5 sum to 0, and all but the last to -5.
def test_a_denominator_that_is_not_positive():
    metrics = statistics.session_metrics(session([0, 15, 15]), random_return=10.0)
    assert metrics["strength"] == 0
    for name in ("sample_efficiency", "training_efficiency", "stability"):
        assert "not positive" in reason(metrics[name])
    curve = (array(1, 2), array(-1, 1))
    assert "not positive" in reason(statistics.consistency([curve, curve]))


# Strengths -9, 10, 10: the sum of all is 11 of 29, that of all but the last 1 of 29, below a tenth.
def test_a_denominator_that_is_next_to_nothing():
    metrics = statistics.session_metrics(session([1, 20, 20]), random_return=10.0)
    assert reason(metrics["stability"]) == (
        "the denominator, a sum of strengths, is below 0.1 of the sum of their absolute values: too near to zero to "
        "divide by"
    )
    # -9/100 and 10/200 and 10/400, over 11
    assert metrics["sample_efficiency"] == pytest.approx(-0.015 / 11)
    # strengths -10, 10, 1: 1 of 21, of which all but the last are 0
    metrics = statistics.session_metrics(session([0, 20, 11]), random_return=10.0)
    for name in ("sample_efficiency", "training_efficiency"):
        assert reason(metrics[name]).startswith("the denominator, a sum of strengths, is below 0.1")


# All but the last sum to 6 - 4 = 2, a tenth of 6 + 4 + 10.
@pytest.mark.parametrize(("last", "defined"), [(10, True), (10.5, False)])
def test_a_tenth_is_enough_and_the_last_strength_counts(last, defined):
    stability = statistics.stability(array(6, -4, last))
    assert isinstance(stability, Undefined) is not defined
    if defined:
        assert stability == 1 - 10 / 2


# Means 1, 1 of strengths 20 and -18: the sum is 2, of absolute values (20 + 18) / 2 * 2 = 38.
def test_sessions_that_cancel_each_other_have_no_consistency():
    up, down = (array(1, 2), array(20, 20)), (array(1, 2), array(-18, -18))
    assert reason(statistics.consistency([up, down])).startswith("the denominator, a sum of strengths, is below 0.1")
    # 20 and -16: 4 of 36; deviations 36 / sqrt(2) each
    down = (array(1, 2), array(-16, -16))
    assert statistics.consistency([up, down]) == pytest.approx(1 - 2 * (72 / np.sqrt(2)) / 4)


def test_no_updates():
    for updates in (None, (0, 0, 0, 0)):
        metrics = statistics.session_metrics(session([20, 30, 20], updates=updates), random_return=10.0)
        assert "train/num_updates" in reason(metrics["training_efficiency"])
        assert metrics["sample_efficiency"] == pytest.approx(0.005625)


def test_one_evaluation_has_no_stability():
    metrics = statistics.session_metrics(session([20], frames=[100]), random_return=10.0)
    assert "fewer than two" in reason(metrics["stability"])
    assert metrics["final_strength"] == 10


def test_no_evaluation():
    metrics = statistics.trial_metrics([session([], frames=[])] * 2, random_return=10.0)
    assert "no evaluation row" in reason(metrics["strength"])
    assert "no evaluation frame is common" in reason(metrics["consistency"])


def test_one_session_has_no_consistency():
    metrics = statistics.trial_metrics([session([20, 30, 20])], random_return=10.0)
    assert "fewer than two" in reason(metrics["consistency"])
    assert metrics["stability"] == pytest.approx(2 / 3)


def test_a_failed_session_is_not_averaged_away():
    failed = session([0, 0, 0], index=3)
    metrics = statistics.trial_metrics([session([20, 30, 20]), failed], random_return=10.0)
    assert reason(metrics["stability"]).startswith("session 3: the denominator")
    assert metrics["strength"] == pytest.approx((40 / 3 - 10) / 2)


def test_one_number_per_session():
    one = session([20, 30, np.nan])
    assert statistics.final_return(one) == 35
    assert statistics.final_score(one) == 30
    assert statistics.max_return(one) == 40
    nothing = session([], frames=[], returns=[np.nan] * 4)
    assert "no episode finished" in reason(statistics.final_return(nothing))
    assert "no evaluation row" in reason(statistics.final_score(nothing))
    assert "no episode" in reason(statistics.max_return(nothing))


def test_a_diverged_return_is_no_number():
    assert isinstance(statistics.final_return(session([1, 2, 3], returns=[1, 2, 3, np.inf])), Undefined)


def test_solved_frame():
    one = session([1, 2, 3])  # returns: none, 20, 40, 35 at frames 100, 200, 300, 400
    assert statistics.solved_frame(one, 40.0) == 300  # reached, not only passed
    assert statistics.solved_frame(one, 20.5) == 300
    assert isinstance(statistics.solved_frame(one, 30.0), int)
    assert "never reached" in reason(statistics.solved_frame(one, 40.5))
    assert "not set" in reason(statistics.solved_frame(one, None))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((5,), 5),
        ((1, 2, 9), 4),  # floor(3/4) = 0 dropped
        ((100, 2, 4, -50), 3),  # one at each end: mean of 2, 4
        ((0, 1, 2, 3, 4, 5, 6, 70), 3.5),  # two at each end: mean of 2, 3, 4, 5
        ((0, 1, 2, 3, 40), 2),  # one at each end: mean of 1, 2, 3
    ],
)
def test_iqm(values, expected):
    assert iqm(array(*values)) == pytest.approx(expected)


def test_iqm_agrees_with_scipy():
    trim_mean = pytest.importorskip("scipy.stats").trim_mean
    values = np.random.default_rng(1).normal(size=(5, 11))
    assert iqm(values) == pytest.approx(trim_mean(values, 0.25, axis=1))


def test_bootstrap_of_two_values():
    # the mean of two draws from {0, 1} is 0, 0.5, 1 with probability 1/4, 1/2, 1/4: both tails exceed 2.5 %
    assert bootstrap_interval(array(0, 1), mean) == (0, 1)


def test_bootstrap_comes_close_to_the_normal_interval():
    values = np.random.default_rng(0).normal(size=400)
    half = 1.96 * values.std() / np.sqrt(400)  # the mean's standard error is 0.05; the tolerance a tenth of it
    expected = (values.mean() - half, values.mean() + half)
    assert bootstrap_interval(values, mean) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("statistic", [mean, median, iqm])
def test_bootstrap_is_deterministic_and_around_the_value(statistic):
    values = array(1, 5, 2, 8, 4, 4, 7, 1)
    low, high = bootstrap_interval(values, statistic)
    assert values.min() <= low < statistic(values) < high <= values.max()
    assert bootstrap_interval(values, statistic) == (low, high)


def test_bootstrap_of_equal_values_has_no_width():
    assert bootstrap_interval(array(3, 3, 3), iqm) == (3, 3)


def test_bootstrap_needs_two_values():
    with pytest.raises(ValueError, match="at least two values, got 1"):
        bootstrap_interval(array(3), mean)
