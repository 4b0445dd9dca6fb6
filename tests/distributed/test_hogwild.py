"""One policy in shared memory: nothing that is learned stays private, whatever the algorithm."""

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from acting import act
from rllab import algorithms
from rllab.algorithms import Task
from rllab.distributed import hogwild

OBS = gs.Box(-1.0, 1.0, (3,))
AGENTS = [name for name in algorithms.names() if name != "random"]
NUM_STEPS, NUM_ENVS = 8, 4
PRIVATE = {
    "sampler": "random streams, the noise of a rollout, how much a worker has acted",
    "action_streams": "random streams",
    "batch_streams": "random streams",
    "minibatch_streams": "random streams",
    "discounted_return": "of the sub-envs that a worker steps",
    "actor_metrics": "what was seen last, to be logged",
    "actor_loss": "what was seen last, to be logged",
    "next_action": "what a worker does next",
    "num_updates": "how much a worker has done",
    "num_acted": "how much a worker has done",
    "frame": "the run's, told anew at each update",
}
"""Parts of an algorithm's state that belong to a worker, and why."""


def make(name, seed):
    algorithm = algorithms.find(name)
    settings = {"hidden": [8], "num_steps": NUM_STEPS, "learning_starts": 16, "batch_size": 16, "buffer_size": 200}
    settings |= {"critic_hidden": [8], "normalize_obs": True, "normalize_reward": True, "target_period": 16, "tau": 0.5}
    known = {field: value for field, value in settings.items() if field in algorithm.Config.__dataclass_fields__}
    action_space = gs.Discrete(3) if gs.Discrete in algorithm.action_spaces else gs.Box(-1.0, 1.0, (2,))
    spaces = OBS, action_space
    return algorithm(algorithm.Config(**known), Task(*spaces, 1, NUM_ENVS, 10_000), seed=seed)


def learn(agent, steps=40):
    """Act, store and learn as the loop does, on noise."""
    rng = np.random.default_rng(0)
    buffer = agent.make_buffer()
    obs = rng.normal(size=(1, NUM_ENVS, 3)).astype(np.float32)
    for step in range(1, steps + 1):
        action, extras = act(agent, obs, explore=True)
        next_obs = rng.normal(size=obs.shape).astype(np.float32)
        done = rng.random((1, NUM_ENVS)) < 0.2
        buffer.add(obs, action, rng.normal(size=(1, NUM_ENVS)), done, np.zeros_like(done), next_obs, extras)
        if step % agent.rollout_steps == 0:
            agent.update(buffer, step * NUM_ENVS)
        obs = next_obs


def leaves(state, path=()):
    """Paths and values of everything in a nested state that is not private."""
    if isinstance(state, (dict, list, tuple)):
        items = state.items() if isinstance(state, dict) else enumerate(state)
        for name, value in items:
            if name not in PRIVATE:
                yield from leaves(value, (*path, name))
    elif state is not None:
        yield path, state


def assert_same(a, b):
    """All that is shared, and what they do, in torch and in numpy."""
    for path, value in leaves(a.state_dict()):
        assert torch.equal(value, dict(leaves(b.state_dict()))[path]), path
    obs = np.linspace(-1, 1, 30, dtype=np.float32).reshape(1, 10, 3)
    torch.testing.assert_close(a.policy(0)(torch.from_numpy(obs[0]))[0], b.policy(0)(torch.from_numpy(obs[0]))[0])
    np.testing.assert_array_equal(act(a, obs, explore=False)[0], act(b, obs, explore=False)[0])


@pytest.mark.parametrize("name", AGENTS)
def test_all_that_is_learned_or_runs_along_is_in_shared_memory(name):
    agent = make(name, seed=0)
    before = {path: value.clone() for path, value in leaves(agent.state_dict()) if isinstance(value, Tensor)}
    block = hogwild.share(agent)
    assert block.is_shared()
    learn(agent)
    found = dict(leaves(agent.state_dict()))
    assert found, name
    for path, value in found.items():
        assert isinstance(value, Tensor), f"{name}: {path} is no tensor, so no other worker sees it"
        inside = block.data_ptr() <= value.data_ptr() < block.data_ptr() + block.numel()
        assert inside, f"{name}: {path} is private"
    moved = {path[0] for path, value in found.items() if not torch.equal(value, before[path])}
    assert {"policy"} <= moved  # it has learned, in that memory


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("copies", [False, True])
def test_what_one_worker_learns_all_others_know(name, copies):
    learned, parent, first, second = (make(name, seed) for seed in range(4))
    learn(learned)
    parent.load_state_dict(learned.state_dict())  # a target that is another one than the network, and so on
    block = hogwild.share(parent)
    for worker in (first, second):
        hogwild.attach(worker, block, copies=copies)
        hogwild.pull(worker)
    assert_same(parent, learned)
    assert_same(parent, second)
    learn(first)
    if copies:  # until it has taken a step itself, or pulls
        hogwild.pull(second)
    assert_same(first, second)
    assert_same(first, parent)


def test_copies_stay_as_they_are_until_a_step_of_their_own():
    parent, first, second = (make("a2c", seed) for seed in range(3))
    block = hogwild.share(parent)
    for worker in (first, second):
        hogwild.attach(worker, block, copies=True)
        hogwild.pull(worker)
    before = second.flat.data.clone()
    learn(first, NUM_STEPS)
    assert torch.equal(second.flat.data, before)
    assert torch.equal(parent.flat.data, first.flat.data)
    start = parent.flat.data.clone()
    learn(second, NUM_STEPS)
    assert not torch.equal(parent.flat.data, start)
    assert torch.equal(second.flat.data, parent.flat.data)  # with what the first has learned


def test_sub_envs_of_a_worker_have_returns_of_their_own():
    parent, first, second = (make("ppo", seed) for seed in range(3))
    block = hogwild.share(parent)
    for worker in (first, second):
        hogwild.attach(worker, block, copies=False)
    learn(first)
    assert first.reward_norm.discounted_return.abs().sum() > 0
    assert (second.reward_norm.discounted_return == 0).all()
    assert torch.equal(first.reward_norm.var, second.reward_norm.var)


def test_an_algorithm_of_plain_torch_modules_is_shared_too():
    class Plain:
        shared = ("net", "target", "statistics")

        def __init__(self):
            self.net, self.target = nn.Linear(2, 3), nn.Linear(2, 3)
            self.statistics = torch.zeros(5, dtype=torch.float64)

    first, second = Plain(), Plain()
    block = hogwild.share(first)
    hogwild.attach(second, block, copies=False)
    first.statistics += 1
    with torch.no_grad():
        first.target.weight.fill_(7.0)
    assert (second.statistics == 1).all()
    assert (second.target.weight == 7).all()
    assert torch.equal(first.net.bias, second.net.bias)
