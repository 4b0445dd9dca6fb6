"""Kinds of actions of maximum-entropy agents: what critics are asked, what a value is, what the policy learns."""

import math
from typing import Any

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.nets import tanh_gaussian
from rllab.nets.distributions import Categorical
from rllab.nets.obs_net import ObsNet
from rllab.nets.spaces import check_bounded_box
from rllab.random.noise import uniform_actions
from rllab.random.streams import Streams


class ContinuousActions:
    """Squashed normal actions in [-1, 1] (Haarnoja et al. 2018), of which the critics are told."""

    num_values = 1
    """Outputs of a critic."""

    def __init__(self, num_actions: int) -> None:
        self.num_told = num_actions  # to a critic, beside the observation
        self.num_outputs = 2 * num_actions  # of the policy
        self.target_entropy = -float(num_actions)

    def random(self, streams: Streams, num_envs: int) -> Tensor:
        """Uniform actions ``[S, N, ...]``."""
        return uniform_actions(streams, num_envs, self.num_told)

    def noise(self, streams: Streams, steps: int, rows: int) -> Tensor:
        """What `sample` and `propose` need, ``[steps, S, rows, ...]``."""
        return streams.normal(steps, rows, self.num_told)

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Actions drawn from the policy, given its outputs."""
        return tanh_gaussian.sample(outputs, noise)

    def mode(self, outputs: Tensor) -> Tensor:
        """Greedy actions."""
        return tanh_gaussian.mode(outputs)

    def told(self, action: Tensor) -> Tensor | None:
        """What critics are told of actions ``[S, B, ...]``: all of them, or nothing if they value every choice."""
        return action

    def propose(self, outputs: Tensor, noise: Tensor) -> tuple[Tensor | None, Tensor]:
        """What critics are told of what the policy would do, and its log-probability ``[S, B]``."""
        return tanh_gaussian.sample_log_prob(outputs, noise)

    def soft_value(self, values: Tensor, log_prob: Tensor, ent_coef: Tensor) -> Tensor:
        """Value of what was proposed, entropy included, by the most pessimistic critic, ``[S, B]``."""
        return values.squeeze(-1).amin(1) - ent_coef * log_prob

    def taken(self, values: Tensor, action: Tensor) -> Tensor:  # noqa: ARG002 - critics were told
        """Values of the actions that were taken, ``[S, C, B]``."""
        return values.squeeze(-1)

    def actor_loss(
        self, outputs: Tensor, noise: Tensor, critics: nn.Module, obs: Tensor, ent_coef: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Loss and entropy of each row, ``[S, B]``."""
        told, log_prob = self.propose(outputs, noise)
        return ent_coef * log_prob - critics(obs, told).squeeze(-1).amin(1), -log_prob


class DiscreteActions:
    """One choice of n (Christodoulou 2019). A critic has a value for each, so expectations over actions are exact."""

    num_told = 0

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

    def told(self, action: Tensor) -> Tensor | None:  # noqa: ARG002 - critics value all choices
        return None

    def propose(self, outputs: Tensor, noise: Tensor) -> tuple[Tensor | None, Tensor]:  # noqa: ARG002 - likewise
        """Log-probabilities of all actions, ``[S, B, n]``."""
        return None, outputs.log_softmax(-1)

    def soft_value(self, values: Tensor, log_prob: Tensor, ent_coef: Tensor) -> Tensor:
        return (log_prob.exp() * (values.amin(1) - ent_coef.unsqueeze(-1) * log_prob)).sum(-1)

    def taken(self, values: Tensor, action: Tensor) -> Tensor:
        return values.gather(-1, action[:, None, :, None].expand(*values.shape[:-1], 1)).squeeze(-1)

    def actor_loss(
        self, outputs: Tensor, noise: Tensor, critics: nn.Module, obs: Tensor, ent_coef: Tensor
    ) -> tuple[Tensor, Tensor]:
        told, log_prob = self.propose(outputs, noise)
        with torch.no_grad():  # they judge all actions, and so none of them is a function of the policy
            values = critics(obs, told).amin(1)  # [S, B, n]
        probs = log_prob.exp()
        return (probs * (ent_coef.unsqueeze(-1) * log_prob - values)).sum(-1), -(probs * log_prob).sum(-1)


def make_actions(space: gs.Space[Any]) -> ContinuousActions | DiscreteActions:
    """Raises `UnfitError` for a box without bounds."""
    if isinstance(space, gs.Discrete):
        return DiscreteActions(int(space.n))
    check_bounded_box(space)
    return ContinuousActions(math.prod(space.shape or ()))


class SoftSampler:
    """Draws the actions of a policy over such actions; uniformly random ones before learning begins."""

    def __init__(
        self,
        net: ObsNet,
        actions: ContinuousActions | DiscreteActions,
        streams: Streams,
        num_envs: int,
        learning_starts: int,
    ) -> None:
        self.net, self.actions, self.streams = net, actions, streams
        self.num_envs, self.learning_starts = num_envs, learning_starts
        self.num_acted = 0  # frames

    @torch.no_grad()
    def act(self, obs: np.ndarray, *, explore: bool) -> np.ndarray:
        """Actions for observations ``[S, N, ...]``."""
        if not explore:
            action = self.greedy(self.net, torch.from_numpy(obs).to(self.streams.device))
        elif self.num_acted + self.num_envs <= self.learning_starts:
            action = self.actions.random(self.streams, self.num_envs)
        else:
            outputs = self.net(self.net.normalize(torch.from_numpy(obs).to(self.streams.device)))
            action = self.actions.sample(outputs, self.actions.noise(self.streams, 1, self.num_envs)[0])
        self.num_acted += explore * self.num_envs
        return action.cpu().numpy()

    def greedy(self, net: ObsNet, obs: Tensor) -> Tensor:
        """The actions ``[S, B, ...]`` that such a network likes best."""
        return self.actions.mode(net(net.normalize(obs)))

    def state_dict(self) -> dict[str, Any]:
        return {"streams": self.streams.state_dict(), "num_acted": self.num_acted}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.streams.load_state_dict(state["streams"])
        self.num_acted = state["num_acted"]
