"""What REINFORCE learns from, on hand-computed episodes that end in and between rollouts; and that sessions differ."""

import copy

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch

from acting import act
from rllab.algorithms import Task, reinforce
from rllab.training import trial

pytestmark = pytest.mark.usefixtures("no_picture")

BOX = gs.Box(-1, 1, (2,))
DISCRETE = gs.Discrete(2)


def make_agent(num_sessions=2, action_space=DISCRETE, num_envs=4, **overrides):
    cfg = reinforce.REINFORCEConfig(**{"num_steps": 4, "hidden": [8]} | overrides)
    spaces = gs.Box(-1, 1, (3,)), action_space
    return reinforce.REINFORCE(cfg, Task(*spaces, num_sessions, num_envs, 1000), seed=0)


def fill(agent, rng, reward_of_last=1.0, *, steps=4, buffer=None, ends=0.2):
    """`ends`: how likely an episode ends in a step, and in which sessions."""
    buffer, shape = buffer or agent.make_buffer(), (agent.task.num_sessions, agent.task.num_envs)
    for _ in range(steps):
        obs = rng.normal(size=(*shape, 3)).astype(np.float32)
        action, extras = act(agent, obs, explore=True)
        reward = rng.normal(size=shape)
        reward[-1] *= reward_of_last
        done = rng.random(shape) < np.reshape(ends, (-1, 1))
        buffer.add(obs, action, reward, done, np.zeros(shape, bool), obs, extras)
    return buffer


def play(buffer, rewards, *, terminated=(), truncated=()):
    """One env: vector steps with these rewards; `terminated` and `truncated` are indices among them."""
    obs, action = np.zeros((1, 1, 3), np.float32), np.zeros((1, 1), np.int64)
    for t, reward in enumerate(rewards):
        ends = np.full((1, 1), t in terminated), np.full((1, 1), t in truncated)
        buffer.add(obs, action, np.full((1, 1), reward, np.float32), *ends, obs, {})


def learned_returns(agent, buffer, value=0.0):
    """Return-to-go less `value` by row, None where the row is not learned from."""
    advantage, learned = agent._advantage(buffer.tensors("cpu"), torch.full((1, 9), value))
    return [a if used else None for a, used in zip(advantage[0].tolist(), learned[0].tolist(), strict=True)]


def test_an_episode_is_learned_from_once_it_has_ended_and_only_then():
    # gamma 1/2. Episodes: 1, 2 | reset, 4, 8, 16 | reset, 2 ... The first rollout of four steps sees the end of the
    # first one only: 1 + 2/2 = 2 and 2. The second sees the end of the second, whose first row lies before it.
    agent = make_agent(1, num_envs=1, gamma=0.5)
    buffer = agent.make_buffer()
    play(buffer, [1, 2, 0, 4], terminated=[1])
    nothing = [None] * 4  # came before
    assert learned_returns(agent, buffer) == [*nothing, 2.0, 2.0, None, None]
    play(buffer, [8, 16, 0, 2], terminated=[1])
    assert learned_returns(agent, buffer) == [None, None, None, 4 + 8 / 2 + 16 / 4, 8 + 16 / 2, 16.0, None, None]
    play(buffer, [2, 2, 2, 2])
    assert learned_returns(agent, buffer) == [None] * 8  # no episode has ended: nothing to learn
    play(buffer, [2, 2, 4, 0], terminated=[2])
    # it began with the 2 at the end of the second rollout; kept are the third and the fourth: 2 + 2/2 + ... + 4/64
    assert learned_returns(agent, buffer) == [4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, None]


def test_a_truncated_episode_counts_on_with_the_baseline():
    # gamma 1/2, V = 8: 2 + 4/2 + 8/4 - 8 = -2 and 4 + 8/2 - 8 = 0. Terminated: 2 + 4/2 - 8 = -4 and 4 - 8 = -4
    for ends, expected in (({"truncated": [1]}, [-2.0, 0.0]), ({"terminated": [1]}, [-4.0, -4.0])):
        agent = make_agent(1, num_envs=1, gamma=0.5)
        buffer = agent.make_buffer()
        play(buffer, [2, 4, 0, 9], **ends)
        assert learned_returns(agent, buffer, value=8.0)[4:6] == expected


def test_without_a_baseline_returns_are_plain_and_the_value_network_stays():
    agent = make_agent(1, num_envs=1, gamma=0.5, baseline=False, normalize_advantage=False, vf_coef=1.0)
    before = copy.deepcopy(agent.net.state_dict())
    buffer = agent.make_buffer()
    play(buffer, [2, 4, 0, 9], truncated=[1])
    agent.net.critic_head.bias_0.data.fill_(100.0)
    before["critic_head.bias_0"].fill_(100.0)
    metrics = agent.update(buffer, 100)
    # both actions are as likely as the fresh policy says; returns 2 + 4/2 = 4 and 4: mean of -log p * 4
    outputs = agent_log_prob(before, agent, buffer)
    torch.testing.assert_close(metrics["train/policy_loss"], -4.0 * outputs, rtol=1e-4, atol=1e-5)
    after = agent.net.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed
    assert all(name.startswith("actor") for name in changed)


def agent_log_prob(state, agent, buffer):
    """Log-probability of action 0 under the policy of `state`, [S]; all observations are equal."""
    net = copy.deepcopy(agent.net)
    net.load_state_dict(state)
    obs = torch.from_numpy(buffer.arrays["obs"])[-1]
    return net.policy(net.normalize(obs)).log_softmax(-1)[:, 0, 0]


@pytest.mark.parametrize("action_space", [DISCRETE, BOX])
def test_one_update_is_a_step_along_the_gradient_of_the_loss(action_space):
    """The loss written once more, session by session: a mean over what is learned from."""
    agent = make_agent(action_space=action_space, max_grad_norm=1e9, ent_coef=0.1, num_steps=8)
    net = copy.deepcopy(agent.net)
    buffer = fill(agent, np.random.default_rng(0), steps=8)
    agent.update(buffer, 100)

    rollout = buffer.tensors("cpu")
    x = rollout["obs"].transpose(0, 1).flatten(1, 2)
    value = net.critic_head(net.critic_torso(x)).squeeze(-1)
    advantage, learned = agent._advantage(rollout, value.detach())
    action = rollout["action"].transpose(0, 1).flatten(1, 2)
    log_prob, entropy = net.distribution.log_prob_entropy(net.policy(x)[:, :-4], action)
    loss = 0.0
    for s in range(2):
        rows = learned[s].bool()
        assert 0 < rows.sum() < rollout["valid"][:, s].sum()
        a = advantage[s, rows]
        error = value[s, :-4][rows] - (a + value.detach()[s, :-4][rows])
        loss = loss - (log_prob[s, rows] * (a - a.mean()) / a.std() + 0.1 * entropy[s, rows]).mean()
        loss = loss + 0.5 * 0.5 * error.square().mean()
    grads = torch.autograd.grad(loss, list(net.parameters()))
    for parameter, grad in zip(agent.net.parameters(), grads, strict=True):
        torch.testing.assert_close(parameter.grad, grad, rtol=1e-4, atol=1e-6)


def test_a_session_without_a_finished_episode_stands_still():
    agent = make_agent(2)
    agent.update(fill(agent, np.random.default_rng(0)), 100)  # so that Adam has momentum
    buffer = fill(agent, np.random.default_rng(1), ends=[0.3, 0.0])
    before = agent.flat.data.clone()
    metrics = agent.update(buffer, 200)
    assert not torch.equal(agent.flat.data[0], before[0])
    assert torch.equal(agent.flat.data[1], before[1])
    assert metrics["train/num_updates"] == [2, 1]


def test_gradients_of_one_session_do_not_move_another():
    parameters = []
    for scale in (1.0, 100.0):  # only the last session's rewards differ
        agent = make_agent(3)
        agent.update(fill(agent, np.random.default_rng(0), scale), 100)
        parameters.append(agent.flat.data.clone())
    assert torch.equal(parameters[0][:2], parameters[1][:2])
    assert not torch.equal(parameters[0][2], parameters[1][2])


def test_normaliser_takes_each_row_in_once():
    agent = make_agent(2, normalize_obs=True)
    rng, buffer, seen = np.random.default_rng(0), agent.make_buffer(), np.zeros(2)
    for frame in (100, 200, 300):
        agent.update(fill(agent, rng, buffer=buffer), frame)
        seen += buffer.arrays["valid"][4:8].sum((0, 2))
        assert agent.net.obs_norm.count.flatten().tolist() == seen.tolist()


@pytest.mark.parametrize("action_space", [DISCRETE, BOX])
def test_goes_on_from_the_middle_of_a_rollout(action_space):
    first, second = (make_agent(2, action_space, normalize_obs=True) for _ in range(2))
    buffers, rng = [first.make_buffer(), second.make_buffer()], np.random.default_rng(0)
    for frame in (100, 200):
        first.update(fill(first, rng, buffer=buffers[0]), frame)
    fill(first, rng, steps=2, buffer=buffers[0])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    buffers[1].load_state_dict(copy.deepcopy(buffers[0].state_dict()))
    for agent, buffer in zip((first, second), buffers, strict=True):
        agent.update(fill(agent, np.random.default_rng(1), steps=2, buffer=buffer), 300)
    assert torch.equal(first.flat.data, second.flat.data)


TRACE = [0.282, 0.2508]


def test_determinism_trace(load_config):
    """How far four updates move each session's parameters on CartPole; see tests/test_ppo.py."""
    overrides = ["agent=reinforce", "tuned=none", "agent.num_steps=64", "meta.max_session=2", "env.max_frame=2048"]
    made = trial.Trial(*trial.check(load_config(*overrides)))
    start = made.crew.algorithm.flat.data.clone()
    made.run()
    moved = (made.crew.algorithm.flat.data - start).norm(dim=1)
    torch.testing.assert_close(moved, torch.tensor(TRACE), rtol=1e-2, atol=0)
