"""Exported policies: one file, raw observations in, actions out as the env takes them; the card beside it."""

import sys

import gymnasium
import gymnasium.spaces as gs
import numpy as np
import pytest
import torch
from torch import nn

from played import CASES
from rllab.analysis.evaluation import describe
from rllab.envs.actions import action_map
from rllab.errors import ConfigError
from rllab.play import export, player
from rllab.play.card import write_card
from rllab.training import trial


class Same(nn.Module):
    """A policy whose actions are what it sees."""

    def forward(self, obs):
        return obs, {}


def test_a_bounded_box_is_rescaled_and_clipped():
    box = gs.Box(np.array([-2.0, 0.0], np.float32), np.array([1.0, 10.0], np.float32))
    action = export.RawPolicy(Same(), action_map(box))(torch.tensor([[-1.0, 0.0], [3.0, 0.5]]))
    assert action.tolist() == [[-2.0, 5.0], [1.0, 7.5]]
    assert action.dtype == torch.float32


def test_actions_have_the_type_of_the_env():
    policy = export.RawPolicy(Same(), action_map(gs.MultiBinary(2)))
    assert policy(torch.tensor([[0, 1]])).dtype == torch.int8


SOME = ["random", "ppo, CartPole", "ppo, images", "qrdqn", "sac"]
"""Of each kind of policy one; the slow tests take all."""


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=[] if name in SOME else pytest.mark.slow) for name in CASES], indirect=True
)
def test_torchscript_does_what_the_policy_does(case, tmp_path):
    loaded = player.load(case)
    if loaded.config.agent.name == "random":
        with pytest.raises(ConfigError, match="agent=random has no network that could be exported"):
            export.export(loaded, 0, "torchscript", tmp_path)
        return
    done = export.export(loaded, 1, "torchscript", tmp_path)
    assert done.num_same == len(done.action) == 1000
    action = torch.jit.load(done.path)(torch.from_numpy(done.inputs["obs"][:3])).numpy()
    np.testing.assert_allclose(action, done.action[:3], rtol=1e-5)
    assert all(loaded.info.actions.env_space.contains(each) for each in action)


def check_onnx(run, folder):
    onnxruntime = pytest.importorskip("onnxruntime")
    done = export.export(player.load(run), 1, "onnx", folder)
    assert [path.name for path in folder.iterdir()] == ["policy.onnx"]  # the numbers are inside
    session = onnxruntime.InferenceSession(done.path)
    for rows in (1, 7):
        (action,) = session.run(None, {"obs": done.inputs["obs"][:rows]})
        np.testing.assert_allclose(action, done.action[:rows], rtol=1e-4, atol=1e-5)
        assert action.dtype == done.action.dtype


def test_onnx_does_what_the_policy_does(cases, tmp_path):
    check_onnx(cases("ppo, box"), tmp_path)


@pytest.mark.slow
def test_onnx_for_every_algorithm(case, tmp_path):
    if "random" not in player.load(case).config.agent.name:
        check_onnx(case, tmp_path)


def test_what_acts_differently_is_not_written(cases, tmp_path, monkeypatch):
    write = export._torchscript

    def off_by_one(module, example):
        content, run = write(module, example)
        return content, lambda obs: run(obs) + 1

    monkeypatch.setattr(export, "_torchscript", off_by_one)
    with pytest.raises(ConfigError, match="as torchscript the policy acts differently at 1000 of 1000 observations"):
        export.export(player.load(cases("ppo")), 0, "torchscript", tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_what_cannot_be_traced_is_one_line(cases, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("\nno such operator\nand much more")

    monkeypatch.setattr(torch.jit, "trace", fail)
    with pytest.raises(ConfigError, match=r"^the policy cannot be written as torchscript: no such operator$"):
        export.export(player.load(cases("ppo")), 0, "torchscript", tmp_path)


def test_without_the_extra(cases, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ConfigError, match=r"needs the extra export; type pip install 'rllab\[export\]'"):
        export.export(player.load(cases("ppo")), 0, "onnx", tmp_path)


@pytest.mark.parametrize("name", ["ppo, box", "ppo, flattened", "ppo, images"])
def test_the_card_plays_an_episode_without_rllab(cases, tmp_path, name, monkeypatch, capsys):
    loaded = player.load(cases(name))
    done = export.export(loaded, 1, "torchscript", tmp_path)
    text = write_card(loaded, 1, "best", "torchscript", done).read_text()
    assert f"# ppo on {loaded.config.env.id}" in text
    code = text.split("```python\n")[1].split("```")[0]
    assert "rllab" not in code
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(code, {})
    assert capsys.readouterr().out.startswith("return ")


@pytest.mark.slow
def test_an_exported_lander_scores_what_eval_says(load_config, tmp_path):
    """Driven by onnxruntime alone, on other seeds: within the 95 % interval of `rllab eval`."""
    onnxruntime = pytest.importorskip("onnxruntime")
    trial.run(load_config("meta=box2d", "env=lunarlander", "meta.max_session=1"))
    loaded = player.load(tmp_path / "run")
    session = describe(*loaded.evaluate([0], num_episodes=100), sessions=[0], frames=loaded.frames)["sessions"][0]
    policy = onnxruntime.InferenceSession(export.export(loaded, 0, "onnx", tmp_path / "export").path)
    envs = gymnasium.make_vec("LunarLander-v3", num_envs=10, vectorization_mode="sync")
    obs, _ = envs.reset(seed=12345)
    returns, total, reset = [[] for _ in range(10)], np.zeros(10), np.zeros(10, bool)
    while min(map(len, returns)) < 10:
        (action,) = policy.run(None, {"obs": obs.astype(np.float32)})
        obs, reward, terminated, truncated, _ = envs.step(action)
        total = np.where(reset, 0.0, total + reward)
        reset = terminated | truncated
        for env in reset.nonzero()[0]:
            returns[env].append(total[env])
    mean = np.mean([each[:10] for each in returns])
    assert session["mean"]["low"] <= mean <= session["mean"]["high"]
