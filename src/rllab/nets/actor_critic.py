"""Policy and value network of S sessions, with the observation normaliser inside."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, cast

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.buffers import Tensors
from rllab.kernels.acting import Actor
from rllab.kernels.build import NoKernelError
from rllab.nets.distributions import Categorical, DiagGaussian, Distribution
from rllab.nets.mlp import MLP, Activation, HostMLP
from rllab.nets.parts import make_obs_norm
from rllab.nets.torsos import Network, as_input, choose_network, keeps_bytes, make_torso
from rllab.random.streams import Streams


class ActorCritic(nn.Module):
    """A torso and a head for the policy, and for the value function; with `shared`, one torso for both.

    Observations are ``[S, B, *obs_shape]``. `normalize` comes first and apart from the networks, so that a rollout is
    normalised once and not again in every epoch. Images, and parts of which one is an image, stay bytes there, and
    become numbers in the network, minibatch by minibatch.
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
    ) -> None:
        super().__init__()
        self.obs_norm = make_obs_norm(len(generators), obs_space) if normalize_obs else None

        network = choose_network(network, obs_space)
        self.flatten = network == "mlp" and len(obs_space.shape or ()) != 1
        self.keep_bytes = keeps_bytes(obs_space, normalize_obs=normalize_obs)

        def torso() -> tuple[nn.Module, int]:
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

    def policy(self, x: Tensor) -> Tensor:
        """Outputs of the policy for normalised observations, ``[S, B, num_outputs]``: what the distribution reads."""
        return cast("Tensor", self.actor_head(self.actor_torso(as_input(self.actor_torso, x))))

    def greedy(self, obs: Tensor) -> Tensor:
        """The most likely actions for observations ``[S, B, *obs_shape]``."""
        return cast("Tensor", self.distribution.mode(self.policy(self.normalize(obs))))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of the policy, and values ``[S, B]``, for normalised observations."""
        x = as_input(self.actor_torso, x)
        features = self.actor_torso(x)
        critic_features = features if self.critic_torso is self.actor_torso else self.critic_torso(x)
        return self.actor_head(features), self.critic_head(critic_features).squeeze(-1)

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


class PolicySampler:
    """Draws a policy's actions, with noise drawn for a whole rollout at once."""

    def __init__(
        self, net: ActorCritic, streams: Streams, num_steps: int, num_envs: int, *, shared_value: bool = False
    ) -> None:
        """`shared_value`: policy and value share a torso, and values are wanted for every row that was acted on."""
        self.net = net
        self.streams = streams
        self.num_steps, self.num_envs = num_steps, num_envs
        self.shared_value = shared_value
        self.noise = torch.zeros(0)  # of the present rollout
        self.host_noise = self.noise.numpy()
        self.step = 0  # of the rollout
        self.kernel: Actor | None = None

    def use_kernel(self) -> None:
        """Act in a kernel from now on.

        Raises:
            NoKernelError: there is none for such a network or such actions.
        """
        net, distribution = self.net, self.net.distribution
        if not isinstance(distribution, (Categorical, DiagGaussian)):
            raise NoKernelError("it is made for Discrete and Box actions")
        self.kernel = Actor(
            *(net.actor_torso, net.actor_head),
            choice="largest" if isinstance(distribution, Categorical) else "real",
            num_actions=distribution.num_outputs,
            norm=net.obs_norm,
        )

    def draws(self, most: int) -> tuple[np.ndarray, None]:
        """Noise for the next steps of the rollout, ``[steps, S, N, n]``, `most` of them at the most."""
        if self.step == 0:
            self.noise = self.net.distribution.noise(self.streams, self.num_steps, self.num_envs)
            self.host_noise = self.noise.cpu().numpy()
        noise = self.host_noise[self.step : self.step + most]
        self.step = (self.step + len(noise)) % self.num_steps
        return noise, None

    @cached_property
    def host_policy(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """The policy in numpy; made when it is first needed, when it is known where the parameters lie."""
        return self.net.host_policy()

    @property
    def gives_value(self) -> bool:
        """Whether `act` gives values: with one large torso they cost nothing beside an action."""
        return self.shared_value and self.host_policy is None

    def act(self, obs: np.ndarray, *, explore: bool) -> tuple[np.ndarray, Tensors]:
        """Actions for observations ``[S, N, ...]``; where `gives_value`, the net's outputs and values to store."""
        distribution, step = self.net.distribution, self.step
        noise = self.draws(1)[0][0] if explore else None
        if self.kernel is not None:
            return self.kernel.act(obs, noise), {}
        if self.host_policy is not None:
            host_outputs = self.host_policy(obs)
            host_outputs = host_outputs if noise is None else host_outputs + noise
            return np.asarray(distribution.mode(host_outputs)), {}
        with torch.no_grad():
            x = torch.from_numpy(obs).to(self.streams.device)
            if not explore:
                return self.net.greedy(x).cpu().numpy(), {}
            x = self.net.normalize(x)
            extras: Tensors = {}
            if self.gives_value:
                outputs, value = self.net(x)
                extras = {"outputs": outputs.cpu(), "value": value.cpu()}
            else:
                outputs = self.net.policy(x)
            return distribution.mode(outputs + self.noise[step]).cpu().numpy(), extras

    def state_dict(self) -> dict[str, Any]:
        return {"streams": self.streams.state_dict(), "noise": self.noise, "step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.streams.load_state_dict(state["streams"])
        self.noise = state["noise"].to(self.streams.device)
        self.host_noise = state["noise"].numpy()
        self.step = state["step"]
