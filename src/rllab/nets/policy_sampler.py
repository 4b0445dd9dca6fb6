"""How a policy acts while it explores: noise drawn for a whole rollout at once, in torch, numpy or a kernel."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch

from rllab.buffers import Tensors
from rllab.kernels.acting import Actor
from rllab.kernels.build import NoKernelError
from rllab.nets.actor_critic import ActorCritic
from rllab.nets.distributions import Categorical, DiagGaussian
from rllab.nets.memory import HostStep, Past, State
from rllab.random.streams import Streams


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

    @cached_property
    def host_step(self) -> HostStep | None:
        """The same for a policy with a memory."""
        return self.net.host_step()

    @property
    def gives_value(self) -> bool:
        """Whether `act` gives values: with one large torso they cost nothing beside an action."""
        return self.shared_value and self.host_policy is None and self.net.memory is None

    @property
    def extras(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes, in a row, of what `act` gives to be stored."""
        if self.net.memory is not None:
            return {"starts": ()}
        return {"outputs": (self.net.distribution.num_outputs,), "value": ()} if self.gives_value else {}

    def act(
        self, obs: np.ndarray, state: State, starts: np.ndarray, *, explore: bool
    ) -> tuple[np.ndarray, Tensors, State]:
        """As `Algorithm.act`, for observations ``[S, N, ...]``; `extras` says what is to be stored."""
        if self.net.memory is not None:
            return self._act_by_memory(obs, state, starts.astype(np.float32), explore=explore)
        return *self._act(obs, explore=explore), state

    def _act_by_memory(
        self, obs: np.ndarray, state: State, starts: np.ndarray, *, explore: bool
    ) -> tuple[np.ndarray, Tensors, State]:
        mode, step = self.net.distribution.mode, self.step
        noise = self.draws(1)[0][0] if explore else None
        begins = torch.from_numpy(starts)
        extras = {"starts": begins} if explore else {}
        if self.host_step is not None:
            host_outputs, state = self.host_step(obs, state, starts)
            return np.asarray(mode(host_outputs if noise is None else host_outputs + noise)), extras, state
        device = self.streams.device
        past = Past({name: each.to(device) for name, each in state.items()}, begins.unsqueeze(1).to(device))
        with torch.no_grad():
            outputs, state = self.net.policy_step(self.net.normalize(torch.from_numpy(obs).to(device)), past)
            return mode(outputs + self.noise[step] if explore else outputs).cpu().numpy(), extras, state

    def _act(self, obs: np.ndarray, *, explore: bool) -> tuple[np.ndarray, Tensors]:
        """Without a memory."""
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
