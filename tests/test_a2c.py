"""The mathematics of A2C's update on hand-computed rollouts, and that no session touches another."""

import copy

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch

from acting import act
from rllab.algorithms import Task, a2c
from rllab.functional.policy_gradient import actor_critic_loss
from rllab.host import memory
from rllab.training import trial

pytestmark = pytest.mark.usefixtures("no_picture")

BOX = gs.Box(-1, 1, (2,))
DISCRETE = gs.Discrete(2)


def make_agent(num_sessions=2, action_space=DISCRETE, num_envs=4, **overrides):
    cfg = a2c.A2CConfig(**{"num_steps": 6, "hidden": [8]} | overrides)
    spaces = gs.Box(-1, 1, (3,)), action_space
    return a2c.A2C(cfg, Task(*spaces, num_sessions, num_envs, 1000), seed=0)


def fill(agent, rng, reward_of_last=1.0, *, steps=6, buffer=None):
    buffer, shape = buffer or agent.make_buffer(), (agent.task.num_sessions, agent.task.num_envs)
    for _ in range(steps):
        obs = rng.normal(size=(*shape, 3)).astype(np.float32)
        action, extras = act(agent, obs, explore=True)
        reward = rng.normal(size=shape)
        reward[-1] *= reward_of_last
        terminated, truncated = rng.random((2, *shape)) < 0.15
        buffer.add(obs, action, reward, terminated, truncated, obs, extras)
    return buffer


def test_loss_and_its_gradient_by_hand():
    # rows weigh 1/4 and 3/4. -log p A: -(-1 * 2) = 2 and -(-2 * -1) = -2; half the squared errors: 1/2 and 9/2
    weight, advantage = torch.tensor([[0.25, 0.75]]), torch.tensor([[2.0, -1.0]])
    inputs = torch.tensor([[-1.0, -2.0]]), torch.tensor([[1.0, 3.0]]), torch.tensor([[-1.0, 3.0]])
    log_prob, entropy, error = (x.requires_grad_() for x in inputs)
    loss, metrics = actor_critic_loss(log_prob, entropy, advantage, error, weight, ent_coef=0.1, vf_coef=2.0)
    assert {name: x.tolist() for name, x in metrics.items()} == {
        "train/policy_loss": [-1.0],
        "train/value_loss": [3.5],
        "train/entropy": [2.5],
    }
    torch.testing.assert_close(loss, torch.tensor([-1.0 + 2.0 * 3.5 - 0.1 * 2.5]))
    gradients = torch.autograd.grad(loss, [log_prob, entropy, error])
    # of log p: -A, of the entropy -0.1, of the error twice the error; each times the row's weight
    for gradient, expected in zip(gradients, ([-0.5, 0.75], [-0.025, -0.075], [-0.5, 4.5]), strict=True):
        torch.testing.assert_close(gradient, torch.tensor([expected]))


@pytest.mark.parametrize("gae_lambda", [1.0, 0.5])
def test_advantages_by_hand(gae_lambda):
    # One session, one env, gamma 1/2, V = 4 everywhere. Rewards 1, 2, (reset), 3, 5, 7; row 1 is truncated, row 4
    # terminated. By rows, with lambda 1: the n-step return less V; row 5 only resets.
    #   0: 1 + 2/2 + 4/4 - 4 = -1      1: 2 + 4/2 - 4 = 0 (truncated: V of the successor counts)
    #   3: 3 + 5/2       - 4 = 1.5     4: 5       - 4 = 1 (terminated: it does not)
    # with lambda 1/2 a row takes 1/4 of the next one's advantage: delta_0 = 1 + 2 - 4 = -1, and -1 + 0 / 4;
    # delta_3 = 3 + 2 - 4 = 1, and 1 + 1/4
    agent = make_agent(1, num_envs=1, gamma=0.5, gae_lambda=gae_lambda)
    flags = torch.zeros(2, 6, 1, 1, dtype=torch.bool)
    flags[0, 4], flags[1, 1] = True, True
    reward = torch.tensor([1.0, 2.0, 9.0, 3.0, 5.0, 7.0]).view(6, 1, 1)
    rollout = {"reward": reward, "terminated": flags[0], "truncated": flags[1]}
    advantage = agent._advantage(rollout, torch.full((1, 7), 4.0))
    expected = {1.0: [-1.0, 0.0, 1.5, 1.0], 0.5: [-1.0, 0.0, 1.25, 1.0]}[gae_lambda]
    assert advantage[0, [0, 1, 3, 4]].tolist() == expected


@pytest.mark.parametrize("action_space", [DISCRETE, BOX])
@pytest.mark.parametrize("overrides", [{}, {"share_network": True, "normalize_advantage": True, "optimizer": "adam"}])
def test_one_update_is_a_step_along_the_gradient_of_the_loss(action_space, overrides):
    """The loss written once more, session by session: a mean over valid rows."""
    agent = make_agent(action_space=action_space, max_grad_norm=1e9, ent_coef=0.1, **overrides)
    expected = copy.deepcopy(agent.net)
    buffer = fill(agent, np.random.default_rng(0))
    agent.update(buffer, 100)

    rollout = buffer.tensors("cpu")
    x = rollout["obs"].transpose(0, 1).flatten(1, 2)
    value = expected.critic_head(expected.critic_torso(x)).squeeze(-1)
    advantage = agent._advantage(rollout, value.detach())
    returns, value = advantage + value.detach()[:, :24], value[:, :24]
    valid = rollout["valid"].transpose(0, 1).flatten(1)
    assert (~valid).any()
    distribution = expected.distribution
    action = rollout["action"].transpose(0, 1).flatten(1, 2)
    log_prob, entropy = distribution.log_prob_entropy(expected.policy(x)[:, :24], action)
    loss = 0.0
    for s in range(2):
        rows = valid[s]
        a = advantage[s, rows]
        if agent.config.normalize_advantage:
            a = (a - a.mean()) / a.std()
        loss = loss - (log_prob[s, rows] * a + 0.1 * entropy[s, rows]).mean()
        loss = loss + 0.5 * 0.5 * (value[s, rows] - returns[s, rows]).square().mean()
    grads = torch.autograd.grad(loss, list(expected.parameters()))
    for parameter, grad in zip(agent.net.parameters(), grads, strict=True):
        torch.testing.assert_close(parameter.grad, grad, rtol=1e-4, atol=1e-6)


def test_gradients_of_one_session_do_not_move_another():
    parameters = []
    for scale in (1.0, 100.0):  # only the last session's rewards differ
        agent = make_agent(3, normalize_reward=True, normalize_advantage=True)
        agent.update(fill(agent, np.random.default_rng(0), scale), 100)
        parameters.append(agent.flat.data.clone())
    assert torch.equal(parameters[0][:2], parameters[1][:2])
    assert not torch.equal(parameters[0][2], parameters[1][2])


def test_rows_that_only_reset_are_never_learned_from():
    learned = []
    for garbage in (0.0, 1e3):
        agent = make_agent()
        buffer = fill(agent, np.random.default_rng(1))
        reset = ~buffer.arrays["valid"][:-1]
        assert reset.any()
        buffer.arrays["reward"][reset] = garbage
        agent.update(buffer, 100)
        learned.append(agent.flat.data.clone())
    assert torch.equal(*learned)


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam"])
@pytest.mark.parametrize("action_space", [DISCRETE, BOX])
def test_goes_on_from_the_middle_of_a_rollout(optimizer, action_space):
    normalize = {"normalize_obs": True, "normalize_reward": True}
    first, second = (make_agent(2, action_space, optimizer=optimizer, **normalize) for _ in range(2))
    buffers = [first.make_buffer(), second.make_buffer()]
    rng = np.random.default_rng(0)
    first.update(fill(first, rng, buffer=buffers[0]), 100)
    fill(first, rng, steps=2, buffer=buffers[0])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    buffers[1].load_state_dict(copy.deepcopy(buffers[0].state_dict()))
    for agent, buffer in zip((first, second), buffers, strict=True):
        agent.update(fill(agent, np.random.default_rng(1), steps=4, buffer=buffer), 200)
    assert torch.equal(first.flat.data, second.flat.data)


def test_schedules_reach_the_optimiser():
    agent = make_agent(1, lr="linear:1e-2:0")
    start = agent.flat.data.clone()
    metrics = agent.update(fill(agent, np.random.default_rng(0)), 1000)  # the end of the budget: a rate of 0
    assert metrics["train/lr"] == 0
    assert torch.equal(agent.flat.data, start)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ({"num_steps": 0}, "agent.num_steps: got 0; write an integer of at least 1"),
        ({"gae_lambda": 1.5}, "agent.gae_lambda: got 1.5; write a number from 0 to 1, e.g. 0.95"),
        ({"optimizer_eps": 0.0}, "agent.optimizer_eps: got 0.0; write a number above 0"),
    ],
)
def test_values_out_of_range_are_refused(overrides, line):
    with pytest.raises(ValueError, match=f"^{line}$"):
        a2c.A2CConfig(**overrides)


def test_a_rollout_that_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 2**30)
    with pytest.raises(ValueError, match=r"^agent\.num_steps: got 1000000, .* write agent\.num_steps=\d+, or less"):
        a2c.A2C.check(a2c.A2CConfig(num_steps=1_000_000), Task(BOX, DISCRETE, 4, 8, 10**9))


TRACE = [0.6348, 1.0629]


def test_determinism_trace(load_config):
    """How far six updates move each session's parameters on CartPole; see tests/test_ppo.py."""
    made = trial.Trial(
        *trial.check(load_config("agent=a2c", "tuned=none", "meta.max_session=2", "env.max_frame=240")), None
    )
    start = made.crew.algorithm.flat.data.clone()
    made.run()
    moved = (made.crew.algorithm.flat.data - start).norm(dim=1)
    torch.testing.assert_close(moved, torch.tensor(TRACE), rtol=1e-2, atol=0)
