"""Divergence, and what is not finite from an env: one line, exit code 1, and nothing on disk that is not finite."""

import json

import pytest
import torch

from rllab import algorithms, checkpoint
from rllab.envs import EnvError
from rllab.errors import ConfigError
from rllab.training import trial
from rllab.training.sessions import not_finite

pytestmark = pytest.mark.usefixtures("no_picture")

LEARNING = [name for name in algorithms.names() if name != "random"]
ON_POLICY = {"ppo": ["agent.num_minibatches=2"], "a2c": [], "reinforce": [], "sarsa": []}
SMALL = ["tuned=none", "env.max_frame=4000", "env.num_envs=4", "meta.max_session=2", "meta.log_frequency=200"]
SMALL += ["agent.hidden=[16]"]


def words(name):
    if name in ON_POLICY:
        return [f"agent={name}", "agent.num_steps=16", *ON_POLICY[name], *SMALL]
    few = ["agent.learning_starts=64", "agent.batch_size=8", "agent.gradient_steps=1", "agent.buffer_size=4000"]
    narrow = ["agent.critic_hidden=[16]"] if name == "crossq" else []
    return [f"agent={name}", *few, *narrow, *SMALL]


def env_for(name):
    return "env=pendulum" if name in ("td3", "tqc") else "env=cartpole"


def finite(path):
    state = checkpoint.read(path)
    return not_finite(state["algorithm"] if "algorithm" in state else state["policy"], 2) is None


@pytest.mark.parametrize("name", LEARNING)
def test_a_rate_far_too_high_ends_the_run_with_one_line(name, load_config, tmp_path):
    with pytest.raises(ConfigError) as caught:
        trial.run(load_config(*words(name), env_for(name), "agent.lr=1e30"))
    line = str(caught.value)
    assert line.startswith(f"agent: {name} diverged before frame ")
    assert ", session " in line
    assert "lower agent.lr=1e+30" in line
    assert "\n" not in line
    assert finite(tmp_path / "run" / "checkpoints" / "last.safetensors")
    best = tmp_path / "run" / "checkpoints" / "best.safetensors"
    assert not best.exists() or finite(best)
    assert (tmp_path / "run" / "error.txt").exists()
    assert not (tmp_path / "run" / "trial.json").exists()


@pytest.mark.parametrize("name", LEARNING)
def test_an_infinite_observation_is_a_failure_of_the_env(name, load_config, tmp_path):
    env = "InfBox" if name in ("td3", "tqc") else "Inf"
    where = r"^env\.id: field:\w+-v0 failed at frame \d+, session \d, sub-env \d: inf as observation"
    with pytest.raises(ConfigError, match=where):
        trial.run(load_config(*words(name), "env=gymnasium", f"env.id=field:{env}-v0"))
    assert finite(tmp_path / "run" / "checkpoints" / "last.safetensors")


@pytest.mark.slow  # processes; one session says it by default
@pytest.mark.parametrize("meta", ["meta.num_workers=2", "meta.distributed=shared", "meta.distributed=synced"])
def test_workers_say_so_too(meta, load_config, tmp_path):
    with pytest.raises(ConfigError, match=r"^agent: a2c diverged before frame .*lower agent\.lr"):
        trial.run(load_config(*words("a2c"), "env=cartpole", "agent.lr=1e30", meta))
    assert checkpoint.read(tmp_path / "run" / "checkpoints" / "last.safetensors")["frame"] >= 0


@pytest.mark.parametrize("name", ["ppo", "a2c", "dqn", "sac"])
def test_a_single_huge_reward_breaks_nothing(name, load_config, tmp_path):
    env = ["env=gymnasium", "env.id=field:OneHuge-v0", "env.max_frame=2000", "meta.final_eval=2"]
    trial.run(load_config(*words(name), *env))
    assert finite(tmp_path / "run" / "checkpoints" / "last.safetensors")
    result = json.loads((tmp_path / "run" / "trial.json").read_text())
    assert result["sessions"][0]["max_return"] > 1e27  # what is reported is raw


def test_the_state_is_looked_through_by_session():
    state = {"policy": {"weight": torch.zeros(2, 3)}, "critics": torch.zeros(6, 2), "counts": [1, 2], "name": "x"}
    assert not_finite(state, 2) is None
    state["critics"][3, 1] = torch.inf  # the first of the three critics of session 1
    assert not_finite(state, 2) == ("critics", 1, torch.inf)
    state["critics"][:] = 3e38
    assert not_finite(state, 2) is None  # their sum is infinite, they are not


def test_an_action_that_is_not_finite_reaches_no_env(load_config, monkeypatch, tmp_path):
    made = trial.Trial(*trial.check(load_config(*words("ppo"), "env=pendulum", "meta.kernels=off")))
    act = made.crew.algorithm.act
    seen = []

    def nan_in_the_third_step(obs, state, starts, *, explore):
        acted = act(obs, state, starts, explore=explore)
        seen.append(obs)
        acted.action[1] = torch.nan if len(seen) == 3 else acted.action[1]
        return acted

    monkeypatch.setattr(made.crew.algorithm, "act", nan_in_the_third_step)
    with pytest.raises(Exception, match=r"^session 1: its action is nan$") as caught:
        made.run()
    assert not isinstance(caught.value, EnvError)
    assert made.crew.clock.step == 2
    made.close()


def test_of_many_steps_in_one_call_it_is_found_at_their_end(load_config, monkeypatch):
    made = trial.Trial(*trial.check(load_config(*words("ppo"), "env=pendulum")))
    make_noise = made.crew.algorithm.net.distribution.noise

    def nan_in_the_third_step(*args):
        noise = make_noise(*args)
        noise[2, 1] = torch.nan
        return noise

    monkeypatch.setattr(made.crew.algorithm.net.distribution, "noise", nan_in_the_third_step)
    with pytest.raises(Exception, match=r"^session 1: its action is nan$"):
        made.run()
    assert made.crew.clock.step == 0
    made.close()


@pytest.mark.slow  # a search of three processes
def test_a_search_counts_the_trial_as_failed_with_the_reason(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = " ".join([*words("a2c"), "env=cartpole", "agent.lr=1e30,1e-3", "hydra.sweep.dir=sweep", "meta.final_eval=0"])
    result = command(f"-m {text} hydra.sweeper.max_failure_rate=0.9")
    assert "diverged" in result.out + result.err
    rows = (tmp_path / "sweep" / "trials.csv").read_text()
    assert "failed" in rows
    assert "complete" in rows
    assert "a2c diverged before frame" in rows
