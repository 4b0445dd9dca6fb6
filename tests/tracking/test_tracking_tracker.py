import math

import pytest
import torch

from rllab import checkpoint
from rllab.tracking import tracker as tracker_module
from rllab.tracking.tracker import WINDOW, Tracker


def end(tracker, *episodes, frame=0):
    """Episodes (session, return, length) that ended in one step."""
    tracker.episodes([(0, *episode) for episode in episodes], frame, num_envs=4, num_steps=1)


@pytest.fixture
def clock(monkeypatch):
    """A clock that only moves when told to: `clock.now += 2`."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(tracker_module.time, "perf_counter", lambda: Clock.now)
    return Clock


def test_rows_before_any_episode_or_update():
    tracker = Tracker(2)
    rows = tracker.rows(100)
    assert len(rows) == 2
    for row in rows:
        assert row["frame"] == 100
        assert math.isnan(row["rollout/ep_rew_mean"])
        assert math.isnan(row["rollout/ep_len_mean"])
        assert row["rollout/num_episodes"] == 0
        assert not any(name.startswith("train/") for name in row)
        assert all(row[f"time/{part}_share"] == 0 for part in ("env", "act", "update", "log"))


def test_means_are_per_session():
    tracker = Tracker(3)
    end(tracker, (0, 10.0, 5), (2, -4.0, 8))
    end(tracker, (0, 20.0, 6))
    rows = tracker.rows(1)
    assert [row["rollout/ep_rew_mean"] for row in rows] == pytest.approx([15.0, math.nan, -4.0], nan_ok=True)
    assert [row["rollout/ep_len_mean"] for row in rows] == pytest.approx([5.5, math.nan, 8.0], nan_ok=True)
    assert [row["rollout/num_episodes"] for row in rows] == [2, 0, 1]
    assert tracker.mean_returns() == pytest.approx([15.0, math.nan, -4.0], nan_ok=True)


def test_the_window_holds_the_last_100_episodes():
    tracker = Tracker(1)
    for value in range(250):
        end(tracker, (0, value, 2 * value))
    # 150 .. 249: mean 199.5; lengths twice that
    assert WINDOW == 100
    row = tracker.rows(1)[0]
    assert row["rollout/ep_rew_mean"] == 199.5
    assert row["rollout/ep_len_mean"] == 399.0
    assert row["rollout/num_episodes"] == 250
    assert tracker.rows(2)[0]["rollout/ep_rew_mean"] == 199.5  # a score looks back over intervals


def test_tensors_are_means_since_the_last_row_and_numbers_their_latest_value():
    tracker = Tracker(2)
    for loss, count in (([1.0, 10.0], 4.0), ([2.0, 30.0], 8.0)):
        tracker.metrics(
            {
                "train/value_loss": torch.tensor(loss),
                "train/num_updates": [count, 2 * count],
                "train/lr": 1 / count,  # the same in every session
            }
        )
    tracker.metrics({})  # nothing was learnt in this one
    rows = tracker.rows(1)
    assert [row["train/value_loss"] for row in rows] == [1.5, 20.0]
    assert [row["train/num_updates"] for row in rows] == [8.0, 16.0]
    assert [row["train/lr"] for row in rows] == [0.125, 0.125]
    assert tracker.rows(2)[0]["train/value_loss"] == 1.5  # no update in this interval: the latest known
    tracker.metrics({"train/value_loss": torch.tensor([7.0, 7.0])})
    assert tracker.rows(3)[0]["train/value_loss"] == 7.0  # and the old ones no longer count


def test_many_updates_are_stacked_and_none_is_lost(tmp_path):
    tracker = Tracker(2)
    for i in range(150):
        tracker.metrics({"train/loss": torch.tensor([i, 2.0 * i]), "train/num_updates": [i, 2 * i]})
    state = tracker.state_dict()
    assert [len(updates) for updates in state["stacked"]] == [64, 64, 22]
    checkpoint.write(tmp_path / "state", state)
    resumed = Tracker(2)
    resumed.load_state_dict(checkpoint.read(tmp_path / "state"))
    for each in (tracker, resumed):
        rows = each.rows(1)
        assert [row["train/loss"] for row in rows] == [74.5, 149.0]
        assert [row["train/num_updates"] for row in rows] == [149, 298]


def test_metrics_stay_where_they_are_until_a_row_is_asked_for(monkeypatch):
    tracker = Tracker(1)
    fetches = []
    monkeypatch.setattr(torch.Tensor, "tolist", lambda x: fetches.append(1) or x.numpy().tolist())
    for _ in range(5):
        tracker.metrics({"train/loss": torch.ones(1), "train/entropy": torch.ones(1)})
    assert not fetches
    tracker.rows(1)
    assert len(fetches) <= 2  # however many updates and metrics there were


def test_rates_and_shares(clock):
    tracker = Tracker(4)
    tracker.start(1000)
    clock.now += 2
    tracker.seconds.update(env=0.5, act=0.25, update=1.0, log=0.25)
    row = tracker.rows(1500)[0]
    assert row["time/fps"] == 1000.0  # 500 frames of 4 sessions in 2 s
    assert row["elapsed_s"] == 2.0
    shares = [row[f"time/{name}_share"] for name in ("env", "act", "update", "log")]
    assert shares == [0.25, 0.125, 0.5, 0.125]
    clock.now += 1
    assert tracker.rows(1600)[3]["time/fps"] == 400.0  # of the latest interval alone


def test_of_many_steps_each_episode_ends_in_its_own():
    tracker = Tracker(2)  # of 4 sub-envs
    tracker.episodes([(0, 1, 5.0, 3), (2, 0, 6.0, 4), (2, 0, 7.0, 2)], 100, num_envs=4, num_steps=3)
    assert tracker.last_episodes(0) == [(108, 6.0, 4, {}), (108, 7.0, 2, {})]
    assert tracker.last_episodes(1) == [(100, 5.0, 3, {})]
    assert tracker.num_ending() == [2, 0]  # in the last of the steps: their reset rows follow
    assert tracker.num_resets() == [0, 1]


def test_state_round_trip(tmp_path, clock):
    first = Tracker(2)
    first.start(0)
    for value in range(120):
        end(first, (value % 2, value, value + 1), frame=value)
    first.metrics({"train/value_loss": torch.tensor([1.0, 2.0])})
    first.rows(10)
    first.metrics({"train/value_loss": torch.tensor([3.0, 4.0])})  # pending
    clock.now += 5
    checkpoint.write(tmp_path / "tracker.safetensors", first.state_dict())

    clock.now += 100  # the machine was off
    second = Tracker(2)
    second.load_state_dict(checkpoint.read(tmp_path / "tracker.safetensors"))
    second.start(10)
    clock.now += 2
    assert second.elapsed == 7.0
    for tracker in (first, second):
        end(tracker, (0, 1000.0, 1))
        tracker.metrics({"train/value_loss": torch.tensor([5.0, 6.0])})
    rows = [tracker.rows(20) for tracker in (first, second)]
    for a, b in zip(*rows, strict=True):
        names = [name for name in a if not name.startswith("time/") and name != "elapsed_s"]
        assert {name: a[name] for name in names} == {name: b[name] for name in names}
    assert rows[1][0]["train/value_loss"] == 4.0  # (3 + 5) / 2
    assert rows[1][0]["time/fps"] == 10.0  # 10 frames of 2 sessions in 2 s, the pause left out


def test_env_steps_are_frames_less_the_rows_that_only_reset(tmp_path):
    tracker = Tracker(2)  # of 4 sub-envs

    def steps(episodes, frame):
        """After the step that began at this frame."""
        end(tracker, *episodes, frame=frame)
        return [row["rollout/env_steps"] for row in tracker.rows(frame + 4)]

    assert steps([], 0) == [4, 4]
    assert steps([(0, 1.0, 2), (0, 1.0, 2), (1, 1.0, 2)], 4) == [8, 8]
    assert steps([(1, 1.0, 3)], 8) == [10, 11]
    checkpoint.write(tmp_path / "state", tracker.state_dict())
    assert steps([], 12) == [14, 14]
    for anew, expected in ((False, [14, 14]), (True, [14, 15])):
        tracker = Tracker(2)
        tracker.load_state_dict(checkpoint.read(tmp_path / "state"))
        if anew:
            tracker.restart()
        assert steps([], 12) == expected
