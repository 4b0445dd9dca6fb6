"""The kernel of PPO and A2C against their losses in torch, which are the truth."""

import json
import shutil
import tempfile

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch

from rllab.algorithms import Task, a2c, ppo
from rllab.kernels import build
from rllab.training import trial
from test_trial import assert_same_policy

DISCRETE, BOX, MULTI = gs.Discrete(3), gs.Box(-1.0, 1.0, (2,)), gs.MultiDiscrete([3, 2])
SPACES = pytest.mark.parametrize("action_space", [DISCRETE, BOX, MULTI], ids=["discrete", "box", "multi_discrete"])
NUM_ENVS = 4


pytestmark = pytest.mark.skipif(build.describe().startswith("none"), reason="no compiler, or an old processor")


def make_agent(*, kernel, algorithm=ppo.PPO, action_space=DISCRETE, num_sessions=2, obs_size=5, **settings):
    config = algorithm.Config(**{"num_steps": 16, "hidden": [16, 32], "ent_coef": 0.01} | settings)
    task = Task(gs.Box(-np.inf, np.inf, (obs_size,)), action_space, num_sessions, NUM_ENVS, 10_000)
    agent = algorithm(config, task, seed=0)
    if kernel:
        assert agent.use_kernels()["updates"] is None
    return agent


def learn(agent, updates, *, scale_of_last=1.0):
    """Learn from the same noise, whoever learns: each session's from a generator of its own."""
    task, buffer = agent.task, agent.make_buffer()
    rngs = [np.random.default_rng(session) for session in range(task.num_sessions)]
    done = np.zeros((task.num_sessions, NUM_ENVS), bool)
    for frame in range(1, updates + 1):
        for _ in range(agent.rollout_steps):
            obs, next_obs = (np.stack([r.normal(size=(NUM_ENVS, 5)) for r in rngs]).astype(np.float32) for _ in "12")
            if isinstance(task.action_space, gs.Discrete):
                action = np.stack([r.integers(3, size=NUM_ENVS) for r in rngs])
            elif isinstance(task.action_space, gs.MultiDiscrete):
                action = np.stack([r.integers([3, 2], size=(NUM_ENVS, 2)) for r in rngs])
            else:
                action = np.stack([r.normal(size=(NUM_ENVS, 2)) for r in rngs]).astype(np.float32)
            reward = np.stack([r.normal(size=NUM_ENVS) for r in rngs])
            reward[-1] *= scale_of_last
            ended = np.stack([r.random(NUM_ENVS) < 0.1 for r in rngs]) & ~done
            done = ended
            buffer.add(obs, action, reward, ended, np.zeros_like(ended), next_obs, {})
        metrics = agent.update(buffer, frame * agent.rollout_steps * NUM_ENVS)
    return metrics


OPTIONS = [
    {},
    {"activation": "relu"},
    {"hidden": [16]},
    {"hidden": [17, 5, 40]},
    {"hidden": []},
    {"vf_clip_coef": 0.1},
    {"ent_coef": 0.0, "vf_coef": 1.5, "max_grad_norm": 0.05},
    {"normalize_advantage": False},
    {"normalize_obs": True, "normalize_reward": True},
    {"num_minibatches": 1, "num_epochs": 7, "lr": "linear:1e-3:0", "clip_coef": "linear:0.3:0.1"},
]


OPTIONS_OF_A2C = [
    {},
    {"activation": "relu", "optimizer": "adam", "gae_lambda": 0.9},
    {"hidden": [], "normalize_advantage": True, "max_grad_norm": 0.05},
    {"hidden": [17, 5], "normalize_obs": True, "normalize_reward": True, "lr": "linear:1e-3:0", "ent_coef": 0.0},
]


@SPACES
@pytest.mark.parametrize("num_sessions", [1, 3])
@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [*((ppo.PPO, options) for options in OPTIONS), *((a2c.A2C, options) for options in OPTIONS_OF_A2C)],
    ids=str,
)
def test_one_update_is_that_of_the_loss(algorithm, action_space, settings, num_sessions):
    plain, fast = (
        make_agent(kernel=kernel, algorithm=algorithm, action_space=action_space, num_sessions=num_sessions, **settings)
        for kernel in (False, True)
    )
    expected, found = learn(plain, 1), learn(fast, 1)
    torch.testing.assert_close(fast.flat.data, plain.flat.data, rtol=1e-4, atol=1e-6)
    for name, moment in plain.optimizer.state_dict().items():
        torch.testing.assert_close(fast.optimizer.state_dict()[name], moment, rtol=1e-3, atol=1e-6)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-5, err_msg=name)


@SPACES
@pytest.mark.parametrize("algorithm", [ppo.PPO, a2c.A2C])
def test_fifty_updates_are_those_of_the_loss(algorithm, action_space):
    plain, fast = (
        make_agent(kernel=kernel, algorithm=algorithm, action_space=action_space) for kernel in (False, True)
    )
    learn(plain, 50)
    learn(fast, 50)
    difference = (fast.flat.data - plain.flat.data).norm() / plain.flat.data.norm()
    assert difference < 1e-5


@pytest.mark.usefixtures("two_threads")
def test_a_session_does_not_depend_on_those_beside_it_nor_on_threads():
    alone, three = make_agent(kernel=True, num_sessions=1), make_agent(kernel=True, num_sessions=3)
    learn(alone, 3)
    learn(three, 3, scale_of_last=100.0)
    assert torch.equal(alone.flat.data[0], three.flat.data[0])


def test_each_session_stops_by_itself_when_its_policy_has_moved_far():
    settings = {"target_kl": 1e-4, "lr": 3e-3}
    plain, fast = (make_agent(kernel=kernel, num_sessions=3, **settings) for kernel in (False, True))
    expected, found = learn(plain, 2), learn(fast, 2)
    assert found["train/num_updates"] == expected["train/num_updates"]
    assert max(plain.num_updates) < 2 * 16
    torch.testing.assert_close(fast.flat.data, plain.flat.data, rtol=1e-4, atol=1e-6)


def test_nan_in_is_nan_out():
    agent = make_agent(kernel=True)
    agent.flat.data[1, 0] = torch.nan
    learn(agent, 1)
    assert agent.flat.data[1].isnan().any()
    assert agent.flat.data[0].isfinite().all()


def test_small_numbers_are_not_flushed_to_zero():
    learn(make_agent(kernel=True), 1)  # -ffast-math would do so, in the whole process
    assert np.float32(1e-40) * np.float32(0.5) > 0
    assert torch.tensor(1e-40) * 0.5 > 0


@pytest.mark.parametrize(
    ("settings", "action_space", "reason"),
    [
        ({"share_network": True}, DISCRETE, "agent.share_network is true"),
        ({"activation": "elu"}, DISCRETE, "agent.activation is elu"),
        ({"hidden": [300]}, DISCRETE, "a layer has 300 units"),
        ({}, gs.MultiBinary(3), "MultiDiscrete and Box"),
    ],
)
def test_what_does_not_fit_stays_in_torch_and_says_why(settings, action_space, reason):
    agent = make_agent(kernel=False, action_space=action_space, **settings)
    assert reason in agent.use_kernels()["updates"]
    assert agent.kernel is None


@pytest.fixture
def forgetful():
    """Libraries that were loaded before are loaded again, here and afterwards."""
    build._found.cache_clear()
    yield
    build._found.cache_clear()


@pytest.mark.slow  # compiles twice
@pytest.mark.usefixtures("forgetful")
def test_it_is_compiled_once_and_kept(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build.load("on_policy")
    assert capsys.readouterr().err == "kernels: on_policy.cpp is being compiled, once, for some seconds\n"
    build._found.cache_clear()
    build.load("on_policy")
    assert capsys.readouterr().err == ""
    assert [path.suffix for path in (tmp_path / "rllab" / "kernels").iterdir()] == [".so"]


@pytest.mark.slow  # compiles twice
@pytest.mark.usefixtures("forgetful")
def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert build.load("on_policy")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]  # nothing is left behind


@pytest.mark.usefixtures("forgetful")
def test_without_a_compiler(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert build.describe().startswith("none, for there is no C++ compiler")


@pytest.mark.usefixtures("no_picture")
def test_a_run_says_what_it_uses_and_goes_on_as_it_began(load_config, tmp_path, stop_at, capsys):
    short = ["agent.num_steps=16", "agent.num_minibatches=2", "env.max_frame=1500", "meta.log_frequency=250"]
    short += ["meta.max_session=2"]
    for kernels, line in (("auto", "kernels: acting, updates, envs in C++"), ("off", "")):
        trial.run(load_config(*short, f"meta.kernels={kernels}", run_dir=f"whole_{kernels}"))
        assert ("kernels:" in capsys.readouterr().out) == bool(line)
        used = json.loads((tmp_path / f"whole_{kernels}" / "provenance.json").read_text())["kernels"]
        assert used == (line.partition(": ")[2] or "torch")
        stop_at(776)
        with pytest.raises(SystemExit):
            trial.run(load_config(*short, f"meta.kernels={kernels}", run_dir=f"cut_{kernels}"))
        trial.run(load_config(f"meta.resume={tmp_path / f'cut_{kernels}'}"))
        assert_same_policy(tmp_path / f"whole_{kernels}", tmp_path / f"cut_{kernels}")
        capsys.readouterr()
