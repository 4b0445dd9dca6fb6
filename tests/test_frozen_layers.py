"""What a user's network has frozen stays as it was made, whatever trains it, and wherever it goes."""

import json

import pytest
import torch

from rllab import checkpoint, envs
from rllab.play import player
from rllab.training import trial

FROZEN = "layers__0__"
SMALL = ["env.id=probes:RewardByObs-v0", "agent.network=probes:HalfFrozen", "tuned=none", "meta.max_session=2"]
SIZES = ["env.num_envs=3", "env.max_frame=180", "meta.log_frequency=60"]
OFF_POLICY = ["agent.learning_starts=40", "agent.batch_size=8", "agent.buffer_size=150", "agent.target_period=30"]
AGENTS = {
    "ppo": ["agent.num_steps=10", "agent.num_minibatches=2"],
    "a2c": ["agent.num_steps=5"],
    "reinforce": ["agent.num_steps=15"],
    "sarsa": ["agent.num_steps=5"],
    "dqn": OFF_POLICY,
    "qrdqn": OFF_POLICY,
    "sac": [*OFF_POLICY[:3], "agent.hidden=[8]"],
    "crossq": [*OFF_POLICY[:3], "agent.hidden=[8]", "agent.critic_hidden=[8]"],
}


@pytest.fixture
def train(load_config, no_picture):
    """Trains a little: the config, and an agent of the same seeds that has learned nothing."""

    def run(agent, *overrides):
        cfg = load_config("env=gymnasium", f"agent={agent}", *SMALL, *SIZES, *AGENTS[agent], *overrides)
        trial.run(cfg)
        info = envs.inspect(cfg.env)
        return cfg, cfg.make_algorithm(info.obs_space, info.action_space, cfg.meta.num_policies, cfg.meta.seed)

    return run


def frozen(state):
    return {name: x for name, x in state.items() if FROZEN in name}


def assert_frozen(state, fresh):
    """Of the parameters of a network only the frozen ones are those of the fresh agent."""
    assert frozen(fresh)
    assert state.keys() == fresh.keys()
    for name, x in fresh.items():
        assert torch.equal(state[name], x) == (name in frozen(fresh)), name


@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_leaves_them_alone(train, tmp_path, agent):
    _, fresh = train(agent)
    last = checkpoint.read(tmp_path / "run" / "checkpoints" / "last.safetensors", "algorithm")
    assert_frozen(last["policy"], fresh.state_dict()["policy"])
    if "target" in last:
        assert_frozen(last["target"], fresh.state_dict()["target"])


def test_they_come_from_the_checkpoint_and_not_from_the_seed(train, tmp_path):
    cfg, fresh = train("ppo")
    other = type(fresh)(cfg.agent, fresh.task, seed=cfg.meta.seed + 1)
    mine, theirs = (frozen(agent.state_dict()["policy"]) for agent in (fresh, other))
    assert not any(torch.equal(mine[name], theirs[name]) for name in mine)
    other.load_state_dict(checkpoint.read(tmp_path / "run" / "checkpoints" / "last.safetensors", "algorithm"))
    theirs = frozen(other.state_dict()["policy"])
    for session in (0, 1):
        alone = frozen(player.load(tmp_path / "run").policy(session).state_dict())
        for name in mine:
            assert torch.equal(theirs[name], mine[name])
            assert torch.equal(alone[f"net.{name}"], mine[name][session : session + 1])


@pytest.mark.parametrize("mode", ["shared", "synced"])
def test_workers_that_share_a_policy_leave_them_alone(train, tmp_path, mode):
    _, fresh = train("a2c", f"meta.distributed={mode}")
    assert json.loads((tmp_path / "run" / "trial.json").read_text())["num_sessions"] == 1
    last = checkpoint.read(tmp_path / "run" / "checkpoints" / "last.safetensors", "algorithm", "policy")
    assert_frozen(last, fresh.state_dict()["policy"])
