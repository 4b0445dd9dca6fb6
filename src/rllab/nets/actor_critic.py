"""Policy and value network of S sessions, with the observation normaliser inside."""

from collections.abc import Callable
from typing import Any, cast

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.nets.distributions import Distribution
from rllab.nets.memory import HostStep, MemoryLayout, Past, Recurrent, State, make_recurrent
from rllab.nets.mlp import MLP, Activation, HostMLP
from rllab.nets.parts import Packed, make_obs_norm
from rllab.nets.torsos import Network, as_input, check_network, choose_network, keeps_bytes, make_torso


class ActorCritic(nn.Module):
    """A torso and a head for the policy, and for the value function; with `shared`, one torso for both.

    Observations are ``[S, B, *obs_shape]``. `normalize` comes first and apart from the networks, so that a rollout is
    normalised once and not again in every epoch. Images, and parts of which one is an image, stay bytes there, and
    become numbers in the network, minibatch by minibatch.

    With a memory, rows are those of steps one after the other, ``[S, T * N, ...]``, and each network remembers by
    itself: ``actor_h`` is the policy's.
    """

    def __init__(
        self,
        obs_space: gs.Space[Any],
        distribution: Distribution,
        *,
        generators: list[torch.Generator],
        network: Network = "auto",
        hidden: list[int],
        activation: Activation = "tanh",
        shared: bool = False,
        normalize_obs: bool = False,
        memory: MemoryLayout | None = None,
    ) -> None:
        super().__init__()
        self.memory = memory
        self.obs_norm = make_obs_norm(len(generators), obs_space) if normalize_obs else None

        network = choose_network(network, obs_space)
        before = memory is not None and memory.at == "before"
        self.flatten = (network == "mlp" or before) and len(obs_space.shape or ()) != 1
        self.keep_bytes = keeps_bytes(obs_space, normalize_obs=normalize_obs)

        def torso() -> tuple[nn.Module, int]:
            if memory is not None:
                return make_recurrent(memory, network, obs_space, generators, hidden=hidden, activation=activation)
            return make_torso(network, obs_space, generators, hidden=hidden, activation=activation)

        self.actor_torso, width = torso()
        self.critic_torso = self.actor_torso if shared else torso()[0]
        # small last layer of the policy: the first one is nearly uniform (Andrychowicz et al. 2021)
        self.actor_head = MLP([width, distribution.num_outputs], generators=generators, last_gain=0.01)
        self.critic_head = MLP([width, 1], generators=generators, last_gain=1.0)
        self.distribution = distribution

    def normalize(self, obs: Tensor) -> Tensor:
        """Observations as the networks take them."""
        if self.obs_norm is not None:
            obs = self.obs_norm(obs)
        elif not self.keep_bytes:
            obs = obs.float()
        return obs.flatten(2) if self.flatten else obs

    def _input(self, x: Tensor) -> Tensor:
        """Bytes as numbers, except for a network that scales them itself."""
        torso = self.actor_torso.torso if isinstance(self.actor_torso, Recurrent) else self.actor_torso
        return as_input(torso, x)

    def policy(self, x: Tensor) -> Tensor:
        """Outputs of the policy for normalised observations, ``[S, B, num_outputs]``: what the distribution reads."""
        return cast("Tensor", self.actor_head(self.actor_torso(as_input(self.actor_torso, x))))

    def greedy(self, obs: Tensor) -> Tensor:
        """The most likely actions for observations ``[S, B, *obs_shape]``."""
        return cast("Tensor", self.distribution.mode(self.policy(self.normalize(obs))))

    def forward(self, x: Tensor, past: Past | None = None) -> tuple[Tensor, Tensor]:
        """Outputs of the policy, and values ``[S, B]``, for normalised observations; with a memory, after a `past`."""
        if past is not None:
            return self._remember(x, past, goes_on=False)[:2]
        x = self._input(x)
        features = self.actor_torso(x)
        critic_features = features if self.critic_torso is self.actor_torso else self.critic_torso(x)
        return self.actor_head(features), self.critic_head(critic_features).squeeze(-1)

    def _remember(self, x: Tensor, past: Past, *, goes_on: bool = True) -> tuple[Tensor, Tensor, State]:
        """`forward`, and what is remembered after the last step, for those that go on from there."""
        x = self._input(x)
        features, state = self.actor_torso(x, _of("actor_", past), goes_on=goes_on)
        after = {f"actor_{name}": each for name, each in state.items()}
        critic_features = features
        if self.critic_torso is not self.actor_torso:
            critic_features, state = self.critic_torso(x, _of("critic_", past), goes_on=goes_on)
            after |= {f"critic_{name}": each for name, each in state.items()}
        return self.actor_head(features), self.critic_head(critic_features).squeeze(-1), after

    def unroll(self, x: Tensor, past: Past, length: int) -> tuple[Tensor, Tensor, list[State]]:
        """`forward` for a rollout and the successors of its last step, in pieces of so many steps.

        Args:
            x: normalised observations ``[S, (T + 1) * N, ...]``.
            past: of the T steps, which `length` divides.
            length: steps of a piece.

        Returns:
            Outputs and values of all rows, and what was remembered before each piece and before the successors.
        """
        num_steps, num_envs = past.starts.shape[1:]
        states, found = [past.state], []
        for start in range(0, num_steps + 1, length):
            starts = past.starts[:, start : start + length]
            if start == num_steps:  # of an episode that begins there no row needs the value
                starts = torch.zeros_like(past.starts[:, :1])
            rows = slice(start * num_envs, (start + length) * num_envs)
            *pair, state = self._remember(x[:, rows], Past(states[-1], starts))
            states.append(state)
            found.append(pair)
        outputs, value = (torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
        return outputs, value, states[:-1]

    def policy_step(self, x: Tensor, past: Past) -> tuple[Tensor, State]:
        """`policy` with a memory, and what it remembers then, without the prefix ``actor_``."""
        features, state = self.actor_torso(self._input(x), past)
        return self.actor_head(features), state

    def greedy_step(self, obs: Tensor, past: Past) -> tuple[Tensor, State]:
        """`greedy` with a memory, and what it remembers then."""
        outputs, state = self.policy_step(self.normalize(obs), past)
        return self.distribution.mode(outputs), state

    def host_step(self) -> HostStep | None:
        """`normalize` and `policy_step` in numpy, for observations ``[S, N, ...]``, where `host_policy` would be."""
        torso = self.actor_torso
        if not (isinstance(torso, Recurrent) and isinstance(torso.torso, MLP) and self.actor_head.weight_0.is_cpu):
            return None
        features, head = torso.host(HostMLP(torso.torso)), HostMLP(self.actor_head)
        normalize = None if self.obs_norm is None else self.obs_norm.host()

        def step(obs: np.ndarray, state: State, starts: np.ndarray) -> tuple[np.ndarray, State]:
            x = obs if normalize is None else normalize(obs)
            x, state = features(x.reshape(*obs.shape[:2], -1), state, starts)
            return head(x), state

        return step

    def host_policy(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """`normalize` and `policy` for numpy on the parameters' own memory, where there are MLPs on the CPU."""
        if not (isinstance(self.actor_torso, MLP) and self.actor_head.weight_0.is_cpu):
            return None
        mlp = HostMLP(self.actor_torso, self.actor_head)
        normalize = None if self.obs_norm is None else self.obs_norm.host()

        def policy(obs: np.ndarray) -> np.ndarray:
            x = obs if normalize is None else normalize(obs)
            return mlp(x.reshape(*obs.shape[:2], -1))

        return policy


def _of(who: str, past: Past) -> Past:
    """The part of the past that is in names with this prefix."""
    state = {name.removeprefix(who): each for name, each in past.state.items() if name.startswith(who)}
    return past._replace(state=state)


def check_actor_critic(
    obs_space: gs.Space[Any], *, network: Network, normalize_obs: bool, memory: MemoryLayout | None = None
) -> None:
    """Raise a one-line ``ValueError`` if there is no such `ActorCritic`; cheaper than to make it."""
    if memory is not None and memory.at == "before":
        several = isinstance(obs_space, Packed)
        if several or str(choose_network(network, obs_space)).startswith("cnn"):
            what = "observations of several parts" if several else f"images {obs_space.shape}"
            raise ValueError(
                f"agent.memory_at: got 'before' for {what}, which the network takes first; write agent.memory_at=after"
            )
        obs_space = memory.features
    check_network(network, obs_space, normalize_obs=normalize_obs)
