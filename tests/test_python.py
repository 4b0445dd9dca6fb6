"""`import rllab`: what a script or a notebook can do."""

import json
import signal
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control import CartPoleEnv
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import rllab
from rllab.analysis import plots, shelf
from rllab.config import composing

TINY = ("env=cartpole", "meta=quick_dev", "env.max_frame=1500", "meta.max_session=2")
COLUMN = "rollout/ep_rew_mean"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch, no_picture):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One that nobody changes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "learning_curve", lambda *_: None)
        return rllab.train(*TINY, run_dir=tmp_path_factory.mktemp("python") / "run", verbose=False)


def refusal(call, *arguments, **named):
    with pytest.raises(rllab.ConfigError) as caught:
        call(*arguments, **named)
    text = str(caught.value)
    assert "\n" not in text
    return text


# --- composing


def test_words_compose_what_the_command_line_does(command):
    run_dir = "run_dir=here"
    code = command(f"env=pendulum agent=sac agent.lr=1e-3 meta.seed=3 {run_dir} --cfg job")
    config = rllab.compose("env=pendulum", "agent=sac", "meta.seed=3", run_dir, lr=1e-3)
    assert "lr: 0.001" in code.out
    assert (config.agent.name, config.agent.lr, config.meta.seed, config.run_dir) == ("sac", 1e-3, 3, "here")
    assert config.env.id == "Pendulum-v1"
    assert config.agent.hidden == rllab.compose("env=pendulum", "agent=sac").agent.hidden  # tuned ones


@pytest.mark.parametrize("value", [1e-05, "linear:1e-3:0", np.float32(0.5)])
def test_a_keyword_is_a_field_of_the_agent(value):
    assert rllab.compose(lr=value).agent.lr == value


def test_a_list_and_none_are_values_too():
    config = rllab.compose(hidden=[8, 8], target_kl=None)
    assert (config.agent.hidden, config.agent.target_kl) == ([8, 8], None)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["env=cartpol"], "env=cartpol: no such option; did you mean env=cartpole?"),
        (["meta.max_sesion=2"], "meta.max_sesion: no such field; did you mean meta.max_session?"),
        (["agent.gamma=2"], "agent.gamma: got 2"),
        (["agent.lr=1e-3,1e-4"], "agent.lr: got several values"),
        (["search=ppo"], "search=ppo: one run searches nothing"),
        (["tuned=mine"], "tuned=mine: no such option"),
        (["-m"], "-m: no option of the command line can stand here"),
        (["meta.resume=x", "meta.seed=1"], "meta.resume: got it together with meta.seed=1"),
    ],
)
def test_bad_input_is_one_line(words, line):
    assert refusal(rllab.compose, *words).startswith(line)
    assert refusal(rllab.train, *words).startswith(line)
    assert not [*Path().iterdir()]


def test_a_value_that_no_config_can_hold_is_refused():
    assert refusal(rllab.compose, lr=object()).startswith("got <object")


def test_own_presets_come_first(workplace):
    config = rllab.compose("meta=mine", config_dir=workplace / "my_conf")
    assert config.meta.log_frequency == 50
    assert "no directory" in refusal(rllab.compose, config_dir="nowhere")


def test_another_hydra_app_may_be_running(tmp_path):
    (tmp_path / "theirs.yaml").write_text("a: 1")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(tmp_path)):
        before = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
        assert "_ppo_acrobot_seed0" in rllab.compose("env=acrobot").run_dir
        assert (GlobalHydra.instance().hydra, HydraConfig.instance().cfg) == before


def test_an_env_changes_field_by_field_or_as_a_whole():
    config = rllab.compose("env=cartpole", "env.num_envs=3").env
    assert composing.changed_env(config, ["+env.kwargs.g=1"]).kwargs == {"g": 1}
    assert composing.changed_env(config, ["env.max_episode_steps=9"]).num_envs == 3
    assert composing.changed_env(config, ["env=pendulum"]).id == "Pendulum-v1"
    assert composing.changed_env(config, ["env.id=Acrobot-v1"]).id == "Acrobot-v1"
    assert "says nothing of an env" in refusal(composing.changed_env, config, ["agent.lr=1"])
    assert refusal(composing.changed_env, config, ["env.num_env=1"]).startswith("env.num_env: no such field")
    assert refusal(composing.changed_env, config, ["env.num_envs=0"]).startswith("env.num_envs: got 0")


# --- training


def test_a_run_tells_what_it_scored(run):
    assert run.path.is_absolute()
    assert run.state == "finished"
    assert run.config.meta.max_session == 2
    assert run.scores.shape == (2,)
    assert run.score == pytest.approx(run.scores.mean()) == run.summary["final_eval"]["mean"]["value"]
    assert "ppo on CartPole-v1" in repr(run)
    assert "<td>1</td>" in run._repr_html_()
    assert "data:image/png;base64,iVBOR" in run._repr_html_()


def test_it_writes_down_the_command_line_that_trains_the_same(run):
    facts = json.loads((run.path / "provenance.json").read_text())
    assert facts["command"] == f"rllab-train {' '.join(TINY)}"


def test_a_config_trains_what_its_words_do(run, capsys):
    config = rllab.compose(*TINY)
    again, third = rllab.train(config, verbose=False), rllab.train(config, verbose=False)
    assert (again.curves()[COLUMN] == run.curves()[COLUMN]).all()
    assert third.path == again.path.with_name(f"{again.path.name}_2")  # both within a second
    assert json.loads((again.path / "provenance.json").read_text())["command"] == ""
    assert capsys.readouterr() == ("", "")
    assert refusal(rllab.train, config, "meta.seed=1").startswith("train: got RunConfig, str; write words")


def test_a_directory_that_was_asked_for_is_taken_or_refused(run):
    assert "holds a run already" in refusal(rllab.train, *TINY, run_dir=run.path)
    assert "holds a run already" in refusal(rllab.train, *TINY, f"run_dir={run.path}")


def test_progress_is_shown_unless_it_is_not_wanted(capsys):
    rllab.train("env=cartpole", "meta=quick_dev", "env.max_frame=1100")
    said = capsys.readouterr().out
    assert "1 session, 1,100 frames" in said
    assert "rllab-train env=cartpole env.max_frame=1100 meta.seed=1 meta=validate" in said


def test_nothing_of_the_process_is_changed():
    torch.set_num_threads(2)
    try:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        rllab.train(*TINY, verbose=False).evaluate(episodes=1)
        assert torch.get_num_threads() == 2
        assert torch.is_grad_enabled()
        assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    finally:
        torch.set_num_threads(1)


def test_two_threads_train_at_once_what_each_would_alone(run):
    runs = {}

    def train(name):
        runs[name] = rllab.train(*TINY, verbose=False)

    threads = [threading.Thread(target=train, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in runs.values():
        assert (each.curves()[COLUMN] == run.curves()[COLUMN]).all()
    assert runs["a"].path != runs["b"].path


def test_ctrl_c_saves_and_says_how_to_go_on(run, stop_at):
    stop_at(504, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=r"load_run\('.*stopped'\)\.resume\(\)"):
        rllab.train(*TINY, run_dir="stopped", verbose=False)
    stopped = rllab.load_run("stopped")
    assert stopped.state == "stopped"
    stopped.resume(verbose=False)
    assert (stopped.curves()[COLUMN] == run.curves()[COLUMN]).all()


def test_a_run_goes_on_to_a_longer_budget(tmp_path, monkeypatch):
    short = rllab.train(*TINY, run_dir="it's a run", verbose=False)
    monkeypatch.chdir("/")
    assert short.resume(max_frame=2e3, verbose=False).summary["frames"] == 2000
    assert "less than the budget" in refusal(short.resume, max_frame=10)
    assert refusal(rllab.train, f"meta.resume='{tmp_path}'", run_dir="x").startswith("run_dir: got 'x' for a run that")


class Here(CartPoleEnv):
    """An env that is registered by the program that trains on it."""


def test_an_env_of_this_program(request):
    gymnasium.register("Here-v0", Here, max_episode_steps=50)
    request.addfinalizer(lambda: gymnasium.registry.pop("Here-v0"))
    run = rllab.train("env.id=Here-v0", "meta=quick_dev", "env.max_frame=1100", verbose=False)
    assert run.evaluate(episodes=2).lengths.max() <= 50


NO_GUARD = """
import sys, gymnasium, rllab
from gymnasium.envs.classic_control import CartPoleEnv
print("begins")
class Here(CartPoleEnv):
    pass
gymnasium.register("Here-v0", Here, max_episode_steps=50)
words = ["env.id=Here-v0", "meta=quick_dev", "meta.max_session=2", "env.max_frame=4000"]
for more in ("meta.num_workers=2", "env.backend=async", "meta.distributed=shared"):
    print(rllab.train(*words, more, verbose=False).state)
"""


@pytest.mark.slow
def test_a_script_without_a_guard_trains_in_several_processes(process, tmp_path):
    (tmp_path / "script.py").write_text(NO_GUARD)
    done = process("script.py", cwd=tmp_path)
    assert (done.code, done.out.split()) == (0, ["begins", "finished", "finished", "finished"]), done.err


def test_a_class_that_cannot_be_sent_to_workers_is_refused(request):
    lock = threading.Lock()  # nor can what holds one
    gymnasium.register("Held-v0", lambda **kwargs: lock and CartPoleEnv(**kwargs), max_episode_steps=50)
    request.addfinalizer(lambda: gymnasium.registry.pop("Held-v0"))
    words = ["env.id=Held-v0", "meta=quick_dev", "meta.max_session=2", "meta.num_workers=2", "env.backend=sync"]
    assert "cannot be sent to other processes" in refusal(rllab.train, *words, verbose=False)
    assert not Path("outputs").exists()


# --- reading


def test_curves_are_tables_of_all_sessions(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)  # as if it were not installed
    train, evaluation = run.curves(), run.curves("eval")
    assert train.dtype.names[:2] == ("session", "frame")
    assert train["frame"].dtype == np.int64
    assert {*train["session"]} == {0, 1}
    assert len(evaluation["eval/mean_reward"]) == len(evaluation["frame"])
    assert refusal(run.curves, "test") == "which: got 'test'; write train or eval"


def test_curves_are_data_frames_where_pandas_is(run, monkeypatch):
    if find_spec("pandas") is None:
        monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=dict))
    assert [*run.curves()][:2] == ["session", "frame"]


def test_a_curve_is_a_figure_that_a_notebook_shows(run, tmp_path):
    run.plot().savefig(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes()[:4] == run.plot()._repr_png_()[:4] == b"\x89PNG"


def test_a_policy_acts_in_an_env_of_the_caller(run):
    policy = run.policy(1)
    env = gymnasium.make("CartPole-v1")
    obs, _ = env.reset(seed=0)
    actions = [policy(obs) for _ in range(3)]
    assert actions[0] in env.action_space
    assert len({*map(int, actions)}) == 1  # greedy
    assert policy.session == 1
    assert refusal(policy, obs[:2]).startswith("obs: got shape (2,)")
    assert refusal(run.policy, 2).startswith("session: got 2, but ")
    assert refusal(run.policy, which="first") == "which: got 'first'; write best or last"


@pytest.mark.parametrize("name", ["sac", "random"])
def test_its_actions_are_those_of_the_env(cases, name):
    run = rllab.load_run(cases(name))
    policy = run.policy()
    action = policy(policy.obs_space.sample())
    policy.reset()
    assert policy.action_space.contains(action)


def test_policies_are_evaluated(run):
    found = run.evaluate(episodes=3)
    assert found.returns.shape == found.lengths.shape == (2, 3)
    assert found.score == pytest.approx(found.scores.mean())
    low, high = found.interval
    assert low <= found.score <= high
    assert [*found.table["session"]] == [0, 0, 0, 1, 1, 1]
    assert "3 episodes of each of 2 sessions" in repr(found)
    assert "<td>all</td>" in found._repr_html_()
    assert (run.evaluate(episodes=3).returns == found.returns).all()
    assert run.evaluate(episodes=1, session=1).interval is None
    assert refusal(run.evaluate, episodes=0) == "episodes: got 0; write an integer of at least 1"
    assert not (run.path / "eval.json").exists()


def test_policies_are_evaluated_elsewhere(run):
    assert run.evaluate("env.max_episode_steps=5", episodes=2).lengths.max() == 5
    assert refusal(run.evaluate, "env=pendulum").startswith("env.id: got Pendulum-v1, whose observations are Box")
    assert refusal(run.evaluate, "env.id=FrozenLake-v1").startswith("env.id: got FrozenLake-v1, whose observations")
    assert refusal(run.evaluate, "env.id=Nowhere-v0").startswith("env.id: got 'Nowhere-v0'")


def test_runs_are_compared(run):
    other = rllab.train(*TINY, "agent=a2c", verbose=False)
    found = rllab.compare(run, other)
    assert [*found.table["group"]] == ["ppo", "a2c"]
    assert found.table["score"][0] == pytest.approx(run.score)
    assert 0 <= found.improvement["value"] <= 1
    assert found.plot()._repr_png_()[:4] == b"\x89PNG"
    assert "ppo: " in repr(found)
    assert "<td>a2c</td>" in found._repr_html_()
    assert rllab.compare(run).improvement is None
    assert refusal(rllab.compare).startswith("compare: got no run")


def test_runs_are_found(run):
    assert [each.path for each in rllab.find_runs(run.path.parent)] == [run.path]
    assert rllab.find_runs("nowhere") == []
    assert rllab.load_run(run.path).score == run.score
    assert "no run directory" in refusal(rllab.load_run, "nowhere")


def test_what_a_stranger_has_written_is_shown_as_plain_text(run, tmp_path):
    (tmp_path / "session_0").mkdir()
    (tmp_path / "config.yaml").write_text((run.path / "config.yaml").read_text())
    (tmp_path / "trial.json").write_text(json.dumps({"agent": "\x1b[2J<b>", "env": "x"}))
    stranger = rllab.load_run(tmp_path)
    assert "\\x1b[2J" in repr(stranger)
    assert "&lt;b&gt;" in stranger._repr_html_()
    assert "log checkpoint" in refusal(stranger.curves)


# --- searches


def test_a_study_is_read(tmp_path):
    lines = ["trial,state,value,frames,seconds,agent.lr,reason", "0,complete,10.5,1000,2.0,0.1,", "1,failed,,0,0.1,,no"]
    (tmp_path / "trials.csv").write_text("\n".join(lines) + "\n")
    study = rllab.load_study(tmp_path)
    assert [*study.trials["state"]] == ["complete", "failed"]
    assert study.best_params == {"agent.lr": 0.1}
    assert study.best.path == tmp_path / "0"
    assert (study.importances, study.runs) == ({}, [])
    assert "<td>10.5</td>" in study._repr_html_()
    assert "best 10.5" in repr(study)
    assert "not there: no trial is complete" in refusal(study.best_config)
    assert "write rllab.load_study" in refusal(rllab.load_run, tmp_path)
    assert "no study" in refusal(rllab.load_study, tmp_path / "elsewhere")


def test_a_search_takes_words_only():
    assert refusal(rllab.run_search, "--cfg").startswith("--cfg: no option of the command line")


@pytest.mark.slow
def test_a_search_is_started_and_read(capsys):
    study = rllab.run_search(*TINY, "agent.lr=1e-3,1e-2")
    assert "trial 1" in capsys.readouterr().out
    assert study.path.parent == Path("multirun").absolute()
    assert sorted(study.trials["agent.lr"]) == [1e-3, 1e-2]
    assert study.best.score == pytest.approx(max(study.trials["score"])) == max(each.score for each in study.runs)
    config = study.best_config("meta=quick_dev", "env.max_frame=1100")
    assert config.agent.lr == study.best_params["agent.lr"]
    assert rllab.train(config, verbose=False).config.meta.seed == 1
    assert rllab.run_search(*TINY, "agent.lr=1e-3,1e-2", verbose=False).path == study.path  # goes on: nothing is left
    assert rllab.run_search(*TINY, "agent.lr=1e-3,1e-2", directory="it's mine", verbose=False).path.name == "it's mine"
    assert refusal(rllab.run_search, "env=cartpol").startswith("env=cartpol: no such option")


@pytest.mark.slow
def test_a_search_ends_with_the_program_that_started_it(tmp_path):
    """Also one that is killed: nobody holds stdin of the search any more."""
    words = "'env=cartpole', 'agent.lr=1e-3,1e-2', 'env.max_frame=1e9'"
    code = f"import rllab; rllab.run_search({words}, directory='study')"

    def wait_for(*states):
        until = time.monotonic() + 60
        while shelf.look(tmp_path / "study").state not in states:
            assert time.monotonic() < until
            time.sleep(0.1)

    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.DEVNULL) as program:
        while not (tmp_path / "study" / ".sweepers").is_dir():
            time.sleep(0.1)
        wait_for("running")
        time.sleep(1)  # it does not end by itself
        wait_for("running")
        program.kill()
    wait_for("stopped", "unknown")
