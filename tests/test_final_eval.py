"""`meta.final_eval`: greedy scores of `best` and `last` at the end of training, which it must not touch."""

import csv
import json
import signal

import pytest
import torch

from rllab import checkpoint
from rllab.envs import EnvError
from rllab.errors import ConfigError
from rllab.play import player
from rllab.training import trial
from rllab.training.evaluation import Evaluator

SMALL = ["meta.max_session=2", "env.max_frame=1200", "meta.log_frequency=200", "meta.eval_frequency=600"]
SMALL += ["agent.num_steps=32", "agent.num_minibatches=2", "agent.normalize_obs=true"]


@pytest.fixture
def evaluations(monkeypatch):
    """The purposes of the evaluations that were played."""
    played = []
    run = Evaluator.run

    def noted(evaluator, *words):
        played.append(evaluator.purpose)
        return run(evaluator, *words)

    monkeypatch.setattr(Evaluator, "run", noted)
    return played


def summary(path):
    return json.loads((path / "trial.json").read_text())


def test_scores_stand_in_trial_json_and_in_what_is_printed(load_config, tmp_path, capsys):
    trial.run(load_config(*SMALL, "meta.final_eval=3"))
    result = summary(tmp_path / "run")
    assert 8 <= result["greedy_best"]["mean"]["value"] <= 500
    assert "greedy_best" not in result["reasons"]
    means = [session["greedy_best"] for session in result["sessions"]]
    assert result["greedy_best"]["mean"]["value"] == pytest.approx(sum(means) / 2)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["greedy", "`best`", f"{sum(means) / 2:.1f}"] in [line[:3] for line in lines]


def test_it_is_what_rllab_eval_gives(load_config, tmp_path):
    trial.run(load_config(*SMALL, "meta.final_eval=3"))
    for which in ("best", "last"):
        returns = player.load(tmp_path / "run", which).evaluate([0, 1], num_episodes=3).returns
        scores = [session[f"greedy_{which}"] for session in summary(tmp_path / "run")["sessions"]]
        assert returns.mean(1).tolist() == pytest.approx(scores)


def test_it_does_not_touch_the_training(load_config, tmp_path):
    scores = [trial.run(load_config(*SMALL, f"meta.final_eval={n}", run_dir=f"n{n}")) for n in (0, 3)]
    assert scores[0] == scores[1]
    for name in ("last", "best"):
        one, two = (checkpoint.read(tmp_path / f"n{n}" / "checkpoints" / f"{name}.safetensors") for n in (0, 3))
        for policy in (one, two):
            policy.update(policy.pop("algorithm", {}))
        assert all(torch.equal(one["policy"][key], two["policy"][key]) for key in one["policy"])
    reasons = summary(tmp_path / "n0")["reasons"]
    assert reasons["greedy_last"].startswith("there was no final evaluation: meta.final_eval was off")


@pytest.mark.parametrize(("rigorous", "played"), [(2, 2), (3, 1), (4, 1)])
def test_last_is_not_played_again_after_a_rigorous_evaluation(load_config, evaluations, tmp_path, rigorous, played):
    trial.run(load_config(*SMALL, "meta.final_eval=3", f"meta.rigorous_eval={rigorous}"))
    assert evaluations == ["eval"] * 2 + ["test"] * played
    result = summary(tmp_path / "run")
    if played == 1:
        assert result["greedy_last"]["mean"] == result["final_eval"]["mean"]


def test_ctrl_c_skips_it_and_the_run_is_complete(load_config, tmp_path, monkeypatch):
    run = Evaluator.run

    def interrupted(evaluator, act, key, watch):
        def press(ended, steps):
            signal.raise_signal(signal.SIGINT)
            watch(ended, steps)

        return run(evaluator, act, key, press)

    monkeypatch.setattr(Evaluator, "run", interrupted)
    trial.run(load_config(*SMALL, "meta.final_eval=3"))
    result = summary(tmp_path / "run")
    assert (
        result["reasons"]["greedy_best"] == result["reasons"]["greedy_last"] == "the final evaluation was interrupted"
    )
    assert result["final_return"]["mean"]["value"] is not None


def test_who_waits_is_told_how_far_it_is(load_config, monkeypatch, capsys):
    monkeypatch.setattr("rllab.training.evaluation.LINE_PERIOD", 0.0)
    trial.run(load_config(*SMALL, "meta.final_eval=3"))
    assert "final evaluation of `best`: 6 of 6 episodes after " in capsys.readouterr().out


def test_a_resumed_run_ends_with_it(load_config, tmp_path, stop_at):
    stop_at(400)
    with pytest.raises(SystemExit):
        trial.run(load_config(*SMALL, "meta.final_eval=3"))
    assert not (tmp_path / "run" / "trial.json").exists()
    trial.run(load_config(f"meta.resume={tmp_path / 'run'}"))
    trial.run(load_config(*SMALL, "meta.final_eval=3", run_dir="whole"))
    for name in ("greedy_best", "greedy_last"):
        assert summary(tmp_path / "run")[name] == summary(tmp_path / "whole")[name]


NEVER_ENDS = [
    "env=gymnasium",
    "env.id=field:Never-v0",
    "env.max_frame=1200",
    "agent.num_steps=32",
    "meta.max_session=2",
]


def test_episodes_that_never_end_are_cut_and_the_scores_say_so(load_config, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rllab.training.evaluation.MAX_STEPS", 50)
    trial.run(load_config(*NEVER_ENDS, "meta.final_eval=3", "meta.rigorous_eval=2", "meta.eval_frequency=600"))
    note = "episodes were cut at 50 steps, for the env has no time limit; env.max_episode_steps sets another"
    assert f"final evaluation of `last`: 6 of 6 {note}" in capsys.readouterr().out
    result = summary(tmp_path / "run")
    assert result["reasons"]["greedy_last.cut"] == f"6 of 6 {note}"
    assert result["greedy_last"]["mean"]["value"] == 50.0  # a reward of 1 for each step
    rows = list(csv.DictReader((tmp_path / "run" / "session_0" / "eval.csv").open()))
    assert [row["eval/num_cut"] for row in rows] == ["2", "2"]


def test_with_a_time_limit_nothing_is_said(load_config, tmp_path):
    limited = "env.max_episode_steps=40"
    trial.run(load_config(*NEVER_ENDS, limited, "meta.final_eval=3", "meta.rigorous_eval=2", "meta.eval_frequency=600"))
    result = summary(tmp_path / "run")
    assert result["greedy_last"]["mean"]["value"] == 40.0
    assert "greedy_last.cut" not in result["reasons"]
    assert "num_cut" not in (tmp_path / "run" / "session_0" / "eval.csv").read_text()


def test_an_env_that_fails_in_it_leaves_the_run_complete(load_config, tmp_path, monkeypatch):
    def failing(evaluator, act, key, watch):
        raise EnvError("session 0, sub-env 1: inf as reward")

    monkeypatch.setattr(Evaluator, "run", failing)
    with pytest.raises(
        ConfigError, match=r"^env\.id: CartPole-v1 failed in the final evaluation, session 0, sub-env 1: inf"
    ):
        trial.run(load_config(*SMALL, "meta.final_eval=3"))
    result = summary(tmp_path / "run")
    assert result["final_return"]["mean"]["value"] > 0
    assert result["reasons"]["greedy_last"].startswith("the env failed in the final evaluation")


def test_an_evaluation_that_was_interrupted_is_made_up_for(load_config, tmp_path, monkeypatch):
    words = ["env=cartpole", "env.max_frame=1200", "meta.log_frequency=200", "meta.eval_frequency=400"]
    words += ["meta.rigorous_eval=2", "meta.max_session=2", "agent.num_steps=16"]
    with monkeypatch.context() as patch:
        stop_in_the_second_evaluation(patch)
        with pytest.raises(SystemExit):
            trial.run(load_config(*words))
    assert len(timeless(tmp_path / "run" / "session_0" / "eval.csv")) == 1
    trial.run(load_config(f"meta.resume={tmp_path / 'run'}"))
    trial.run(load_config(*words, run_dir="whole"))
    for session in range(2):
        for name in ("train", "eval"):
            one, two = (timeless(tmp_path / run / f"session_{session}" / f"{name}.csv") for run in ("run", "whole"))
            assert one == two


def test_an_evaluation_whose_env_failed_is_made_up_for(load_config, tmp_path, monkeypatch):
    words = ["env=cartpole", "env.max_frame=1200", "meta.log_frequency=200", "meta.eval_frequency=400"]
    words += ["meta.rigorous_eval=2", "meta.max_session=2", "agent.num_steps=16"]
    run, evaluations = Evaluator.run, []

    def failing(evaluator, act, key, watch):
        evaluations.append(key)
        if len(evaluations) == 2:
            raise EnvError("session 1, sub-env 0: inf as reward")
        return run(evaluator, act, key, watch)

    where = r"in the evaluation at frame 800: session 1, sub-env 0: inf as reward"
    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "run", failing)
        with pytest.raises(ConfigError, match=where):
            trial.run(load_config(*words))
    trial.run(load_config(f"meta.resume={tmp_path / 'run'}"))
    trial.run(load_config(*words, run_dir="whole"))
    for session in range(2):
        for name in ("train", "eval"):
            one, two = (timeless(tmp_path / run / f"session_{session}" / f"{name}.csv") for run in ("run", "whole"))
            assert one == two


def stop_in_the_second_evaluation(monkeypatch):
    """Ctrl-C in its first step."""
    run, evaluations = Evaluator.run, []

    def interrupted(evaluator, act, key, watch):
        evaluations.append(key)

        def press(ended, steps):
            if len(evaluations) == 2 and steps == 1:
                signal.raise_signal(signal.SIGINT)
            watch(ended, steps)

        return run(evaluator, act, key, press)

    monkeypatch.setattr(Evaluator, "run", interrupted)


def timeless(path):
    """The rows of a CSV file without what a clock says."""
    rows = csv.DictReader(path.open())
    return [{name: x for name, x in row.items() if not name.startswith(("time/", "elapsed_s"))} for row in rows]


class Pruning:
    """A search that stops the trial at its first report."""

    name, pruned = "study", True

    def begin(self):
        pass

    def report(self, frame, score, *, last):
        return True

    def finish(self, score, frame):
        self.score = score


def test_a_pruned_trial_goes_without(load_config, tmp_path, evaluations):
    trial.run(load_config(*SMALL, "meta.final_eval=3"), Pruning())
    assert evaluations == []
    assert "pruned" in summary(tmp_path / "run")["reasons"]["greedy_best"]


@pytest.mark.parametrize(
    ("words", "policies"), [(["meta.num_workers=2"], 2), (["meta.distributed=shared"], 1)], ids=["workers", "hogwild"]
)
def test_sessions_in_several_processes(load_config, tmp_path, words, policies):
    trial.run(load_config(*SMALL, *words, "meta.final_eval=3"))
    result = summary(tmp_path / "run")
    assert len(result["sessions"]) == policies
    assert result["greedy_best"]["mean"]["value"] > 8
    explored = player.load(tmp_path / "run", "last", explore=True).evaluate(range(policies), num_episodes=2)
    assert explored.returns.shape == (policies, 2)


def test_a_run_without_a_finished_episode_has_no_best(load_config, tmp_path):
    few = ["env=pendulum", "tuned=none", "env.max_frame=40", "meta.max_session=1", "agent.num_steps=4"]
    trial.run(load_config(*few, "meta.final_eval=1"))
    result = summary(tmp_path / "run")
    assert result["reasons"]["greedy_best"] == "no episode had finished, so that nothing was best"
    assert result["greedy_last"]["mean"]["value"] < 0
