"""What holds for every algorithm that comes with rllab."""

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch

from acting import act
from rllab import algorithms
from rllab.algorithms import Task

NUM_SESSIONS, NUM_ENVS = 3, 4
SMALL = {"hidden": [8], "critic_hidden": [8], "num_steps": 8, "num_minibatches": 2}
SMALL |= {"learning_starts": 16, "batch_size": 16, "buffer_size": 200, "normalize_obs": True, "target_kl": 0.01}


def make(name):
    algorithm = algorithms.find(name)
    config = algorithm.Config(**{k: v for k, v in SMALL.items() if k in algorithm.Config.__dataclass_fields__})
    spaces = gs.Box(-1, 1, (3,)), gs.Discrete(3) if gs.Discrete in algorithm.action_spaces else gs.Box(-1, 1, (2,))
    return algorithm(config, Task(*spaces, NUM_SESSIONS, NUM_ENVS, 1000), seed=0)


@pytest.mark.parametrize("name", algorithms.names())
def test_metrics_are_a_number_for_each_session_or_for_all_and_hold_no_graph(name):
    agent, rng, metrics = make(name), np.random.default_rng(0), {}
    buffer, shape = agent.make_buffer(), (NUM_SESSIONS, NUM_ENVS)
    for step in range(1, 33):
        obs = rng.normal(size=(*shape, 3)).astype(np.float32)
        action, extras = act(agent, obs, explore=True)
        done = rng.random(shape) < 0.2
        buffer.add(obs, action, rng.normal(size=shape), done, np.zeros(shape, bool), obs, extras)
        if step % agent.rollout_steps == 0:
            metrics |= agent.update(buffer, step * NUM_ENVS)
    assert metrics or name == "random"
    for key, value in metrics.items():
        if isinstance(value, torch.Tensor):
            assert value.shape == (NUM_SESSIONS,), key
            assert not value.requires_grad, key
        assert torch.as_tensor(value).isfinite().all(), key
