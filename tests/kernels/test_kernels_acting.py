"""Acting, and whole rollouts, in kernels against the same step by step in numpy."""

import numpy as np
import pytest
import torch

from rllab import envs
from rllab.config import EnvConfig
from rllab.kernels import build
from rllab.training.sessions import Sessions
from rllab.training.walk import InOneCall, StepByStep

pytestmark = pytest.mark.skipif(build.describe().startswith("none"), reason="no compiler, or an old processor")

SETTINGS = {
    "ppo": ["agent=ppo", "agent.num_steps=40", "agent.num_minibatches=1"],
    "ppo-normalised": ["agent=ppo", "agent.num_steps=40", "agent.num_minibatches=1", "agent.normalize_obs=true"],
    "a2c": ["agent=a2c", "agent.num_steps=40"],
    "reinforce": ["agent=reinforce", "agent.num_steps=40"],
    "dqn": ["agent=dqn", "agent.train_freq=40", "agent.learning_starts=100", "agent.epsilon=linear:1:0:1"],
    "dueling": ["agent=dqn", "agent.train_freq=7", "agent.dueling=true", "agent.buffer_size=200", "agent.epsilon=0.2"],
    "qrdqn": ["agent=qrdqn", "agent.train_freq=40", "agent.learning_starts=100", "agent.epsilon=0.5"],
}
MANY = 5


def make_sessions(load_config, *, kernels, env="CartPole-v1", agent="ppo"):
    overrides = ["env=gymnasium", f"env.id={env}", "env.backend=native", "env.num_envs=3", "env.max_frame=2400"]
    overrides += ["meta.max_session=2", "tuned=none", f"meta.kernels={'auto' if kernels else 'off'}"]
    cfg = load_config(*overrides, *SETTINGS[agent], "agent.hidden=[16,16]")
    sessions = Sessions(cfg, envs.inspect(EnvConfig(id=env)), range(2))
    sessions.begin()
    return sessions


def collected(sessions, num_steps):
    """Everything that is in the buffer, and the episodes that ended."""
    ended, step = [], 0
    while step < num_steps:
        walked = sessions.walk(min(num_steps - step, 40 - step % 40))
        ended += [(step + at, *rest) for at, *rest in walked.ended]
        step += walked.num_steps
    return sessions.buffer.state_dict()["arrays"], ended


@pytest.mark.parametrize("agent", SETTINGS)
@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_rollouts_are_those_of_step_by_step(load_config, agent, env):
    if env == "Pendulum-v1" and agent not in ("ppo", "ppo-normalised", "a2c", "reinforce"):
        pytest.skip("it has no choices")
    fast = make_sessions(load_config, kernels=True, env=env, agent=agent)
    slow = make_sessions(load_config, kernels=False, env=env, agent=agent)
    assert isinstance(fast.walk, InOneCall)
    assert isinstance(slow.walk, StepByStep)
    if "normalised" in agent:
        for each in (fast, slow):
            each.algorithm.net.obs_norm.update(
                torch.randn(2, 9, *each.envs.obs.shape[2:], generator=torch.Generator().manual_seed(0)),
                torch.ones(2, 9),
            )
    for num_steps in (40, 80, 40):
        (got, got_ended), (want, want_ended) = collected(fast, num_steps), collected(slow, num_steps)
        np.testing.assert_allclose(got_ended, want_ended, rtol=1e-5)
        for name, expected in want.items():
            np.testing.assert_allclose(got[name], expected, rtol=1e-4, atol=1e-4, err_msg=name)
        np.testing.assert_allclose(fast.envs.obs, slow.envs.obs, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(fast.envs.starts, slow.envs.starts)
    assert want_ended or env == "Pendulum-v1"


def test_greedy_actions_and_nan_are_those_of_numpy(load_config):
    for agent in ("ppo", "dqn", "dueling", "qrdqn"):
        fast, slow = (make_sessions(load_config, kernels=kernels, agent=agent) for kernels in (True, False))
        obs = np.random.default_rng(0).normal(size=(2, 50, 4)).astype(np.float32)
        starts = np.zeros(obs.shape[:2], bool)
        acted = [each.algorithm.act(obs, {}, starts, explore=False).action for each in (fast, slow)]
        np.testing.assert_array_equal(*acted)
        assert len(set(acted[0].ravel().tolist())) == 2
        for each in (fast, slow):
            each.algorithm.flat.data[1] = torch.nan
        acted = [each.algorithm.act(obs, {}, starts, explore=False).action for each in (fast, slow)]
        np.testing.assert_array_equal(*acted)


def test_what_does_not_fit_acts_as_before(load_config):
    cfg = load_config("agent=dqn", "agent.exploration=boltzmann", "env=cartpole", "tuned=none")
    sessions = Sessions(cfg, envs.inspect(cfg.env), range(1))
    notes = sessions.begin()
    assert notes == ["kernels: no kernel for acting: agent.exploration is boltzmann; updates in C++"]
    assert isinstance(sessions.walk, StepByStep)
