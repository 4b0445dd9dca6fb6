"""Policy and value network of S sessions, with the observation normaliser inside."""

import copy
import importlib
import math
from collections.abc import Callable
from typing import Any, cast

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.nets.distributions import Distribution
from rllab.nets.mlp import MLP, Activation, HostMLP
from rllab.nets.normalize import RunningNorm
from rllab.nets.stacked import Stacked


class ActorCritic(nn.Module):
    """Networks of the policy and of the value function; with `shared`, two heads on one torso.

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
        obs_shape = obs_space.shape
        self.obs_norm = RunningNorm(len(generators), *obs_shape) if normalize_obs else None

        def mlp(*sizes: int, last_gain: float | None = None) -> MLP:
            activate_last = last_gain is None
            return MLP(
                list(sizes),
                generators=generators,
                activation=activation,
                activate_last=activate_last,
                last_gain=last_gain,
            )

        def torso() -> tuple[nn.Module, int]:
            if network != "mlp":
                return make_user_torso(network, obs_space, generators)
            return mlp(math.prod(obs_shape), *hidden), hidden[-1]

        # small last layer of the policy: the first one is nearly uniform (Andrychowicz et al. 2021)
        heads = {"actor": (distribution.num_outputs, 0.01), "critic": (1, 1.0)}
        self.torso: nn.Module | None = None
        self.flatten = len(obs_shape) > 1 and network == "mlp"
        if shared and hidden:
            self.torso, width = torso()
            nets = [mlp(width, size, last_gain=gain) for size, gain in heads.values()]
        elif network == "mlp":
            nets = [mlp(math.prod(obs_shape), *hidden, size, last_gain=gain) for size, gain in heads.values()]
        else:
            nets = []
            for size, gain in heads.values():
                features, width = torso()
                nets.append(nn.Sequential(features, mlp(width, size, last_gain=gain)))  # type: ignore[arg-type]
        self.actor, self.critic = nets
        self.distribution = distribution

    def normalize(self, obs: Tensor) -> Tensor:
        """Observations as the networks take them."""
        x = obs.float() if self.obs_norm is None else self.obs_norm(obs)
        return x.flatten(2) if self.flatten else x

    def policy(self, x: Tensor) -> Tensor:
        """Outputs of the policy for normalised observations, ``[S, B, num_outputs]``: what the distribution reads."""
        return cast("Tensor", self.actor(x if self.torso is None else self.torso(x)))

    def policy_and_value(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of the policy, and values ``[S, B]``."""
        if self.torso is not None:
            x = self.torso(x)
        return self.actor(x), self.critic(x).squeeze(-1)

    def host_policy(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """`normalize` and `policy` for numpy on the parameters' own memory, where there are MLPs on the CPU."""
        mlps = [net for net in (self.torso, self.actor) if net is not None]
        if not all(isinstance(net, MLP) and net.weight_0.is_cpu for net in mlps):
            return None
        hosts = [HostMLP(cast("MLP", net)) for net in mlps]
        normalize = None if self.obs_norm is None else self.obs_norm.host()

        def policy(obs: np.ndarray) -> np.ndarray:
            x = obs if normalize is None else normalize(obs)
            x = x.reshape(*obs.shape[:2], -1)
            for host in hosts:
                x = host(x)
            return x

        return policy


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
