"""SARSA (Rummery & Niranjan 1994; Sutton & Barto 2018, 6.4) with a network: on-policy action values."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.algorithms.contract import Algorithm, Metrics
from rllab.buffers import Tensors
from rllab.buffers.rollout import RolloutBuffer
from rllab.errors import require
from rllab.functional.checks import check_rollout_budget
from rllab.functional.losses import TD_LOSSES
from rllab.functional.schedules import Coefficient, check_coefficient, make_schedule
from rllab.nets.q_network import GreedyQPolicy, QNetwork
from rllab.nets.torsos import check_network
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.random.exploration import Exploration
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class SARSAConfig:
    """Settings of SARSA. A coefficient may be a schedule over the budget: `agent.epsilon=linear:1:0.05:0.2`."""

    name: str = "sarsa"
    """The algorithm."""
    lr: Coefficient = 1e-3
    """Learning rate of Adam."""
    gamma: float = 0.99
    """Discount."""
    num_steps: int = 4
    """Vector steps between two gradient steps; times env.num_envs is what one of them learns from."""
    exploration: Literal["epsilon_greedy", "boltzmann"] = "epsilon_greedy"
    """Act randomly with probability `epsilon`, or draw from softmax(values / temperature)."""
    epsilon: Coefficient = "linear:1:0.05:0.2"
    """Probability of a random action, for each sub-env by itself."""
    temperature: Coefficient = 1.0
    """Temperature of boltzmann: higher explores more."""
    loss: Literal["huber", "mse"] = "huber"
    """Of TD errors. huber counts those above 1 by their size, mse by its square: an end that is rare, where values are
    large, shows in the values."""
    max_grad_norm: float = 10.0
    """Gradient norm at which a session's gradient is clipped."""
    adam_eps: float = 1e-8
    """Epsilon of Adam."""
    network: str = "auto"
    """mlp; cnn or cnn_small for images; auto: cnn for images, otherwise mlp; or a module of your own,
    `my_pkg.nets:MyTorso`, built with the observation space, that gives features."""
    hidden: list[int] = field(default_factory=lambda: [64, 64])
    """Widths of the hidden layers of mlp; other networks have their own."""
    activation: Literal["tanh", "relu", "elu"] = "relu"
    """Activation of mlp; other networks have their own."""

    def __post_init__(self) -> None:
        require(self.num_steps >= 1, "agent.num_steps", self.num_steps, write="an integer of at least 1")
        require(0 <= self.gamma <= 1, "agent.gamma", self.gamma, write="a number from 0 to 1")
        check_coefficient("agent.epsilon", self.epsilon, low=0.0, high=1.0)
        for name in ("lr", "temperature"):
            check_coefficient(f"agent.{name}", getattr(self, name), low=0.0, high=math.inf)
        for name in ("max_grad_norm", "adam_eps"):
            value = getattr(self, name)
            require(value > 0, f"agent.{name}", value, write="a number above 0")
        for width in self.hidden:
            require(width >= 1, "agent.hidden", self.hidden, write="a list of widths of at least 1, e.g. [64,64]")


class SARSA(Algorithm):
    """SARSA of S sessions in lockstep, on N sub-envs each."""

    Config = SARSAConfig
    action_spaces = (gs.Discrete,)

    @staticmethod
    def check(
        config: SARSAConfig,
        obs_space: gs.Space[Any],
        action_space: gs.Space[Any],  # noqa: ARG004
        *,
        num_sessions: int,  # noqa: ARG004
        num_envs: int,
        max_frame: int,
    ) -> None:
        check_network(config.network, obs_space)
        check_rollout_budget(config.num_steps, num_envs=num_envs, max_frame=max_frame)

    def __init__(
        self,
        config: SARSAConfig,
        obs_space: gs.Space[Any],
        action_space: gs.Discrete,
        *,
        num_sessions: int,
        num_envs: int,
        max_frame: int,
        seed: int | Seed,
        device: str = "cpu",
    ) -> None:
        self.config = config
        self.spaces = obs_space, action_space
        self.num_sessions, self.num_envs = num_sessions, num_envs
        self.rollout_steps = config.num_steps
        self.max_frame = max_frame
        self.device = device
        self.net = QNetwork(
            obs_space,
            int(action_space.n),
            generators=Streams(seed, num_sessions, "weights").generators,  # drawn on the CPU, whatever the device
            network=config.network,
            hidden=config.hidden,
            activation=config.activation,
        ).to(device)
        self.flat = FlatParameters(self.net)
        self.optimizer = Adam(self.flat, eps=config.adam_eps)
        self.schedules = {name: make_schedule(getattr(config, name)) for name in ("lr", "epsilon", "temperature")}
        self.exploration = Exploration(
            config.exploration, Streams(seed, num_sessions, "action"), num_envs, int(action_space.n)
        )
        self.exploring = "epsilon" if config.exploration == "epsilon_greedy" else "temperature"
        self.next_action: np.ndarray | None = None  # chosen by the last update, before it learned
        self.num_updates = 0  # gradient steps
        self.frame = 0  # the run's, with those of other workers on this policy

    def make_buffer(self) -> RolloutBuffer:
        return RolloutBuffer(self.rollout_steps, self.num_sessions, self.num_envs, *self.spaces)

    def act(self, obs: np.ndarray, *, explore: bool) -> tuple[np.ndarray, Tensors]:
        if not explore:
            return self._values(obs).argmax(-1), {}
        action = self._choose(obs) if self.next_action is None else self.next_action
        self.next_action = None
        return action, {}

    def _choose(self, obs: np.ndarray) -> np.ndarray:
        level = self.schedules[self.exploring](self.frame / self.max_frame)
        self.frame += self.num_envs
        return self.exploration.choose(self._values(obs), level)

    @cached_property
    def host_values(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """`_values` in numpy; made when it is first needed, when it is known where the parameters lie."""
        return self.net.host()

    def _values(self, obs: np.ndarray) -> np.ndarray:
        """Values of actions ``[S, N, A]``."""
        if self.host_values is not None:
            return self.host_values(obs)
        with torch.no_grad():
            return self.net(torch.from_numpy(obs).to(self.device)).squeeze(-1).cpu().numpy()  # type: ignore[no-any-return]

    def update(self, buffer: RolloutBuffer, frame: int) -> Metrics:
        """One gradient step on the rollout.

        The action after the last row is chosen here, and taken next: each target holds the action that follows. After
        a truncation that is the one chosen for the episode's last observation, which the env does not execute.
        """
        rollout = buffer.tensors(self.device)
        self.frame = frame
        self.next_action = self._choose(buffer.arrays["obs"][-1])
        next_action = torch.cat([rollout["action"][1:], torch.from_numpy(self.next_action).to(self.device)[None]])
        q = self.net(rollout["obs"].transpose(0, 1).flatten(1, 2))  # [S, (T + 1) * N, A, 1]
        by_step = q.view(self.num_sessions, -1, self.num_envs, q.shape[2]).transpose(0, 1)  # [T + 1, S, N, A]
        action = rollout["action"].unsqueeze(-1)
        next_q = by_step.detach()[1:].gather(-1, next_action.unsqueeze(-1)).squeeze(-1)
        chosen_q = by_step[:-1].gather(-1, action).squeeze(-1)
        target = sarsa_target(rollout["reward"], rollout["terminated"], next_q, gamma=self.config.gamma)
        weight = rollout["valid"] / rollout["valid"].sum((0, 2)).clamp(min=1).view(1, -1, 1)
        loss = (TD_LOSSES[self.config.loss](chosen_q - target) * weight).sum((0, 2))
        self.flat.backward(loss)
        grad_norm = self.flat.clip_grad_norm_(self.config.max_grad_norm)
        lr = self.schedules["lr"](frame / self.max_frame)
        self.optimizer.step(lr)
        self.num_updates += 1
        return {
            "train/loss": loss.detach(),
            "train/q_value": (chosen_q.detach() * weight).sum((0, 2)),
            "train/grad_norm": grad_norm,
            "train/lr": lr,
            "train/num_updates": self.num_updates,
            f"train/{self.exploring}": self.schedules[self.exploring](frame / self.max_frame),
        }

    def policy(self, session: int) -> nn.Module:
        return GreedyQPolicy(self.net, session)

    def state_dict(self) -> dict[str, Any]:
        return {
            "policy": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "exploration": self.exploration.state_dict(),
            "next_action": self.next_action,
            "num_updates": self.num_updates,
            "frame": self.frame,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.exploration.load_state_dict(state["exploration"])
        self.next_action = state["next_action"]
        self.num_updates = state["num_updates"]
        self.frame = state["frame"]


def sarsa_target(reward: Tensor, terminated: Tensor, next_q: Tensor, *, gamma: float) -> Tensor:
    """``reward + gamma * value of the next observation and action``, nothing of it where the episode terminated."""
    return reward + gamma * next_q * ~terminated
