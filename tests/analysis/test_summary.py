from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rllab.analysis import summarize
from rllab.analysis.statistics import Undefined


def no_nan(constant):
    raise AssertionError(f"{constant} is not JSON")


def written(path):
    return json.loads((path / "trial.json").read_text(), parse_constant=no_nan)


def test_summarize_writes_what_it_returns(make_run):
    path = make_run()
    trial = summarize(path)
    assert written(path) == trial
    assert (path / "learning_curve.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert sorted(p.name for p in path.iterdir()) == [
        "config.yaml", "learning_curve.png", "session_0", "session_1", "trial.json",
    ]  # fmt: skip


def test_the_contents_of_trial_json(make_run):
    trial = summarize(make_run())
    assert (trial["env"], trial["agent"], trial["seed"]) == ("CartPole-v1", "ppo", 7)
    assert (trial["frames"], trial["num_sessions"]) == (400, 2)
    assert trial["final_return"]["iqm"] == {"value": 35, "low": 35, "high": 35}  # both sessions end at 35
    # final evaluations 20 and 60; two values, so the interval of the mean is the whole range
    assert trial["final_eval"]["mean"] == {"value": 40, "low": 20, "high": 60}
    assert trial["metrics"]["strength"] == pytest.approx(25)  # mean of 40/3 and 110/3
    assert len(trial["metrics"]) == 7
    assert set(trial["reasons"]) == {"greedy_best", "greedy_last"}
    session = trial["sessions"][1]
    assert session["session"] == 1
    assert (session["final_return"], session["final_eval"], session["max_return"]) == (35, 60, 40)
    assert (session["solved_frame"], session["elapsed_s"], session["env_steps"]) == (300, 4, 395)
    assert session["stability"] == 1
    assert set(session["reasons"]) == {"greedy_best", "greedy_last"}


def test_greedy_scores_of_the_final_evaluation(make_run):
    trial = summarize(make_run(), greedy={"best": [15.0, 35.0], "last": Undefined("it was interrupted")})
    assert trial["greedy_best"]["mean"] == {"value": 25, "low": 15, "high": 35}
    assert [session["greedy_best"] for session in trial["sessions"]] == [15, 35]
    assert trial["greedy_last"]["mean"]["value"] is None
    assert trial["reasons"] == {"greedy_last": "it was interrupted"}


def test_one_session_has_no_interval(make_run):
    trial = summarize(make_run(sessions=1), greedy={"best": [1.0], "last": [2.0]})
    assert trial["final_return"]["median"] == {"value": 35, "low": None, "high": None}
    intervals = {f"{name}.interval" for name in ("final_return", "final_eval", "greedy_best", "greedy_last")}
    assert set(trial["reasons"]) == {"consistency", *intervals}


def test_every_null_has_its_reason(make_run):
    path = make_run(random_return=None, reward_threshold=None)
    (path / "session_0" / "eval.csv").unlink()
    trial = summarize(path)
    assert all(value is None for value in trial["metrics"].values())
    assert set(trial["reasons"]) == {*trial["metrics"], "final_eval", "greedy_best", "greedy_last"}
    assert trial["reasons"]["final_eval"].startswith("session 0: there is no evaluation row")
    for session in trial["sessions"]:
        assert set(session["reasons"]) == {name for name, value in session.items() if value is None}
    assert "random_return" in trial["reasons"]["strength"]


def test_a_run_that_finished_no_episode(make_run):
    path = make_run()
    for folder in path.glob("session_*"):
        (folder / "train.csv").write_text("frame,elapsed_s,rollout/ep_rew_mean\n100,1.0,\n")
        (folder / "eval.csv").write_text("")
    trial = summarize(path)
    assert written(path) == trial
    assert trial["final_return"]["mean"] == {"value": None, "low": None, "high": None}
    assert "no episode finished" in trial["reasons"]["final_return"]


def test_numbers_that_yaml_reads_as_text(make_run):
    trial = summarize(make_run(random_return="1e1", reward_threshold="4e1"))
    assert trial["metrics"]["strength"] == pytest.approx(25)
    assert trial["sessions"][0]["solved_frame"] == 300


def test_analysis_works_without_the_training_libraries(make_run):
    code = """
import sys
import rllab.analysis
assert "matplotlib" not in sys.modules, "statistics alone must stay light"
rllab.analysis.summarize(sys.argv[1])
assert "matplotlib" in sys.modules
heavy = {"torch", "gymnasium", "omegaconf", "hydra", "matplotlib.pyplot"} & set(sys.modules)
assert not heavy, heavy
"""
    command = [sys.executable, "-c", code, str(make_run())]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
