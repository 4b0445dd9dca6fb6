"""What the console says of a run's speed, and how its table fits on a terminal."""

import io

import pytest
from rich.console import Console as RichConsole

from rllab.tracking.console import Console, Pace

ROW = {
    "frame": 150_000,
    "elapsed_s": 6.0,
    "time/fps": 100_000.0,
    "rollout/ep_rew_mean": 499.5,
    "rollout/ep_len_mean": 499.5,
    "rollout/num_episodes": 397,
    "train/utd": 1.0,
    **{f"time/{name}_share": 0.25 for name in ("env", "act", "update", "log")},
}


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


@pytest.mark.parametrize(
    ("width", "height", "sessions"), [(120, 40, 8), (80, 24, 4), (50, 24, 4), (50, 10, 4), (50, 10, 8)]
)
def test_what_matters_fits_on_any_terminal(monkeypatch, width, height, sessions):
    def rich(**options):
        return RichConsole(file=io.StringIO(), force_terminal=True, width=width, height=height, **options)

    monkeypatch.setattr("rllab.tracking.console._Console", rich)
    console = Console("ppo on CartPole-v1 (native), 4 sessions", 150_000)
    console.progress([ROW] * sessions, [500.0] * sessions)
    lines = console.rich.render_lines(console.live.get_renderable())
    console.close()
    text = "\n".join("".join(segment.text for segment in line) for line in lines)
    assert len(lines) < height
    for wanted in ("session", "499.5", "500.0", "frame 150,000 of 150,000", "100,000 fps", "eta 0:00", "utd 1"):
        assert wanted in text
    assert ("more" in text) == (sessions == 8 and height == 10)
