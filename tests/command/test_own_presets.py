"""A preset in a directory of the user's own takes the place of rllab's of the same name, and a run says so."""

import re
import shlex

import pytest
import yaml

from rllab.training import trial

PRESETS = {
    "agent/ppo.yaml": "name: ppo\nlr: 0.5\n",
    "env/acrobot.yaml": "id: Acrobot-v1\nnum_envs: 3\n",
    "meta/standard.yaml": "max_session: 7\n",
    "tuned/a2c/cartpole.yaml": "# @package _global_\nagent: {lr: 0.25}\n",
    "search/ppo.yaml": "# @package _global_\nhydra: {sweeper: {params: {agent.gamma: 'choice(0.1,0.2)'}}}\n",
    "hydra/sweeper/sampler/tpe.yaml": "_target_: optuna.samplers.TPESampler\nn_startup_trials: 99\n",
    "experiment/a.yaml": "# @package _global_\ndefaults: [{override /env: acrobot}]\nagent: {gamma: 0.7}\n",
    "experiment/b.yaml": "# @package _global_\ndefaults: [{override /env: pendulum}]\nagent: {gamma: 0.8}\n",
}


@pytest.fixture
def my_conf(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in PRESETS.items():
        path = tmp_path / "my_conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "my_conf"


@pytest.fixture
def runs(monkeypatch):
    """The runs that would be trained, each with the presets of one's own that it is made of. Pendulum scores best."""
    found = []

    def run(cfg, held=None, *, presets, **_):
        found.append((cfg, presets))
        score = float(cfg.env.id == "Pendulum-v1")
        if held is not None:
            held.finish(score, 512)
        return score

    monkeypatch.setattr(trial, "run", run)
    monkeypatch.setattr("rllab.search.plots.write_plots", lambda *_: [])
    return found


@pytest.mark.parametrize("where", ["--config-dir my_conf", "'hydra.searchpath=[file://my_conf]'"])
@pytest.mark.usefixtures("my_conf")
def test_those_of_every_group_come_first(where, command):
    shown = yaml.safe_load(command(f"{where} env=acrobot tuned=none search=ppo --cfg all").out)
    assert (shown["agent"]["lr"], shown["env"]["num_envs"], shown["meta"]["max_session"]) == (0.5, 3, 7)
    sweeper = shown["hydra"]["sweeper"]
    assert (list(sweeper["params"]), sweeper["sampler"]["n_startup_trials"]) == (["agent.gamma"], 99)
    assert yaml.safe_load(command(f"{where} agent=a2c --cfg job").out)["agent"]["lr"] == 0.25


def test_a_run_is_told_which_were_taken_and_so_are_the_jobs_of_a_multirun(my_conf, command, runs):
    assert command("meta=quick_dev").code == 0
    assert command("-cd my_conf agent=a2c").code == 0
    done = command("-m -cd my_conf meta=quick_dev agent=a2c env=cartpole,pendulum hydra/launcher=basic")
    assert (done.code, done.err) == (0, "")
    tuned = str(my_conf / "tuned/a2c/cartpole.yaml")
    sampler = str(my_conf / "hydra/sweeper/sampler/tpe.yaml")
    taken = [set(presets) for _cfg, presets in runs]
    assert taken == [set(), {str(my_conf / "meta/standard.yaml"), tuned, sampler}, {tuned, sampler}, {sampler}]
    assert "from directories of your own: my_conf/hydra/sweeper/sampler/tpe.yaml" in done.out


@pytest.mark.usefixtures("my_conf")
def test_the_best_of_a_grid_over_a_group_of_ones_own_is_trained_by_its_command(command, runs):
    words = "-m -cd my_conf meta=quick_dev +experiment=a,b meta.seed=3,5 hydra/launcher=basic hydra.sweep.dir=study"
    done = command(words)
    assert (done.code, done.err) == (0, "")
    (best,) = re.findall(r"train the best +python train.py (.*)", done.out)
    assert best == "-cd study -cn best meta=standard meta.seed=6"
    (won, _), *_ = [run for run in runs if run[0].env.id == "Pendulum-v1"]
    assert command(shlex.split(best)).err == ""
    assert command("-cd study -cn best meta=quick_dev agent.lr=0.125").err == ""
    (again, _), (changed, _) = runs[-2:]
    assert (again.env, again.agent) == (won.env, won.agent)
    assert (again.meta.max_session, again.meta.seed) == (7, 6)  # their own meta=standard
    assert (changed.env, changed.agent.lr, changed.agent.gamma) == (won.env, 0.125, 0.8)
    assert (changed.meta.max_session, changed.meta.seed) == (1, 6)
    assert re.search(r"ppo_Pendulum-v1_seed6$", again.run_dir)


def test_the_best_of_a_colleague_needs_no_trust_where_it_names_nothing_of_theirs(command, runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "-m meta=quick_dev env=cartpole,pendulum callbacks=[rllab.callbacks.Video] +eval_env.max_episode_steps=7"
    assert command(f"{words} hydra/launcher=basic hydra.sweep.dir=study").code == 0
    (tmp_path / "study" / "best.yaml.hmac").unlink()
    assert command("-cd study -cn best meta=quick_dev").err == ""
    assert (runs[-1][0].callbacks, runs[-1][0].eval_env) == (["rllab.callbacks.Video"], {"max_episode_steps": 7})


@pytest.mark.parametrize("word", ["env=acrobot", "agent=a2c", "tuned=none", "env.id=Acrobot-v1"])
def test_what_the_best_holds_whole_is_not_chosen_anew(word, refused):
    line = "best.yaml holds env and agent whole; leave it out, change single fields such as env.max_frame=1e6, or *"
    refused(["-cd", ".", "-cn", "best", word], f"{word}: {line}")
