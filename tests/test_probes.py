"""Algorithms on problems that isolate one failure each: value, observation, delay, action, both, credit, truncation."""

import gymnasium
import numpy as np
import pytest
import torch

from acting import act
from rllab.training import trial

pytestmark = pytest.mark.usefixtures("no_picture")

FAST = ["tuned=none", "env.num_envs=8", "agent.gamma=0.9", "agent.hidden=[16]", "agent.lr=linear:1e-2:1e-4"]
FAST += ["meta.max_session=2", "meta.log_frequency=1e6"]
AGENTS = {
    "ppo": ["agent.num_steps=16", "agent.num_epochs=4", "agent.num_minibatches=2"],
    "a2c": ["agent.num_steps=4", "agent.gae_lambda=0.9"],
    "reinforce": ["agent.num_steps=4"],
}


@pytest.fixture(params=AGENTS)
def train_probe(request, load_config):
    agent = [f"agent={request.param}", *FAST, *AGENTS[request.param]]

    def train(name, max_frame=4000, *overrides):
        cfg = load_config(f"env.id=probes:{name}-v0", f"env.max_frame={max_frame}", *agent, *overrides)
        made = trial.Trial(*trial.check(cfg))
        made.run()
        return made.crew.algorithm

    return train


def values(agent, *obs):
    """Value of each session for observations of one number, [S, len(obs)]."""
    x = torch.tensor(obs, dtype=torch.float32).reshape(1, -1, 1).expand(2, -1, 1)
    with torch.no_grad():
        return agent.net(agent.net.normalize(x))[1].numpy()


def greedy(agent, *obs):
    x = np.tile(np.array(obs, np.float32).reshape(1, -1, 1), (2, 1, 1))
    return act(agent, x, explore=False)[0]


def test_value_of_a_constant_reward(train_probe):
    np.testing.assert_allclose(values(train_probe("ValueOnly"), 0.0), 1.0, atol=0.05)


def test_value_follows_the_observation(train_probe):
    np.testing.assert_allclose(values(train_probe("RewardByObs"), -1.0, 1.0), [[-1, 1]] * 2, atol=0.1)


def test_value_is_discounted_over_a_delay(train_probe):
    np.testing.assert_allclose(values(train_probe("DelayedReward"), 0.0, 1.0), [[0.9, 1.0]] * 2, atol=0.05)


def test_truncation_bootstraps(train_probe):
    # 1 + 0.9 + 0.81 + ... = 10, although every episode is cut after three steps
    np.testing.assert_allclose(values(train_probe("Truncated", 16000), 0.0), 10.0, atol=0.5)


def test_action_that_pays(train_probe):
    assert (greedy(train_probe("RewardByAction"), 0.0) == 1).all()


def test_action_that_matches_the_observation(train_probe):
    assert (greedy(train_probe("RewardByActionAndObs"), -1.0, 1.0) == [[0, 1]] * 2).all()


def test_credit_over_two_steps(train_probe):
    assert (greedy(train_probe("TwoStepCredit"), 0.0)[:, 0] == 1).all()


@pytest.mark.parametrize("train_probe", ["ppo"], indirect=True)
def test_shared_network_and_value_clipping(train_probe):
    agent = train_probe("RewardByActionAndObs", 4000, "agent.share_network=true", "agent.vf_clip_coef=0.5")
    assert (greedy(agent, -1.0, 1.0) == [[0, 1]] * 2).all()


@pytest.mark.parametrize("train_probe", ["ppo"], indirect=True)
@pytest.mark.parametrize("overrides", [[], ["agent.network=mlp", "agent.normalize_obs=true"]])
def test_action_that_an_image_shows(train_probe, overrides):
    agent = train_probe("BrightSide", 1000, "agent.share_network=true", "agent.lr=1e-3", *overrides)
    env = gymnasium.make("probes:BrightSide-v0").unwrapped
    env.reset(seed=0)
    images, sides = [], []
    for _ in range(20):
        images.append(env.reset()[0])
        sides.append(int(env.coin > 0))
    assert (act(agent, np.stack([images, images]), explore=False)[0] == sides).all()
