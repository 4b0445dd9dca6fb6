"""Policy and value network of S sessions, with the observation normaliser inside."""

import copy
import importlib
import math
from typing import Any, cast

import gymnasium.spaces as gs
import torch
from torch import Tensor, nn

from rllab.nets.distributions import Distribution
from rllab.nets.mlp import MLP, Activation
from rllab.nets.normalize import RunningNorm
from rllab.nets.stacked import Stacked


class ActorCritic(nn.Module):
    """Torso and head of the policy, and of the value function; one torso for both if `shared`.

    Observations are ``[S, B, *obs_shape]``. `normalize` comes first and apart from the networks, so that a rollout is
    normalised once and not again in every epoch.
    """

    def __init__(
        self,
        obs_space: gs.Space[Any],
        distribution: Distribution,
        *,
        generators: list[torch.Generator],
        network: str = "mlp",
        hidden: list[int],
        activation: Activation = "tanh",
        shared: bool = False,
        normalize_obs: bool = False,
    ) -> None:
        super().__init__()
        assert obs_space.shape is not None
        num_sessions = len(generators)
        self.obs_norm = RunningNorm(num_sessions, *obs_space.shape) if normalize_obs else None

        def make_torso() -> tuple[nn.Module, int]:
            if network != "mlp":
                return make_user_torso(network, obs_space, generators)
            sizes = [math.prod(obs_space.shape or ()), *hidden]
            if not hidden:
                return nn.Flatten(2), sizes[0]
            mlp = MLP(sizes, generators=generators, activation=activation, activate_last=True)
            return nn.Sequential(nn.Flatten(2), mlp) if len(obs_space.shape or ()) > 1 else mlp, hidden[-1]

        self.actor_torso, width = make_torso()
        self.critic_torso = self.actor_torso if shared else make_torso()[0]
        # small last layer: the first policy is nearly uniform (Andrychowicz et al. 2021)
        self.actor_head = MLP([width, distribution.num_outputs], generators=generators, last_gain=0.01)
        self.critic_head = MLP([width, 1], generators=generators, last_gain=1.0)
        self.distribution = distribution

    def normalize(self, obs: Tensor) -> Tensor:
        return obs.float() if self.obs_norm is None else self.obs_norm(obs)

    def policy(self, x: Tensor) -> Tensor:
        """Outputs of the policy for normalised observations, ``[S, B, num_outputs]``: what the distribution reads."""
        return cast("Tensor", self.actor_head(self.actor_torso(x)))

    def value(self, x: Tensor) -> Tensor:
        """Values of normalised observations, ``[S, B]``."""
        return cast("Tensor", self.critic_head(self.critic_torso(x))).squeeze(-1)

    def policy_and_value(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both, through one pass of a shared torso."""
        features = self.actor_torso(x)
        critic_features = features if self.critic_torso is self.actor_torso else self.critic_torso(x)
        return self.actor_head(features), self.critic_head(critic_features).squeeze(-1)


class GreedyPolicy(nn.Module):
    """One session's most likely action: observations ``[B, *obs_shape]`` to actions ``[B, ...]``."""

    def __init__(self, net: ActorCritic, session: int) -> None:
        super().__init__()
        self.net = copy.deepcopy(net)
        for tensor in (*self.net.parameters(), *self.net.buffers()):
            tensor.data = tensor.data[session : session + 1].clone()

    @torch.no_grad()
    def forward(self, obs: Tensor) -> Tensor:
        x = self.net.normalize(obs.unsqueeze(0))
        return cast("Tensor", self.net.distribution.mode(self.net.policy(x)).squeeze(0))


def make_user_torso(
    network: str, obs_space: gs.Space[Any], generators: list[torch.Generator]
) -> tuple[nn.Module, int]:
    """A user's module, ``package.module:Class``, built with the observation space; and how many features it gives.

    Raises:
        ValueError: it cannot be imported, or does not map ``[B, *obs_shape]`` to ``[B, features]``.
    """
    module_name, _, class_name = network.partition(":")
    try:
        make = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"agent.network: got {network!r} ({error}); write mlp or package.module:Class"
        ) from None
    torso = Stacked(lambda: make(obs_space), generators)
    with torch.no_grad():
        features = torso(torch.zeros(len(generators), 2, *(obs_space.shape or ())))
    if features.dim() != 3:
        shape = tuple(features.shape[1:])
        raise ValueError(
            f"agent.network: got {network!r}, which gives {shape} for 2 observations; write one that gives (2, n)"
        )
    return torso, int(features.shape[-1])
