"""`rllab eval`, `enjoy` and `export` as a person types them."""

import json
import shutil

import pytest

from rllab.training import trial


@pytest.fixture
def run(cases, tmp_path, capsys):
    """A short run of PPO with two sessions, on an env that cannot be drawn."""
    path = shutil.copytree(cases("ppo"), tmp_path / "run")
    capsys.readouterr()  # what its training said
    return path


def test_eval_prints_and_keeps_the_scores(rllab, run):
    code, out, err = rllab("eval", run, "--episodes", 5)
    assert (code, err) == (0, "")
    header, *rows = (line.split() for line in out.splitlines()[:4])
    assert header[:5] == ["run", "policy", "session", "frame", "mean"]
    kept = json.loads((run / "eval.json").read_text())
    assert kept.keys() == {"best"}
    greedy = kept["best"]["greedy"]
    assert (greedy["num_episodes"], greedy["seed"]) == (5, 0)
    assert [len(session["returns"]) for session in greedy["sessions"]] == [5, 5]
    assert rows[0][4] == f"{greedy['sessions'][0]['mean']['value']:.1f}"
    assert rows[2][0] == "all"
    assert rows[2][1] == f"{greedy['over_sessions']['mean']['value']:.1f}"


def test_eval_says_which_episodes_it_cut(rllab, load_config, tmp_path, monkeypatch):
    monkeypatch.setattr("rllab.training.evaluation.MAX_STEPS", 50)
    words = ["env=gymnasium", "env.id=field:Never-v0", "env.max_frame=512", "agent.num_steps=32", "meta.max_session=2"]
    trial.run(load_config(*words))
    code, out, _ = rllab("eval", tmp_path / "run", "--episodes", 2, "--checkpoint", "last")
    assert code == 0
    assert (
        "4 of 4 episodes were cut at 50 steps, for the env has no time limit; env.max_episode_steps sets another" in out
    )
    evaluation = json.loads((tmp_path / "run" / "eval.json").read_text())["last"]["greedy"]
    assert [session["num_cut"] for session in evaluation["sessions"]] == [2, 2]


def test_eval_keeps_each_checkpoint_and_way_of_acting(rllab, run):
    rllab("eval", run, "--episodes", 3, "--stochastic")
    rllab("eval", run, "--episodes", 2, "--checkpoint", "last")
    rllab("eval", run, "--episodes", 4)
    kept = json.loads((run / "eval.json").read_text())
    episodes = {(which, acting): e["num_episodes"] for which, each in kept.items() for acting, e in each.items()}
    assert episodes == {("best", "greedy"): 4, ("best", "stochastic"): 3, ("last", "greedy"): 2}


def test_eval_of_one_session_is_only_shown(rllab, run):
    code, out, _ = rllab("eval", run, "--episodes", 2, "--session", 1, "--json")
    assert code == 0
    (result,) = json.loads(out)
    assert [session["session"] for session in result["sessions"]] == [1]
    assert not (run / "eval.json").exists()


def test_another_seed_is_other_episodes(rllab, run):
    returns = []
    for seed in (0, 0, 1):
        (result,) = json.loads(rllab("eval", run, "--episodes", 12, "--seed", seed, "--json")[1])
        returns.append([session["returns"] for session in result["sessions"]])
    assert returns[0] == returns[1] != returns[2]


def test_eval_of_several_runs_goes_on_where_one_fails(rllab, run, tmp_path):
    other = shutil.copytree(run, tmp_path / "other")
    best = other / "checkpoints" / "best.safetensors"
    best.unlink()
    code, out, err = rllab("eval", f"{tmp_path}/*", "--episodes", 2)
    assert code == 1
    assert str(run) in out
    assert err.startswith(f"error: {best}: not there: no episode had finished")
    assert err.count("\n") == 1


def test_eval_of_nothing(rllab, tmp_path):
    line = f"error: RUN: got '{tmp_path}', where no run is; rllab ls shows those that there are\n"
    assert rllab("eval", tmp_path) == (1, "", line)


@pytest.mark.parametrize("verb", ["eval", "enjoy", "export"])
def test_a_session_that_is_not_there(rllab, run, verb):
    line = f"error: --session: got 2, but {run} has sessions 0 to 1\n"
    assert rllab(verb, run, "--session", 2) == (1, "", line)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["eval", "--episodes", "0"],
            "argument --episodes: got '0'; write an integer of at least 1; see rllab eval --help",
        ),
        (["enjoy", "--video", "a.gif"], "--video: got 'a.gif'; write a name that ends in .mp4"),
    ],
)
def test_bad_words(rllab, run, words, line):
    assert rllab(words[0], run, *words[1:]) == (2, "", f"error: {line}\n")


def test_enjoy_says_why_it_cannot(rllab, run):
    code, _, err = rllab("enjoy", run)
    assert code == 1
    assert err == "error: env.id: probes:RewardByObs-v0 cannot be drawn: it has no render mode rgb_array\n"


def test_export_writes_the_file_and_its_card(rllab, run):
    rllab("eval", run, "--episodes", 5)
    code, out, err = rllab("export", run, "--format", "torchscript", "--session", 0)
    assert (code, err) == (0, "")
    assert out.startswith(f"{run}/export/policy.pt (")
    assert "session 0 does at 1,000 of 1,000 observations" in out
    card = (run / "export" / "README.md").read_text()
    mean = json.loads((run / "eval.json").read_text())["best"]["greedy"]["sessions"][0]["mean"]["value"]
    assert f"mean return of 5 greedy episodes {mean:.1f}" in card
