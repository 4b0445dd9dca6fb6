"""How networks act while they train: with the noise that explores, and in numpy where they allow it."""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch

from rllab.buffers import Tensors
from rllab.functional.schedules import Schedule
from rllab.functional.state import restore_state, state_of
from rllab.nets.actor_critic import ActorCritic
from rllab.nets.q_network import QNetwork
from rllab.random.exploration import Exploration
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


class ValueSampler:
    """Chooses actions by their values: epsilon-greedily, or by Boltzmann's distribution."""

    saved = ("exploration", "num_acted", "frame")

    def __init__(
        self, net: QNetwork, exploration: Exploration, level: Schedule, *, max_frame: int, learning_starts: int = 0
    ) -> None:
        """Act with `net`, which may be changed from outside.

        Args:
            net: values of actions.
            exploration: how actions are chosen by them.
            level: of exploration, epsilon or the temperature, over the budget.
            max_frame: the budget.
            learning_starts: frames of uniformly random actions before.
        """
        self.net = net
        self.device = next(net.parameters()).device
        self.exploration = exploration
        self.schedule = level
        self.max_frame, self.learning_starts = max_frame, learning_starts
        self.num_acted = 0  # frames that were acted here
        self.frame = 0  # the run's, with those of other workers on this policy

    @cached_property
    def host_values(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """`values` in numpy; made when it is first needed, when it is known where the parameters lie."""
        return self.net.host()

    def values(self, obs: np.ndarray) -> np.ndarray:
        """Mean returns of actions ``[S, N, A]``, perhaps up to a constant."""
        if self.host_values is not None:
            return self.host_values(obs)
        with torch.no_grad():
            return self.net.mean(torch.from_numpy(obs).to(self.device)).cpu().numpy()

    @property
    def level(self) -> float:
        """Of exploration, now: epsilon or the temperature; infinity before learning starts."""
        if self.num_acted < self.learning_starts:
            return math.inf
        return self.schedule(self.frame / self.max_frame)

    def act(self, obs: np.ndarray, *, explore: bool) -> np.ndarray:
        """Actions ``[S, N]``."""
        values = self.values(obs)
        if not explore:
            return values.argmax(-1)  # type: ignore[no-any-return]
        action = self.exploration.choose(values, self.level)
        self.num_acted += obs.shape[1]
        self.frame += obs.shape[1]
        return action

    def state_dict(self) -> dict[str, Any]:
        return {name: state_of(getattr(self, name)) for name in self.saved}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in self.saved:
            restore_state(self, name, state[name])
