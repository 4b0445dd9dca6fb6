"""Acting with a policy through a rollout."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch

from rllab.buffers import Tensors
from rllab.nets.actor_critic import ActorCritic
from rllab.random.streams import Streams


class Actor:
    """Draws a policy's actions, with noise drawn for a whole rollout at once; in numpy where the networks allow it."""

    private = ("noise",)
    """What workers that share a policy keep to themselves."""

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
        distribution = self.net.distribution
        if explore and self.step == 0:
            self.noise = distribution.noise(self.streams, self.num_steps, self.num_envs)
            self.host_noise = self.noise.cpu().numpy()
        step = self.step
        self.step = (step + explore) % self.num_steps
        if self.host_policy is not None:
            host_outputs = self.host_policy(obs)
            host_outputs = host_outputs + self.host_noise[step] if explore else host_outputs
            return np.asarray(distribution.mode(host_outputs)), {}
        with torch.no_grad():
            x = self.net.normalize(torch.from_numpy(obs).to(self.streams.device))
            if not explore:
                return distribution.mode(self.net.policy(x)).cpu().numpy(), {}
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
