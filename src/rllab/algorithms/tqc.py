"""Truncated quantile critics (Kuznetsov, Shvechikov, Grishin, Vetrov 2020)."""

import copy
import math
from dataclasses import dataclass, field
from typing import Any, Literal

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.algorithms.contract import Algorithm, Metrics
from rllab.buffers import Tensors
from rllab.buffers.replay import ReplayBuffer, check_replay, is_saved
from rllab.errors import require
from rllab.functional.checks import check_off_policy, check_replay_budget
from rllab.functional.losses import quantile_huber
from rllab.functional.schedules import Coefficient, check_coefficient, make_schedule
from rllab.nets import tanh_gaussian
from rllab.nets.box import check_bounded_box, check_vector_obs, uniform_actions
from rllab.nets.critics import Critics
from rllab.nets.mlp import MLP
from rllab.nets.one_session import GreedyNet
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.optim.temperature import Temperature, check_ent_coef
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class TQCConfig:
    """Settings of TQC. A coefficient may be a schedule over the budget: `agent.lr=linear:1e-3:0`."""

    name: str = "tqc"
    """The algorithm."""
    lr: Coefficient = 3e-4
    """Learning rate of Adam for policy, temperature and critics."""
    critic_lr: Coefficient | None = None
    """Learning rate of the critics, if it is another one."""
    buffer_size: int = 1_000_000
    """Frames of each session that the replay buffer holds."""
    learning_starts: int = 5_000
    """Frames of uniformly random actions before learning begins."""
    batch_size: int = 256
    """Transitions of one gradient step."""
    train_freq: int = 1
    """Vector steps between two updates."""
    gradient_steps: int = -1
    """Gradient steps of an update; -1 takes one for each frame that was collected."""
    gamma: float = 0.99
    """Discount."""
    n_step: int = 1
    """Rewards that a target sums before it bootstraps."""
    tau: Coefficient = 0.005
    """How far the target critics follow the critics after each gradient step."""
    ent_coef: Coefficient = "auto"
    """Weight of the entropy, higher explores more; auto learns it for each session so that the policy keeps
    target_entropy."""
    target_entropy: float | None = None
    """Entropy that ent_coef=auto aims at; null is minus the number of actions."""
    num_critics: int = 2
    """Critics, each of which predicts a distribution of returns."""
    num_quantiles: int = 25
    """Quantiles of a critic."""
    num_dropped: int = 2
    """Quantiles for each critic that a target drops, from the top: more is more pessimistic."""
    hidden: list[int] = field(default_factory=lambda: [256, 256])
    """Widths of the hidden layers of each network."""
    activation: Literal["tanh", "relu", "elu"] = "relu"
    """Activation of the hidden layers."""
    save_buffer: bool | None = None
    """Whether checkpoints hold the replay buffer, so that a resumed run goes on exactly; null: below 2 GiB."""

    def __post_init__(self) -> None:
        check_off_policy(self)
        require(self.num_quantiles >= 1, "agent.num_quantiles", self.num_quantiles, write="an integer of at least 1")
        write = f"an integer from 0 to agent.num_quantiles - 1 = {self.num_quantiles - 1}"
        require(0 <= self.num_dropped < self.num_quantiles, "agent.num_dropped", self.num_dropped, write=write)
        check_coefficient("agent.lr", self.lr, low=0.0, high=math.inf)
        if self.critic_lr is not None:
            check_coefficient("agent.critic_lr", self.critic_lr, low=0.0, high=math.inf)
        check_coefficient("agent.tau", self.tau, low=0.0, high=1.0)
        check_ent_coef(self.ent_coef)


class TQC(Algorithm):
    """TQC of S sessions in lockstep, on N sub-envs each."""

    Config = TQCConfig
    action_spaces = (gs.Box,)
    counted_in_frames = ("learning_starts", "buffer_size")

    @staticmethod
    def check(
        config: TQCConfig,
        obs_space: gs.Space[Any],
        action_space: gs.Space[Any],
        *,
        num_sessions: int,
        num_envs: int,
        max_frame: int,
    ) -> None:
        check_bounded_box(action_space)
        check_vector_obs(obs_space)
        check_replay(
            config.buffer_size,
            config.learning_starts,
            obs_space,
            action_space,
            num_sessions=num_sessions,
            num_envs=num_envs,
        )
        check_replay_budget(config.learning_starts, config.train_freq, num_envs=num_envs, max_frame=max_frame)

    def __init__(
        self,
        config: TQCConfig,
        obs_space: gs.Space[Any],
        action_space: gs.Space[Any],
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
        self.gradient_steps = config.train_freq * num_envs if config.gradient_steps == -1 else config.gradient_steps
        self.num_actions = math.prod(action_space.shape or ())
        obs_size = math.prod(obs_space.shape or ())
        generators = Streams(seed, num_sessions, "weights").generators
        kind = config.activation
        # a small last layer: the first policy hardly depends on the observation
        sizes = [obs_size, *config.hidden, 2 * self.num_actions]
        self.actor = MLP(sizes, generators=generators, activation=kind, last_gain=0.01).to(device)
        sizes = [obs_size + self.num_actions, *config.hidden, config.num_quantiles]
        self.critics = Critics(sizes, num_critics=config.num_critics, generators=generators, activation=kind).to(device)
        self.target_critics = copy.deepcopy(self.critics)
        self.actor_flat, self.critic_flat = FlatParameters(self.actor), FlatParameters(self.critics)
        self.target_flat = FlatParameters(self.target_critics)
        self.actor_optimizer, self.critic_optimizer = Adam(self.actor_flat), Adam(self.critic_flat)
        target_entropy = -self.num_actions if config.target_entropy is None else config.target_entropy
        self.temperature = Temperature(
            config.ent_coef, target_entropy=target_entropy, num_sessions=num_sessions, device=device
        )
        critic_lr = config.lr if config.critic_lr is None else config.critic_lr
        coefficients = {"lr": config.lr, "critic_lr": critic_lr, "tau": config.tau}
        self.schedules = {name: make_schedule(value) for name, value in coefficients.items()}
        self.action_streams = Streams(seed, num_sessions, "action", device)
        self.batch_streams = Streams(seed, num_sessions, "minibatch")  # on the CPU, where the buffer is
        self.num_acted = 0  # frames
        self.num_updates = 0

    def make_buffer(self) -> ReplayBuffer:
        num_steps = self.config.buffer_size // self.num_envs
        sizes = (num_steps, self.num_sessions, self.num_envs, *self.spaces)
        save = is_saved(self.config.save_buffer, ReplayBuffer.num_bytes(*sizes))
        return ReplayBuffer(*sizes, device=self.device, save=save)

    @torch.no_grad()
    def act(self, obs: np.ndarray, *, explore: bool) -> tuple[np.ndarray, Tensors]:
        if explore:
            self.num_acted += self.num_envs
            if self.num_acted <= self.config.learning_starts:
                return uniform_actions(self.action_streams, self.num_envs, self.num_actions).cpu().numpy(), {}
        outputs = self.actor(torch.from_numpy(obs).to(self.device).flatten(2).float())
        if explore:
            noise = self.action_streams.normal(1, self.num_envs, self.num_actions)[0]
            return tanh_gaussian.sample(outputs, noise).cpu().numpy(), {}
        return tanh_gaussian.mode(outputs).cpu().numpy(), {}

    def update(self, buffer: ReplayBuffer, frame: int) -> Metrics:
        config = self.config
        if buffer.num_frames < config.learning_starts:
            return {}
        progress = frame / self.max_frame
        coefs = {name: schedule(progress) for name, schedule in self.schedules.items()}
        for _ in range(self.gradient_steps):
            minibatch = buffer.sample(config.batch_size, self.batch_streams, gamma=config.gamma, n_step=config.n_step)
            for name in ("obs", "next_obs"):
                minibatch[name] = minibatch[name].flatten(2).float()
            ent_coef = self.temperature.value(progress)
            noise, next_noise = self.action_streams.normal(2, config.batch_size, self.num_actions)
            metrics = self._critic_step(minibatch, next_noise, ent_coef, coefs["critic_lr"])
            metrics |= self._actor_step(minibatch["obs"], noise, ent_coef, coefs["lr"])
            self.target_flat.data.lerp_(self.critic_flat.data, coefs["tau"])
            self.num_updates += 1
        return {
            **metrics,
            "train/ent_coef": ent_coef.squeeze(1),
            "train/lr": coefs["lr"],
            "train/num_updates": self.num_updates,
            "train/utd": self.gradient_steps / (self.rollout_steps * self.num_envs),
        }

    def _critic_step(self, minibatch: Tensors, noise: Tensor, ent_coef: Tensor, lr: float) -> dict[str, Tensor]:
        next_obs = minibatch["next_obs"]
        with torch.no_grad():
            next_action, next_log_prob = tanh_gaussian.sample_log_prob(self.actor(next_obs), noise)
            next_quantiles = self.target_critics(torch.cat([next_obs, next_action], -1))  # [S, C, B, Q]
            next_value = truncated(next_quantiles, self.config.num_dropped) - (ent_coef * next_log_prob).unsqueeze(-1)
            target = minibatch["reward"].unsqueeze(-1) + minibatch["discount"].unsqueeze(-1) * next_value
        quantiles = self.critics(torch.cat([minibatch["obs"], minibatch["action"]], -1))
        # of each critic; a mean over the quantiles too, as in the paper's code
        loss = quantile_huber(quantiles, target.unsqueeze(1)).mean(2) / quantiles.shape[3]
        self.critic_flat.backward(loss.sum(1))
        self.critic_optimizer.step(lr)
        return {"train/critic_loss": loss.detach().mean(1), "train/q_value": quantiles.detach().mean((1, 2, 3))}

    def _actor_step(self, obs: Tensor, noise: Tensor, ent_coef: Tensor, lr: float) -> dict[str, Tensor]:
        """Towards what all quantiles of all critics like better on average."""
        action, log_prob = tanh_gaussian.sample_log_prob(self.actor(obs), noise)
        quantiles = self.critics(torch.cat([obs, action], -1))
        loss = (ent_coef * log_prob - quantiles.mean((1, 3))).mean(1)
        self.actor_flat.backward(loss)
        self.actor_optimizer.step(lr)
        self.temperature.step(-log_prob, lr)
        return {"train/actor_loss": loss.detach(), "train/entropy": -log_prob.detach().mean(1)}

    def policy(self, session: int) -> nn.Module:
        return GreedyNet(self.actor, session, tanh_gaussian.mode)

    def state_dict(self) -> dict[str, Any]:
        return {
            "policy": self.actor.state_dict(),
            "critics": self.critic_flat.data,
            "target_critics": self.target_flat.data,
            "actor_optimizer": self.actor_optimizer.state_dict(),
            "critic_optimizer": self.critic_optimizer.state_dict(),
            "temperature": self.temperature.state_dict(),
            "action_streams": self.action_streams.state_dict(),
            "batch_streams": self.batch_streams.state_dict(),
            "num_acted": self.num_acted,
            "num_updates": self.num_updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.actor.load_state_dict(state["policy"])
        self.critic_flat.data.copy_(state["critics"])
        self.target_flat.data.copy_(state["target_critics"])
        for name in ("actor_optimizer", "critic_optimizer", "temperature", "action_streams", "batch_streams"):
            getattr(self, name).load_state_dict(state[name])
        self.num_acted = state["num_acted"]
        self.num_updates = state["num_updates"]


def truncated(quantiles: Tensor, num_dropped: int) -> Tensor:
    """The quantiles of all critics as one distribution, without its top: ``[S, C, B, Q] -> [S, B, C * (Q - dropped)]``.

    Its top is where overestimated values are.
    """
    pooled = quantiles.transpose(1, 2).flatten(2).sort(-1).values
    return pooled[..., : pooled.shape[-1] - num_dropped * quantiles.shape[1]]
