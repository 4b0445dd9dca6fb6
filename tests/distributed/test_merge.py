"""Checkpoints of workers as one, by hand."""

import math

import pytest

from rllab import checkpoint
from rllab.distributed import merge
from rllab.tracking.tracker import Episode
from rllab.training.sessions import CheckpointReport as Report


def row(**tags):
    return {name.replace("__", "/"): value for name, value in tags.items()}


def test_sessions_side_by_side():
    parts = [
        Report("log", 504, [row(frame=504, time__fps=100.0), row(frame=504, time__fps=100.0)], [1.0, 2.0], [3.0, 4.0]),
        Report("log", 504, [row(frame=504, time__fps=50.0)], [5.0], [6.0]),
    ]
    whole = merge.side_by_side(parts)
    rows = [row(frame=504, time__fps=150.0)] * 3
    assert whole == Report("log", 504, rows, [1.0, 2.0, 5.0], [3.0, 4.0, 6.0], ended=[])


def worker(frame, fps, updates, loss, episodes):
    tags = row(
        frame=frame,
        elapsed_s=frame / 10,
        rollout__ep_rew_mean=0.0,
        rollout__ep_len_mean=0.0,
        rollout__num_episodes=len(episodes),
        rollout__env_steps=frame // 2 - len(episodes),
        time__fps=fps,
        train__num_updates=updates,
        train__loss=loss,
    )
    return Report("log", frame, [tags], [0.0], [0.0], episodes=episodes)


def test_the_row_of_a_policy():
    parts = [
        worker(1000, 100.0, 5.0, 2.0, [(10, 1.0, 10), (30, 3.0, 30)]),
        worker(1008, 60.0, 3.0, 4.0, [(20, 2.0, 20)]),
    ]
    whole = merge.of_one_policy(parts, evaluated=False)
    (policy,) = whole.rows
    assert policy == row(
        frame=1008,
        elapsed_s=100.8,
        rollout__ep_rew_mean=2.0,
        rollout__ep_len_mean=20.0,
        rollout__num_episodes=3,
        rollout__env_steps=498 + 503,
        time__fps=160.0,
        train__num_updates=8.0,
        train__loss=3.0,
    )
    assert whole.scores == [2.0]
    assert [r["train/num_updates"] for r in whole.worker_rows] == [5.0, 3.0]


def test_what_the_env_tells_of_a_policy_is_a_mean_over_its_last_episodes():
    ended = [[Episode(10, 1.0, 10, {"info/fuel": 4.0}), Episode(30, 3.0, 30, {"info/fuel": math.nan})]]
    ended.append([Episode(20, 2.0, 20, {"info/fuel": 8.0, "success_rate": 1.0})])
    parts = [worker(1000, 1.0, 1.0, 1.0, episodes) for episodes in ended]
    (policy,) = merge.of_one_policy(parts, evaluated=False).rows
    assert (policy["rollout/info/fuel"], policy["rollout/success_rate"]) == (6.0, 1.0)


def test_the_last_100_episodes_are_those_that_ended_last_whoever_played_them():
    early = [(frame, 0.0, 1) for frame in range(100)]
    late = [(frame, 1.0, 1) for frame in range(60, 160)]
    whole = merge.of_one_policy([worker(160, 1, 1, 1, early), worker(160, 1, 1, 1, late)], evaluated=False)
    # of the 200, the last 100: 80 that ended from frame 80 on alone with the second, and 20 pairs from 80 to 99
    assert whole.scores == [pytest.approx(80 / 100)]


def test_a_checkpoint_that_was_saved_before_all_had_reached_it(tmp_path):
    waiting = worker(1000, 1.0, 1.0, 1.0, [(20, 2.0, 20)])
    checkpoint.write(tmp_path / "last.safetensors", {"pending": [[waiting]]})
    ((saved,),) = checkpoint.read(tmp_path / "last.safetensors")["pending"]
    whole = merge.of_one_policy([Report(*saved), worker(1000, 1.0, 1.0, 1.0, [(20, 4.0, 40)])], evaluated=False)
    assert whole.scores == [3.0]


def test_a_worker_that_has_not_learned_yet_says_nothing_of_it():
    silent = worker(1000, 1.0, 1.0, 1.0, [])
    del silent.rows[0]["train/loss"]
    whole = merge.of_one_policy([silent, worker(1000, 1.0, 1.0, 5.0, [])], evaluated=False)
    assert whole.rows[0]["train/loss"] == 5.0
    assert math.isnan(whole.scores[0])


def test_evaluations_of_a_policy():
    def part(mean, least, most):
        tags = row(frame=8, elapsed_s=1.0, eval__mean_reward=mean, eval__min_reward=least, eval__max_reward=most)
        return Report("eval", 8, [tags], [mean], [mean])

    whole = merge.of_one_policy([part(1.0, 0.0, 4.0), part(3.0, -2.0, 5.0)], evaluated=True)
    assert whole.scores == [2.0]
    assert whole.rows == [
        row(frame=8, elapsed_s=1.0, eval__mean_reward=2.0, eval__min_reward=-2.0, eval__max_reward=5.0)
    ]
