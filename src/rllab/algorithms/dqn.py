"""Deep Q-learning (Mnih et al. 2015), with double Q-learning, dueling heads, n-step targets and prioritized replay."""

import copy
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
from rllab.buffers.prioritized import PrioritizedReplayBuffer
from rllab.buffers.replay import ReplayBuffer, check_replay, is_saved
from rllab.errors import require
from rllab.functional.checks import check_replay_budget
from rllab.functional.losses import TD_LOSSES, td_target
from rllab.functional.schedules import Coefficient, check_coefficient, make_schedule
from rllab.nets.q_network import GreedyQPolicy, QNetwork
from rllab.nets.torsos import check_network
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.random.exploration import Exploration
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class DQNConfig:
    """Settings of DQN. A coefficient may be a schedule over the budget: `agent.epsilon=linear:1:0.05:0.2`."""

    name: str = "dqn"
    """The algorithm."""
    double: bool = False
    """Double Q-learning: the online network chooses the next action, the target network values it."""
    dueling: bool = False
    """A value and advantages instead of one value for each action."""
    n_step: int = 1
    """Rewards in a target before it bootstraps."""
    prioritized: bool = False
    """Draw transitions in proportion to their TD error instead of uniformly."""
    per_alpha: float = 0.6
    """With `prioritized`: how much the TD error counts; 0 is uniform."""
    per_beta: Coefficient = "linear:0.4:1"
    """With `prioritized`: how far importance weights undo the bias; 1 entirely."""
    lr: Coefficient = 1e-3
    """Learning rate of Adam."""
    gamma: float = 0.99
    """Discount."""
    buffer_size: int = 100_000
    """Frames of each session that the replay buffer holds."""
    save_buffer: bool | None = None
    """Whether the replay buffer is part of the checkpoint; null: if it takes less than 2 GiB."""
    batch_size: int = 64
    """Transitions of each session in one gradient step."""
    learning_starts: int = 1000
    """Frames of each session before the first gradient step; until then actions are random."""
    train_freq: int = 4
    """Vector steps between two updates."""
    gradient_steps: int = 1
    """Gradient steps of an update."""
    target_period: int = 500
    """Frames between two updates of the target network."""
    tau: float = 1.0
    """How far the target network moves there: 1 copies, less averages."""
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
        for name in ("n_step", "batch_size", "train_freq", "gradient_steps", "target_period"):
            value = getattr(self, name)
            require(value >= 1, f"agent.{name}", value, write="an integer of at least 1")
        starts = self.learning_starts
        require(starts >= 0, "agent.learning_starts", starts, write="an integer of at least 0")
        for name in ("gamma", "per_alpha"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"agent.{name}", value, write="a number from 0 to 1")
        require(0 < self.tau <= 1, "agent.tau", self.tau, write="a number above 0, up to 1")
        for name in ("epsilon", "per_beta"):
            check_coefficient(f"agent.{name}", getattr(self, name), low=0.0, high=1.0)
        for name in ("lr", "temperature"):
            check_coefficient(f"agent.{name}", getattr(self, name), low=0.0, high=math.inf)
        for name in ("max_grad_norm", "adam_eps"):
            value = getattr(self, name)
            require(value > 0, f"agent.{name}", value, write="a number above 0")
        for width in self.hidden:
            require(width >= 1, "agent.hidden", self.hidden, write="a list of widths of at least 1, e.g. [64,64]")


class DQN(Algorithm):
    """DQN of S sessions in lockstep, on N sub-envs each."""

    Config = DQNConfig
    action_spaces = (gs.Discrete,)
    counted_in_frames = ("learning_starts", "buffer_size")

    @staticmethod
    def check(
        config: DQNConfig,
        obs_space: gs.Space[Any],
        action_space: gs.Space[Any],
        *,
        num_sessions: int,
        num_envs: int,
        max_frame: int,
    ) -> None:
        check_network(config.network, obs_space)
        check_replay(
            config.buffer_size,
            config.learning_starts,
            obs_space,
            action_space,
            num_sessions=num_sessions,
            num_envs=num_envs,
            kind=PrioritizedReplayBuffer if config.prioritized else ReplayBuffer,
        )
        check_replay_budget(config.learning_starts, config.train_freq, num_envs=num_envs, max_frame=max_frame)

    def __init__(
        self,
        config: DQNConfig,
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
        self.rollout_steps = config.train_freq
        self.max_frame = max_frame
        self.device = device
        self.net = QNetwork(
            obs_space,
            int(action_space.n),
            generators=Streams(seed, num_sessions, "weights").generators,  # drawn on the CPU, whatever the device
            network=config.network,
            hidden=config.hidden,
            activation=config.activation,
            dueling=config.dueling,
        ).to(device)
        self.target = copy.deepcopy(self.net)
        self.flat, self.target_flat = FlatParameters(self.net), FlatParameters(self.target)
        self.optimizer = Adam(self.flat, eps=config.adam_eps)
        self.schedules = {
            name: make_schedule(getattr(config, name)) for name in ("lr", "epsilon", "temperature", "per_beta")
        }
        self.exploration = Exploration(
            config.exploration, Streams(seed, num_sessions, "action"), num_envs, int(action_space.n)
        )
        self.exploring = "epsilon" if config.exploration == "epsilon_greedy" else "temperature"
        self.batch_streams = Streams(seed, num_sessions, "minibatch")
        self.num_updates = 0  # gradient steps
        self.frame = 0  # the run's, with those of other workers on this policy
        self.updated_at = torch.zeros((), dtype=torch.int64)  # frame of the latest update, of whichever worker

    def make_buffer(self) -> ReplayBuffer:
        num_steps = self.config.buffer_size // self.num_envs
        shape = (num_steps, self.num_sessions, self.num_envs, *self.spaces)
        save = is_saved(self.config.save_buffer, ReplayBuffer.num_bytes(*shape))
        if self.config.prioritized:
            return PrioritizedReplayBuffer(*shape, alpha=self.config.per_alpha, device=self.device, save=save)
        return ReplayBuffer(*shape, device=self.device, save=save)

    def act(self, obs: np.ndarray, *, explore: bool) -> tuple[np.ndarray, Tensors]:
        values = self._values(obs)
        if not explore:
            return values.argmax(-1), {}
        action = self.exploration.choose(values, self._level())
        self.frame += self.num_envs
        return action, {}

    @cached_property
    def host_values(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """`_values` in numpy; made when it is first needed, when it is known where the parameters lie."""
        return self.net.host()

    def _values(self, obs: np.ndarray) -> np.ndarray:
        """Values of actions ``[S, N, A]``, perhaps up to a constant."""
        if self.host_values is not None:
            return self.host_values(obs)
        with torch.no_grad():
            return self.net(torch.from_numpy(obs).to(self.device)).squeeze(-1).cpu().numpy()  # type: ignore[no-any-return]

    def _level(self) -> float:
        """Of exploration, now: epsilon or the temperature; infinity before learning starts."""
        if self.exploration.step * self.num_envs < self.config.learning_starts:
            return math.inf
        return self.schedules[self.exploring](self.frame / self.max_frame)

    def update(self, buffer: ReplayBuffer, frame: int) -> Metrics:
        since, self.frame = int(self.updated_at), frame
        self.updated_at.fill_(frame)
        if buffer.num_frames < self.config.learning_starts:
            return {}
        coefs = {name: schedule(frame / self.max_frame) for name, schedule in self.schedules.items()}
        for _ in range(self.config.gradient_steps):
            metrics = self._gradient_step(buffer, coefs["lr"], coefs["per_beta"])
        if frame // self.config.target_period > since // self.config.target_period:
            self.target_flat.data.lerp_(self.flat.data, self.config.tau)
        return {
            **metrics,
            "train/lr": coefs["lr"],
            "train/num_updates": self.num_updates,
            # update-to-data ratio: gradient steps for each frame
            "train/utd": self.config.gradient_steps / (self.config.train_freq * self.num_envs),
            f"train/{self.exploring}": self._level(),
            **({"train/per_beta": coefs["per_beta"]} if self.config.prioritized else {}),
        }

    def _gradient_step(self, buffer: ReplayBuffer, lr: float, beta: float) -> dict[str, Tensor]:
        config = self.config
        rows = buffer.draw(config.batch_size, self.batch_streams)
        batch = buffer.gather(rows, gamma=config.gamma, n_step=config.n_step)
        with torch.no_grad():
            next_q = self.target(batch["next_obs"]).squeeze(-1)
            choosing_q = self.net(batch["next_obs"]).squeeze(-1) if config.double else None
            target = td_target(batch["reward"], batch["discount"], next_q, choosing_q)
        q = self.net(batch["obs"]).squeeze(-1)  # [S, B, A]
        q = q.gather(2, batch["action"].unsqueeze(2)).squeeze(2)
        td_error = q - target
        loss = TD_LOSSES[config.loss](td_error)
        if isinstance(buffer, PrioritizedReplayBuffer):
            loss = loss * buffer.weights(rows, beta)
            buffer.update_priorities(rows, td_error.detach())
        loss = loss.mean(1)
        self.flat.backward(loss)
        grad_norm = self.flat.clip_grad_norm_(config.max_grad_norm)
        self.optimizer.step(lr)
        self.num_updates += 1
        return {"train/loss": loss.detach(), "train/q_value": q.detach().mean(1), "train/grad_norm": grad_norm}

    def policy(self, session: int) -> nn.Module:
        return GreedyQPolicy(self.net, session)

    def state_dict(self) -> dict[str, Any]:
        return {
            "policy": self.net.state_dict(),
            "target": self.target.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "exploration": self.exploration.state_dict(),
            "batch_streams": self.batch_streams.state_dict(),
            "num_updates": self.num_updates,
            "frame": self.frame,
            "updated_at": self.updated_at,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["policy"])
        self.target.load_state_dict(state["target"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.exploration.load_state_dict(state["exploration"])
        self.batch_streams.load_state_dict(state["batch_streams"])
        self.num_updates = state["num_updates"]
        self.frame = state["frame"]
        self.updated_at.copy_(state["updated_at"])
