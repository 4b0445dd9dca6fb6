"""What the console says of a run's speed."""

import pytest

from rllab.tracking.console import Pace


def test_one_fast_checkpoint_is_not_the_speed_of_the_run():
    pace = Pace(1000)  # a run that was resumed there
    for frame in range(2000, 11_000, 1000):
        pace.add(frame, 4, 4000.0)  # a second each
    pace.add(10_250, 4, 1e6)  # and a last one of a millisecond
    assert pace.fps == pytest.approx(37_000 / 9.001)
    assert pace.left(4000) == pytest.approx(1.0, rel=0.05)


def test_the_time_that_is_left_follows_what_is_slower_now():
    pace = Pace(0)
    for frame in range(1000, 101_000, 1000):
        pace.add(frame, 1, 1000.0)
    for frame in range(100_100, 106_000, 100):
        pace.add(frame, 1, 100.0)
    assert 0.6 < pace.left(100) < 1
    assert pace.fps == pytest.approx(105_900 / 159)
