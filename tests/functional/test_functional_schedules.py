import math
from dataclasses import dataclass

import pytest

from rllab.errors import require
from rllab.functional.schedules import by_fractions, check_coefficient, make_schedule

BAD = ["exponential:1:0", "exponential:1:-1", "piecewise:1", "piecewise:1:5", "piecewise:1:9:2:5:3", "piecewise:1:-1:2"]
BAD += ["warmup:9", "warmup:0:linear:1:0", "warmup:9:warmup:9:linear:1:0", "linear:nan:0", "linear:inf:0", "warmup:9:1"]


@pytest.mark.parametrize("value", [3, 3.0])
def test_a_number_is_constant(value):
    schedule = make_schedule(value)
    assert [schedule(p) for p in (0.0, 0.5, 1.0)] == [3.0, 3.0, 3.0]
    assert isinstance(schedule(0.5), float)


def test_a_line_ends_at_exactly_zero():
    schedule = make_schedule("linear:1e-3:0")
    assert schedule(0.0) == 1e-3
    assert schedule(0.75) == pytest.approx(0.25e-3)
    assert schedule(1.0) == 0.0


def test_a_line_may_rise_and_cross_zero():
    schedule = make_schedule("linear:-1:3")
    assert [schedule(p) for p in (0.0, 0.25, 0.5, 1.0)] == [-1.0, 0.0, 1.0, 3.0]


def test_a_line_reaches_its_end_exactly():
    assert make_schedule("linear:1:0.3")(1.0) == 0.3  # 1 + (0.3 - 1) would be 0.30000000000000004


def test_progress_outside_the_budget_is_clamped():
    schedule = make_schedule("linear:2:1")
    assert schedule(-0.1) == 2.0
    assert schedule(1.1) == 1.0  # the last vector step may pass the budget


@pytest.mark.parametrize("text", ["", "fast", "linear", "linear:1", "linear:1:2:3", "linear:a:0", "cos:1:0", *BAD])
def test_bad_text_is_one_line_that_says_what_to_write(text):
    with pytest.raises(ValueError, match=r"e.g. linear:1e-3:0, cosine:1e-3:0") as caught:
        make_schedule(text)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [0, 0.5, 1, "linear:1:0", "linear:0:1"])
def test_coefficients_within_the_range_pass(value):
    check_coefficient("agent.clip_coef", value, low=0.0, high=1.0)


@pytest.mark.parametrize(
    "value",
    [-0.1, 1.1, math.nan, "linear:1:-0.1", "linear:2:0", "cosine:2:0", "piecewise:0:9:2", "warmup:9:linear:2:0", "no"],
)
def test_coefficients_outside_the_range_are_refused_by_name(value):
    with pytest.raises(ValueError, match=r"^agent\.clip_coef: got ") as caught:
        check_coefficient("agent.clip_coef", value, low=0.0, high=1.0)
    assert "\n" not in str(caught.value)


def test_require():
    require(condition=True, field="agent.gamma", got=0.9, write="less")
    with pytest.raises(ValueError, match=r"^agent\.gamma: got 2; write a number from 0 to 1$"):
        require(condition=False, field="agent.gamma", got=2, write="a number from 0 to 1")


def test_a_line_may_end_before_the_budget_does():
    schedule = make_schedule("linear:1:0.2:0.5")
    assert [schedule(p) for p in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    for fraction in ("0", "1.5", "nan", "0.5:1"):
        with pytest.raises(ValueError, match=r"e.g. linear:1e-3:0, cosine:1e-3:0"):
            make_schedule(f"linear:1:0:{fraction}")


def test_curves():
    halfway = {"linear": 0.505, "cosine": 0.505, "exponential": 0.1}
    quarter = {"linear": 0.7525, "cosine": 0.01 + 0.99 * (1 + math.cos(math.pi / 4)) / 2, "exponential": 0.01**0.25}
    for kind, half in halfway.items():
        schedule = make_schedule(f"{kind}:1:0.01")
        assert (schedule(0.0), schedule(1.0), schedule(1.5)) == (1.0, 0.01, 0.01)
        assert (schedule(0.25), schedule(0.5)) == pytest.approx((quarter[kind], half))
        assert make_schedule(f"{kind}:1:0.01:0.5")(0.25) == pytest.approx(half)


@dataclass(frozen=True)
class Config:
    lr: float | str = 1.0
    epsilon: float | str = "linear:1:0"


def test_frames_are_of_the_budget():
    schedule = make_schedule(by_fractions(Config("piecewise:3:1000:2:3000:1:9000:0"), 4000).lr)
    assert [schedule(frame / 4000) for frame in (0, 999, 1000, 2999, 3000, 4000)] == [3, 3, 2, 2, 1, 1]
    assert make_schedule("piecewise:3:0.25:2")(0.25) == 2
    schedule = make_schedule(by_fractions(Config("warmup:1000:linear:3:0"), 4000).lr)
    assert [schedule(frame / 4000) for frame in (0, 500, 1000, 2500, 4000)] == pytest.approx([0, 1.5, 3, 1.5, 0])
    schedule = make_schedule(by_fractions(Config("warmup:500:piecewise:4:2500:1"), 4000).lr)
    assert [schedule(frame / 4000) for frame in (250, 500, 2000, 3500)] == pytest.approx([2, 4, 4, 1])
    assert by_fractions(Config(), 4000) == Config()
    with pytest.raises(
        ValueError, match=r"^agent.lr: got .*, whose warm-up ends after env.max_frame=4000; write less$"
    ):
        by_fractions(Config("warmup:5000:linear:3:0"), 4000)
