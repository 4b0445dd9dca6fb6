"""`eval_env`: evaluations are played in an env that differs from the one that is trained in."""

import csv
import json
from pathlib import Path

import pytest

from rllab.errors import ConfigError
from rllab.play import player
from rllab.training import checks, trial

SMALL = ["tuned=none", "agent.num_steps=32", "env.max_frame=512", "meta.max_session=2", "meta.log_frequency=256"]


def column(path, name):
    with path.open() as file:
        return [float(row[name]) for row in csv.DictReader(file)]


@pytest.mark.usefixtures("no_picture")
@pytest.mark.parametrize("num_workers", [1, 2])
def test_every_evaluation_is_played_in_it(load_config, num_workers):
    words = ["+eval_env.max_episode_steps=7", "meta.rigorous_eval=2", "meta.eval_frequency=256", "meta.final_eval=3"]
    cfg = load_config(*SMALL, *words, f"meta.num_workers={num_workers}")
    trial.run(cfg)
    run = Path(cfg.run_dir)
    for session in ("session_0", "session_1"):
        assert set(column(run / session / "eval.csv", "eval/mean_reward")) == {7.0}
        assert column(run / session / "train.csv", "rollout/ep_len_mean")[-1] > 7
    assert json.loads((run / "trial.json").read_text())["greedy_best"]["mean"]["value"] == 7.0
    loaded = player.load(cfg.run_dir, trusted=True)
    assert loaded.config.eval_env == {"max_episode_steps": 7}
    assert set(loaded.evaluate([0], num_episodes=2).lengths.ravel()) == {7}


def test_what_differs_comes_on_top(load_config):
    cfg = load_config("env=pendulum", "+env.kwargs.g=3.0", "+eval_env.kwargs.render_mode=rgb_array")
    assert cfg.evaluation_env().kwargs == {"g": 3.0, "render_mode": "rgb_array"}
    assert cfg.env.kwargs == {"g": 3.0}
    same = load_config("env=pendulum")
    assert same.evaluation_env() is same.env


REFUSED = {
    "+eval_env.max_episode_steps=0": r"eval_env\.max_episode_steps: got 0; write null .* eval_env\.max_episode_steps=1",
    "+eval_env.max_episode_steps=x": r"eval_env\.max_episode_steps: got 'x'; write an integer or null",
    "+eval_env.max_frame=7": r"eval_env\.max_frame: no such field; write one of backend, id, ",
    "+eval_env.kwargs=7": r"eval_env\.kwargs: got 7; write a mapping",
    "+eval_env.wrappers=[7]": r"eval_env\.wrappers: got 7; write its dotted name",
    "+eval_env.id=Acrobt-v1": r"eval_env\.id: got 'Acrobt-v1', .*; did you mean eval_env\.id=Acrobot-v1\?",
    "+eval_env.id=MountainCar-v0": r"eval_env: got observations Box\(2,\) float32, where env has Box\(4,\)",
    "+eval_env.kwargs.g=7": r"eval_env\.kwargs\.g: got 7, but CartPole-v1 takes no such argument",
    "+eval_env.backend=ale": r"eval_env\.backend: got 'ale'",
}


@pytest.mark.parametrize("word", REFUSED)
def test_what_is_refused(load_config, word):
    with pytest.raises(ConfigError, match=f"^{REFUSED[word]}"):
        checks.check(load_config(word))
