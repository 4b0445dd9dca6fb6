"""Groups of runs, and what is said of each."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from analysis_runs import TRAIN_HEADER, write_run, write_table
from rllab.analysis import read_run
from rllab.analysis.compare import describe, group_runs, improve, settings_text
from rllab.analysis.plots import comparison
from rllab.analysis.statistics import Undefined, improvement, improvement_interval


@pytest.fixture
def make(tmp_path):
    """`make("a", **{"agent.lr": 0.1})` -> a run with that in its config; scores of its sessions 20 and 60."""

    def run(name, **fields):
        path = write_run(tmp_path / name)
        config = yaml.safe_load((path / "config.yaml").read_text())
        for field, value in fields.items():
            section, _, key = field.rpartition(".")
            (config[section] if section else config)[key] = value
        (path / "config.yaml").write_text(yaml.safe_dump(config))
        return read_run(path)

    return run


def lr(value, seed=0, **others):
    return {"agent.lr": value, "meta.seed": seed} | others


def test_seed_and_number_of_sessions_make_no_difference(make):
    runs = [make("a", **lr(0.1)), make("b", **lr(0.2)), make("c", **lr(0.1, 1, **{"meta.max_session": 8}))]
    groups = group_runs(runs)
    assert [(group.label, len(group.runs), len(group.sessions)) for group in groups] == [
        ("lr=0.1", 2, 4),
        ("lr=0.2", 1, 2),
    ]
    assert [session.index for session in groups[0].sessions] == [0, 1, 2, 3]
    assert groups[1].settings == {"agent.lr": 0.2}


def test_the_number_of_workers_of_one_policy_makes_a_difference(make):
    shared = {"meta.distributed": "shared"}
    runs = [make(f"w{n}", **shared, **{"meta.max_session": n}) for n in (2, 4)]
    assert [group.label for group in group_runs(runs)] == ["meta.max_session=2", "meta.max_session=4"]


def test_one_group_has_the_name_of_what_was_run(make):
    (group,) = group_runs([make("a"), make("b", **{"meta.seed": 1})])
    assert (group.label, group.settings) == ("ppo on CartPole-v1", {})


def test_fields_of_another_agent_are_no_difference(make):
    runs = [make("a", **lr(0.1)), make("b", **lr(0.1)), make("c", **{"agent.name": "dqn", "agent.tau": 1})]
    assert [group.label for group in group_runs(runs)] == ["ppo", "dqn"]
    runs.append(make("d", **{"agent.name": "dqn", "agent.tau": 0.5}))
    assert [group.label for group in group_runs(runs)] == ["ppo", "dqn tau=1", "dqn tau=0.5"]


def test_a_field_that_an_older_version_did_not_know_is_no_difference(make):
    runs = [make("a", **lr(0.1)), make("b", **lr(0.1, 1, **{"meta.new": 3})), make("c", **lr(0.2, **{"meta.new": 3}))]
    assert [(group.label, len(group.runs)) for group in group_runs(runs)] == [("lr=0.1", 2), ("lr=0.2", 1)]


def test_arguments_of_an_env_are_a_difference(make):
    runs = [make("a", **{"env.kwargs": {}}), make("b", **{"env.kwargs": {"length": 8}})]
    assert [group.label for group in group_runs(runs)] == ["env.kwargs={}", "env.kwargs={'length':8}"]


def test_callbacks_and_another_env_of_evaluations_are_a_difference(make):
    runs = [
        make("a", callbacks=[], eval_env={}),
        make("b", callbacks=["a.B"], eval_env={}),
        make("c", eval_env={"id": "D"}),
    ]
    assert [group.label for group in group_runs(runs)] == [
        "callbacks=[] eval_env={}",
        "callbacks=['a.B'] eval_env={}",
        "eval_env={'id':'D'}",
    ]
    assert [len(group.runs) for group in group_runs([make("d"), make("e", callbacks=[], eval_env={}, tracker={})])] == [
        2
    ]


def test_a_long_label_is_the_directory(make, tmp_path):
    fields = {f"agent.a_long_name_{n}": 0.123456 for n in range(3)}
    group = group_runs([make("a", **fields), make("b", **dict.fromkeys(fields, 1))])[0]
    assert group.label == f"{tmp_path.name}/a"
    assert settings_text(group.settings) == "a_long_name_0=0.1235 a_long_name_1=0.1235 a_long_name_2=0.1235"


def test_the_same_seed_counts_once(make):
    (group,) = group_runs([make("a"), make("b")])
    assert len(group.sessions) == 2
    assert [text.split("/")[0] for text in group.repeated] == ["session 0 of ", "session 1 of "]


def test_scores_and_times_of_a_group(make):
    (group,) = group_runs([make("a"), make("b", **{"meta.seed": 1})])
    row = describe(group, None)
    mean = row["score"]["mean"]
    assert mean["value"] == 40  # scores 20, 60, 20, 60
    assert 20 <= mean["low"] < 40 < mean["high"] <= 60
    assert (row["threshold"], row["reached"]) == (30, 4)
    assert (row["frames_to_threshold"], row["seconds_to_threshold"]) == (300, 3)
    assert (row["runs"], row["reasons"]) == ([str(run.path) for run in group.runs], {})


def test_sessions_that_never_got_there_count_as_the_slowest(make):
    run = make("a")
    write_table(run.path / "session_1" / "train.csv", TRAIN_HEADER, ("100,1.0,5.0,5.0,0,100",))
    (group,) = group_runs([read_run(run.path)])
    row = describe(group, None)
    assert (row["reached"], row["frames_to_threshold"]) == (1, None)
    assert row["reasons"]["frames_to_threshold"] == "half of the sessions or more never reached 30"
    groups = group_runs([read_run(run.path), make("b", **{"meta.seed": 1})])
    row = describe(groups[0], None)
    assert (row["reached"], row["frames_to_threshold"]) == (3, 300)
    assert describe(groups[0], 36.0)["reached"] == 3  # returns 20, 40, 35
    assert describe(groups[0], 41.0)["reached"] == 0


def test_without_a_threshold(make):
    (group,) = group_runs([make("a", **{"env.reward_threshold": None})])
    row = describe(group, None)
    assert (row["threshold"], row["frames_to_threshold"]) == (None, None)
    assert "--threshold" in row["reasons"]["threshold"]


def test_before_the_first_evaluation_training_returns_are_the_score(make):
    run = make("a")
    for session in (0, 1):
        (run.path / f"session_{session}" / "eval.csv").unlink()
    (group,) = group_runs([read_run(run.path)])
    assert describe(group, None)["score"]["mean"]["value"] == 35


def test_improvement_counts_pairs_and_halves_ties():
    assert improvement(np.array([1.0, 3.0]), np.array([2.0, 3.0])) == pytest.approx((0 + 0 + 1 + 0.5) / 4)
    assert improvement_interval(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == (1, 1)
    with pytest.raises(ValueError, match="at least two values, got 1 and 2"):
        improvement_interval(np.array([3.0]), np.array([1.0, 2.0]))


def test_improvement_of_groups(make):
    groups = group_runs([make("a", **lr(0.1)), make("b", **lr(0.2)), make("c", **lr(0.1, **{"env.id": "Acrobot-v1"}))])
    assert improve(*groups[:2])["value"] == 0.5
    assert improve(groups[0], groups[2]) == Undefined("CartPole-v1 and Acrobot-v1 are different tasks")


def test_the_picture(make, tmp_path):
    groups = group_runs([make("a", **lr(0.1)), make("b", **lr(0.2))])
    comparison(groups, tmp_path / "one.png", threshold=30.0)
    comparison(groups[:1], tmp_path / "two.png", threshold=None)
    one, two = ((tmp_path / name).read_bytes() for name in ("one.png", "two.png"))
    assert one[:4] == two[:4] == b"\x89PNG"
    assert one != two
