"""The mathematics of SAC's, TD3's, TQC's and CrossQ's updates, by hand."""

import copy
import functools

import gymnasium.spaces as gs
import pytest
import torch

from rllab import algorithms
from rllab.algorithms import Task, crossq, td3, tqc
from rllab.nets import tanh_gaussian
from rllab.nets.obs_net import Critics
from rllab.nets.soft_actions import ContinuousActions, DiscreteActions
from rllab.random.streams import Streams

ENT_COEF = torch.tensor([[0.1], [0.7]])  # of two sessions


class FixedCritics:
    """Critics whose values are known: ``[S, C, B, n]``, whatever the input."""

    def __init__(self, values):
        self.values = values

    def __call__(self, obs, told):
        return self.values


def soft_value(actions, outputs, noise, critics, obs, ent_coef):
    told, log_prob = actions.propose(outputs, noise)
    return actions.soft_value(critics(obs, told), log_prob, ent_coef)


def test_continuous_soft_value_by_hand():
    outputs, noise = torch.tensor([[[0.3, -0.5]], [[-1.0, 0.2]]]), torch.tensor([[[0.8]], [[-0.4]]])
    critics = FixedCritics(torch.tensor([[[[2.0]], [[1.0]]], [[[-3.0]], [[4.0]]]]))  # the least: 1 and -3
    value = soft_value(ContinuousActions(1), outputs, noise, critics, torch.zeros(2, 1, 3), ENT_COEF)
    log_prob = tanh_gaussian.sample_log_prob(outputs, noise)[1]
    torch.testing.assert_close(value, torch.tensor([[1.0], [-3.0]]) - ENT_COEF * log_prob)


def test_discrete_soft_value_by_hand():
    # probabilities 1/4 and 3/4, least values 1 and 2: 1.75 and 0.1 or 0.7 times the entropy 0.562335
    logits = torch.tensor([0.25, 0.75]).log().expand(2, 1, 2)
    critics = FixedCritics(torch.tensor([[1.0, 5.0], [3.0, 2.0]]).view(1, 2, 1, 2).expand(2, -1, -1, -1))
    args = (logits, torch.zeros(0), critics, torch.zeros(2, 1, 3), ENT_COEF)
    value = soft_value(DiscreteActions(2), *args)
    torch.testing.assert_close(value, torch.tensor([[1.75 + 0.0562335], [1.75 + 0.3936347]]))
    loss, entropy = DiscreteActions(2).actor_loss(*args)
    torch.testing.assert_close(loss, -value)
    torch.testing.assert_close(entropy, torch.full((2, 1), 0.5623351))


def make_case(actions):
    """Outputs of a policy, noise, critics and observations, in double precision."""
    streams = Streams(0, 2, "weights")
    options = {"num_told": actions.num_told, "hidden": [8], "generators": streams.generators}
    critics = Critics(gs.Box(-1, 1, (3,)), actions.num_values, num_critics=2, **options)
    noise = streams.normal(1, 5, actions.num_told)[0].double()
    outputs = streams.normal(1, 5, actions.num_outputs)[0].double().requires_grad_()
    return outputs, noise, critics.double(), streams.normal(1, 5, 3)[0].double(), ENT_COEF.double()


@pytest.mark.parametrize("actions", [ContinuousActions(2), DiscreteActions(3)])
def test_the_policys_loss_is_minus_the_soft_value(actions):
    case = make_case(actions)
    loss, value = actions.actor_loss(*case)[0], soft_value(actions, *case)
    torch.testing.assert_close(loss, -value)
    actual, expected = (torch.autograd.grad(x.sum(), case[0])[0] for x in (loss, -value))
    assert actual.any()
    torch.testing.assert_close(actual, expected)


def test_only_the_value_of_the_action_taken_learns():
    actions = DiscreteActions(3)
    _, _, critics, obs, _ = make_case(actions)
    taken = torch.tensor([[0, 1, 2, 2, 1], [2, 2, 0, 1, 0]])
    values = critics(obs, actions.told(taken))
    q = actions.taken(values, taken)
    (grad,) = torch.autograd.grad(q.sum(), values)
    expected = torch.nn.functional.one_hot(taken, 3).double().unsqueeze(1).expand(-1, 2, -1, -1)
    torch.testing.assert_close(grad, expected)
    for session, row in ((0, 1), (1, 4)):
        for critic in range(2):
            assert q[session, critic, row] == critics(obs)[session, critic, row, taken[session, row]]


def test_td3_smooths_the_target_policy_with_clipped_noise():
    action, noise = torch.tensor([0.0, 0.0, 0.9, -0.9]), torch.tensor([0.3, 2.0, 0.4, -2.0])
    torch.testing.assert_close(td3.smoothed(action, noise, 0.5), torch.tensor([0.3, 0.5, 1.0, -1.0]))


def make_agent(cls, **settings):
    spaces = gs.Box(-1, 1, (3,)), gs.Box(-1, 1, (2,))
    cfg = cls.Config(**{"hidden": [8], "batch_size": 4, "buffer_size": 8, "learning_starts": 0} | settings)
    return cls(cfg, Task(*spaces, 2, 1, 100), seed=0)


def minibatch(generator, rows=4):
    def normal(*shape):
        return torch.randn(2, rows, *shape, generator=generator)

    obs = {"obs": normal(3), "next_obs": normal(3), "action": normal(2).tanh()}
    return obs | {"reward": normal(), "discount": torch.tensor([[0.9, 0.9, 0.0, 0.81]] * 2)}


@pytest.mark.parametrize("agent", ["sac", "td3", "tqc", "crossq"])
def test_policy_and_critics_learn_apart(agent):
    """Neither loss leaves a gradient in the other network."""
    cls = algorithms.find(agent)
    made = make_agent(cls, **{"critic_hidden": [8]} if agent == "crossq" else {})
    batch = minibatch(torch.Generator().manual_seed(0))
    noise = () if agent == "td3" else (torch.zeros(2, 4, 2), ENT_COEF)
    made.flat.grad.fill_(7.0)
    made._critic_step(batch, *(noise or (0.2,)), 1e-3)
    assert (made.flat.grad == 7).all()
    assert made.critic_flat.grad.any()
    made.critic_flat.grad.fill_(7.0)
    made._actor_step(batch["obs"], *noise, 1e-3)
    assert (made.critic_flat.grad == 7).all()
    assert (made.flat.grad != 7).all()


class OneBatch:
    """A buffer that always gives the same batch."""

    num_frames = 100

    def __init__(self, batch):
        self.batch = batch

    def sample(self, batch_size, streams, *, gamma, n_step):
        return dict(self.batch)


def test_td3_delays_policy_and_targets():
    agent = make_agent(td3.TD3, policy_delay=2, tau=0.25, gradient_steps=1)
    buffer = OneBatch(minibatch(torch.Generator().manual_seed(0)))
    names = ("flat", "critic_flat", "target_flat", "target_critic_flat")
    start = {name: getattr(agent, name).data.clone() for name in names}
    agent.update(buffer, 1)
    moved = [name for name in names if not torch.equal(getattr(agent, name).data, start[name])]
    assert moved == ["critic_flat"]
    agent.update(buffer, 2)
    for name in ("flat", "critic_flat"):
        expected = 0.75 * start[name] + 0.25 * getattr(agent, name).data
        torch.testing.assert_close(getattr(agent, f"target_{name}").data, expected)
    assert not torch.equal(agent.flat.data, start["flat"])


def test_td3_gradient_of_the_policy_is_that_of_the_first_critic():
    agent = make_agent(td3.TD3)
    obs = minibatch(torch.Generator().manual_seed(0))["obs"]
    q = agent.critics(obs, torch.tanh(agent.net(obs)))[:, 0]
    expected = torch.autograd.grad(-q.mean((1, 2)).sum(), list(agent.net.parameters()))
    agent._actor_step(obs, 0.0)
    for parameter, grad in zip(agent.net.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, grad, atol=1e-6, rtol=1e-4)


def test_tqc_drops_the_top_of_all_critics_together():
    # two critics of three quantiles, one dropped for each: the two largest of all six go
    quantiles = torch.tensor([[[[1.0, 5.0, 9.0]], [[2.0, 3.0, 4.0]]]])
    torch.testing.assert_close(tqc.truncated(quantiles, 1), torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]))
    torch.testing.assert_close(tqc.truncated(quantiles, 0), torch.tensor([[[1.0, 2.0, 3.0, 4.0, 5.0, 9.0]]]))


def test_tqc_gradient_of_the_policy_is_that_of_its_loss():
    agent = make_agent(tqc.TQC, num_quantiles=5)
    obs = minibatch(torch.Generator().manual_seed(0))["obs"]
    noise = torch.randn(2, 4, 2, generator=torch.Generator().manual_seed(1))
    action, log_prob = tanh_gaussian.sample_log_prob(agent.net(obs), noise)
    loss = ENT_COEF * log_prob - agent.critics(obs, action).mean((1, 3))
    expected = torch.autograd.grad(loss.mean(1).sum(), list(agent.net.parameters()))
    metrics = agent._actor_step(obs, noise, ENT_COEF, 0.0)
    for parameter, grad in zip(agent.net.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, grad, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(metrics["train/actor_loss"], loss.mean(1).detach())


def test_crossq_normalises_present_and_next_actions_together():
    agent = make_agent(crossq.CrossQ, critic_hidden=[8], renorm_momentum=1.0)
    batch = minibatch(torch.Generator().manual_seed(0))
    noise = torch.randn(2, 4, 2, generator=torch.Generator().manual_seed(1))
    next_action, _ = tanh_gaussian.sample_log_prob(agent.net(batch["next_obs"]), noise)
    inputs = torch.cat(
        [torch.cat([batch["obs"], batch["action"]], -1), torch.cat([batch["next_obs"], next_action], -1)], 1
    )
    agent._critic_step(batch, noise, ENT_COEF, 1e-3)
    norm = agent.critics.net.mlp.norm_0
    for critic in range(2):  # both critics of a session see the same inputs
        torch.testing.assert_close(norm.mean[critic::2, 0], inputs.mean(1))
        torch.testing.assert_close(norm.var[critic::2, 0], inputs.var(1, correction=0))
    assert (agent.net.mlp.norm_0.count == 0).all()  # the policy's own statistics move when it learns
    agent._actor_step(batch["obs"], noise, ENT_COEF, 1e-3)
    torch.testing.assert_close(agent.net.mlp.norm_0.mean[:, 0], batch["obs"].mean(1))
    assert (norm.count == 1).all()  # and those of the critics do not


def test_crossq_bootstraps_from_the_critics_themselves_without_a_gradient(monkeypatch):
    agent = make_agent(crossq.CrossQ, critic_hidden=[8])
    batch = minibatch(torch.Generator().manual_seed(0))
    batch["discount"] = torch.zeros(2, 4)
    noise = torch.zeros(2, 4, 2)
    agent._critic_step(batch, noise, ENT_COEF, 0.0)
    without = agent.critic_flat.grad.clone()
    batch["reward"] = batch["reward"] - 0.9 * 5.0
    batch["discount"] = torch.full((2, 4), 0.9)
    monkeypatch.setattr(agent.critics, "forward", functools.partial(with_next_fixed, agent.critics))
    agent._critic_step(batch, noise, torch.zeros(2, 1), 0.0)
    torch.testing.assert_close(agent.critic_flat.grad, without)


def with_next_fixed(critics, obs, told, *, training):
    """The critics, but with 5 as the value of what comes next."""
    values = Critics.forward(critics, obs, told, training=training)
    return torch.cat([values[:, :, :4], torch.full_like(values[:, :, 4:], 5.0)], 2)


def test_crossq_gradients_are_those_of_its_losses():
    agent = make_agent(crossq.CrossQ, critic_hidden=[8], renorm_warmup=0)
    batch = minibatch(torch.Generator().manual_seed(0))
    obs = batch["obs"]
    noise = torch.randn(2, 4, 2, generator=torch.Generator().manual_seed(1))
    next_action, next_log_prob = tanh_gaussian.sample_log_prob(agent.net(batch["next_obs"]), noise)
    state = copy.deepcopy(agent.state_dict())  # running statistics move with every evaluation

    both = torch.cat([obs, batch["next_obs"]], 1), torch.cat([batch["action"], next_action.detach()], 1)
    q, next_q = agent.critics(*both, training=True).squeeze(-1).chunk(2, -1)
    next_value = next_q.amin(1) - ENT_COEF * next_log_prob
    target = (batch["reward"] + batch["discount"] * next_value).detach()
    loss = 0.5 * (q - target.unsqueeze(1)).square().mean(-1).sum()
    expected = torch.autograd.grad(loss, list(agent.critics.parameters()))
    agent.load_state_dict(state)
    agent._critic_step(batch, noise, ENT_COEF, 0.0)
    for parameter, grad in zip(agent.critics.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, grad, atol=1e-6, rtol=1e-4)

    state = copy.deepcopy(agent.state_dict())
    action, log_prob = tanh_gaussian.sample_log_prob(agent.net(obs, training=True), noise)
    loss = ENT_COEF * log_prob - agent.critics(obs, action).squeeze(-1).amin(1)
    expected = torch.autograd.grad(loss.mean(1).sum(), list(agent.net.parameters()))
    agent.load_state_dict(state)
    agent._actor_step(obs, noise, ENT_COEF, 0.0)
    for parameter, grad in zip(agent.net.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, grad, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(agent.actor_metrics["train/actor_loss"], loss.mean(1).detach())
