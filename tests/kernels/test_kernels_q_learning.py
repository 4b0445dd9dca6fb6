"""The kernel of DQN and QR-DQN against their losses in torch, which are the truth."""

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch

from rllab.algorithms import Task, dqn, qrdqn
from rllab.kernels import build

pytestmark = pytest.mark.skipif(build.describe().startswith("none"), reason="no compiler, or an old processor")

NUM_ENVS, OBS_SIZE = 2, 5
OPTIONS = [
    (dqn.DQN, {}),
    (dqn.DQN, {"hidden": [17, 84], "activation": "tanh", "max_grad_norm": 0.01}),
    (dqn.DQN, {"hidden": []}),
    (dqn.DQN, {"double": True, "loss": "mse", "n_step": 3}),
    (dqn.DQN, {"dueling": True, "gradient_steps": 3, "tau": 0.5, "target_period": 8}),
    (dqn.DQN, {"dueling": True, "double": True, "prioritized": True}),
    (dqn.DQN, {"prioritized": True, "per_beta": 0.7, "hidden": [40]}),
    (qrdqn.QRDQN, {"num_quantiles": 8}),
    (qrdqn.QRDQN, {"num_quantiles": 25, "hidden": [17], "n_step": 2}),
]


def make_agent(algorithm=dqn.DQN, *, kernel, num_sessions=2, **settings):
    sizes = {"hidden": [16, 32], "batch_size": 12, "learning_starts": 4, "buffer_size": 60, "train_freq": 4}
    config = algorithm.Config(**sizes | settings)
    task = Task(gs.Box(-np.inf, np.inf, (OBS_SIZE,)), gs.Discrete(3), num_sessions, NUM_ENVS, 10_000)
    agent = algorithm(config, task, seed=0)
    if kernel:
        assert agent.use_kernels()["updates"] is None
    return agent


def learn(agent, updates, *, scale_of_last=1.0):
    """Learn from the same noise, whoever learns: each session's from a generator of its own."""
    buffer = agent.make_buffer()
    rngs = [np.random.default_rng(session) for session in range(agent.task.num_sessions)]
    obs = np.stack([r.normal(size=(NUM_ENVS, OBS_SIZE)) for r in rngs]).astype(np.float32)
    for step in range(1, 4 * updates + 1):
        next_obs = np.stack([r.normal(size=(NUM_ENVS, OBS_SIZE)) for r in rngs]).astype(np.float32)
        action = np.stack([r.integers(3, size=NUM_ENVS) for r in rngs])
        reward = 2 * np.stack([r.normal(size=NUM_ENVS) for r in rngs])  # errors on both sides of 1
        reward[-1] *= scale_of_last
        ended = np.stack([r.random(NUM_ENVS) < 0.1 for r in rngs])
        buffer.add(obs, action, reward, ended, np.zeros_like(ended), next_obs, {})
        obs = next_obs
        if step % 4 == 0:
            metrics = agent.update(buffer, step * NUM_ENVS)
    return metrics


@pytest.mark.parametrize("num_sessions", [1, 3])
@pytest.mark.parametrize(("algorithm", "settings"), OPTIONS, ids=str)
def test_one_update_is_that_of_the_loss(algorithm, settings, num_sessions):
    plain, fast = (
        make_agent(algorithm, kernel=kernel, num_sessions=num_sessions, **settings) for kernel in (False, True)
    )
    expected, found = learn(plain, 1), learn(fast, 1)
    torch.testing.assert_close(fast.flat.data, plain.flat.data, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(fast.optimizer.exp_avg, plain.optimizer.exp_avg, rtol=1e-3, atol=1e-6)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("algorithm", "settings"), OPTIONS, ids=str)
def test_fifty_updates_are_those_of_the_loss(algorithm, settings):
    plain, fast = (make_agent(algorithm, kernel=kernel, **settings) for kernel in (False, True))
    learn(plain, 50)
    learn(fast, 50)
    assert (fast.flat.data - plain.flat.data).norm() / plain.flat.data.norm() < 1e-5


@pytest.mark.usefixtures("two_threads")
def test_a_session_does_not_depend_on_those_beside_it_nor_on_threads():
    alone, three = make_agent(kernel=True, num_sessions=1), make_agent(kernel=True, num_sessions=3)
    learn(alone, 3)
    learn(three, 3, scale_of_last=100.0)
    assert torch.equal(alone.flat.data[0], three.flat.data[0])


@pytest.mark.parametrize("where", ["flat", "target_flat"])
def test_nan_in_is_nan_out(where):
    agent = make_agent(kernel=True)
    getattr(agent, where).data[1] = torch.nan
    learn(agent, 1)
    assert agent.flat.data[1].isnan().any()
    assert agent.flat.data[0].isfinite().all()


def test_bytes_stay_in_torch():
    config = dqn.DQNConfig()
    agent = dqn.DQN(config, Task(gs.Box(0, 255, (4,), np.uint8), gs.Discrete(2), 1, 1, 100), seed=0)
    assert agent.use_kernels() == {"acting": None, "updates": "observations are uint8"}
