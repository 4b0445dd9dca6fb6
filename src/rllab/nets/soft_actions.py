"""Kinds of actions of maximum-entropy agents: what critics are asked, what a value is, what the policy learns."""

import math
from typing import Any

import gymnasium.spaces as gs
import torch
from torch import Tensor

from rllab.functional.streams import Streams
from rllab.nets import tanh_gaussian
from rllab.nets.box import check_bounded_box, uniform_actions
from rllab.nets.critics import InputVJP
from rllab.nets.distributions import Categorical
from rllab.nets.vjp import Pullback


class ContinuousActions:
    """Squashed normal actions in [-1, 1] (Haarnoja et al. 2018), of which the critics are told."""

    num_values = 1
    """Outputs of a critic."""

    def __init__(self, num_actions: int) -> None:
        self.num_inputs = num_actions  # of a critic, besides the observation
        self.num_outputs = 2 * num_actions  # of the policy
        self.target_entropy = -float(num_actions)

    def random(self, streams: Streams, num_envs: int) -> Tensor:
        """Uniform actions ``[S, N, ...]``."""
        return uniform_actions(streams, num_envs, self.num_inputs)

    def noise(self, streams: Streams, steps: int, rows: int) -> Tensor:
        """What `sample` and `propose` need, ``[steps, S, rows, ...]``."""
        return streams.normal(steps, rows, self.num_inputs)

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Actions drawn from the policy, given its outputs."""
        return tanh_gaussian.sample(outputs, noise)

    def mode(self, outputs: Tensor) -> Tensor:
        """Greedy actions."""
        return tanh_gaussian.mode(outputs)

    def critic_input(self, obs: Tensor, action: Tensor) -> Tensor:
        """What a critic is asked about actions ``[S, B, ...]``."""
        return torch.cat([obs, action], -1)

    def propose(self, obs: Tensor, outputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """What a critic is asked about what the policy would do, and its log-probability ``[S, B]``."""
        action, log_prob, _ = tanh_gaussian.vjp(outputs, noise)
        return self.critic_input(obs, action), log_prob

    def soft_value(self, values: Tensor, log_prob: Tensor, ent_coef: Tensor) -> Tensor:
        """Value of what was proposed, entropy included, by the most pessimistic critic, ``[S, B]``."""
        return values.squeeze(-1).amin(1) - ent_coef * log_prob

    def taken(self, values: Tensor, action: Tensor) -> tuple[Tensor, Pullback]:  # noqa: ARG002 - critics were told
        """Values of the actions that were taken, ``[S, C, B]``, and the pullback of their gradient to all values."""
        return values.squeeze(-1), lambda grad: grad.unsqueeze(-1)

    def actor_loss(
        self, outputs: Tensor, noise: Tensor, critics: InputVJP, obs: Tensor, ent_coef: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Loss and entropy of each row, ``[S, B]``, and the gradient of the mean loss for the policy's outputs."""
        action, log_prob, pullback = tanh_gaussian.vjp(outputs, noise)
        values, critic_pullback = critics.input_vjp(self.critic_input(obs, action))
        q, which = values.squeeze(-1).min(1, keepdim=True)  # [S, 1, B]
        share = 1.0 / obs.shape[1]
        grad_values = torch.zeros_like(values).scatter_(1, which.unsqueeze(-1), -share)
        grad_action = critic_pullback(grad_values)[..., obs.shape[2] :]
        grad = pullback(grad_action, (ent_coef * share).expand_as(log_prob))
        return ent_coef * log_prob - q.squeeze(1), -log_prob, grad


class DiscreteActions:
    """One choice of n (Christodoulou 2019). A critic has a value for each, so expectations over actions are exact."""

    num_inputs = 0

    def __init__(self, num_actions: int) -> None:
        self.num_outputs = self.num_values = num_actions
        self.target_entropy = 0.5 * math.log(num_actions)
        self.distribution = Categorical(num_actions)

    def random(self, streams: Streams, num_envs: int) -> Tensor:
        return self.mode(streams.uniform(1, num_envs, self.num_outputs)[0])

    def noise(self, streams: Streams, steps: int, rows: int) -> Tensor:
        return self.distribution.noise(streams, steps, rows)

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        return self.mode(outputs + noise)

    def mode(self, outputs: Tensor) -> Tensor:
        return outputs.argmax(-1)

    def critic_input(self, obs: Tensor, action: Tensor) -> Tensor:  # noqa: ARG002 - a critic values all of them
        return obs

    def propose(self, obs: Tensor, outputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002 - likewise
        """Log-probabilities of all actions, ``[S, B, n]``."""
        return obs, outputs.log_softmax(-1)

    def soft_value(self, values: Tensor, log_prob: Tensor, ent_coef: Tensor) -> Tensor:
        return (log_prob.exp() * (values.amin(1) - ent_coef.unsqueeze(-1) * log_prob)).sum(-1)

    def taken(self, values: Tensor, action: Tensor) -> tuple[Tensor, Pullback]:
        index = action[:, None, :, None].expand(*values.shape[:-1], 1)
        q = values.gather(-1, index).squeeze(-1)
        return q, lambda grad: torch.zeros_like(values).scatter_(-1, index, grad.unsqueeze(-1))

    def actor_loss(
        self, outputs: Tensor, noise: Tensor, critics: InputVJP, obs: Tensor, ent_coef: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        x, log_prob = self.propose(obs, outputs, noise)
        probs = log_prob.exp()
        each = ent_coef.unsqueeze(-1) * log_prob - critics(x).amin(1)  # [S, B, n]
        loss = (probs * each).sum(-1)
        # the expectation of d log p / d logit is 0, so that ent_coef adds no term of its own
        grad = probs * (each - loss.unsqueeze(-1)) / obs.shape[1]
        return loss, -(probs * log_prob).sum(-1), grad


def make_actions(space: gs.Space[Any]) -> ContinuousActions | DiscreteActions:
    """Raises `UnfitError` for a box without bounds."""
    if isinstance(space, gs.Discrete):
        return DiscreteActions(int(space.n))
    check_bounded_box(space)
    return ContinuousActions(math.prod(space.shape or ()))
