"""Truncated quantile critics (Kuznetsov, Shvechikov, Grishin, Vetrov 2020)."""

import copy
from dataclasses import dataclass

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.algorithms.contract import Acted, Algorithm, Metrics, State, Task
from rllab.algorithms.shared.off_policy import (
    SoftSettings,
    check_replay,
    critic_schedules,
    make_replay,
    make_temperature,
    network_options,
    normalized,
    take_in_newest,
)
from rllab.algorithms.shared.settings import Activation, check_ranges
from rllab.buffers import Tensors
from rllab.buffers.replay import ReplayBuffer
from rllab.errors import require
from rllab.functional.losses import quantile_huber
from rllab.functional.schedules import Coefficient, check_coefficient
from rllab.nets.greedy import GreedyPolicy
from rllab.nets.obs_net import Critics, ObsNet
from rllab.nets.soft_actions import ContinuousActions, SoftSampler
from rllab.nets.spaces import check_bounded_box
from rllab.nets.torsos import check_network
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class TQCConfig(SoftSettings):
    """Settings of TQC."""

    name: str = "tqc"
    activation: Activation = "relu"
    """Activation of the hidden layers."""
    num_critics: int = 2
    """Critics, each of which predicts a distribution of returns."""
    tau: Coefficient = 0.005
    """How far the target critics follow the critics after each gradient step."""
    num_quantiles: int = 25
    """Quantiles of a critic."""
    num_dropped: int = 2
    """Quantiles for each critic that a target drops, from the top: more is more pessimistic."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, integers=["num_quantiles"])
        check_coefficient("agent.tau", self.tau, low=0.0, high=1.0)
        write = f"an integer from 0 to agent.num_quantiles - 1 = {self.num_quantiles - 1}"
        require(0 <= self.num_dropped < self.num_quantiles, "agent.num_dropped", self.num_dropped, write=write)


class TQC(Algorithm):
    """TQC of S sessions in lockstep, on N sub-envs each."""

    Config = TQCConfig
    action_spaces = (gs.Box,)
    counted_in_frames = ("learning_starts", "buffer_size")
    saved = (
        *("critics", "target_critics", "optimizer", "critic_optimizer", "temperature"),
        *("sampler", "batch_streams", "num_updates"),
    )
    shared = ("net", "critics", "target_critics", "target_flat", "optimizer", "critic_optimizer", "temperature")

    @staticmethod
    def check(config: TQCConfig, task: Task) -> None:
        check_bounded_box(task.action_space)
        check_network(config.network, task.obs_space, normalize_obs=config.normalize_obs)
        check_replay(config, task)

    def __init__(self, config: TQCConfig, task: Task, *, seed: int | Seed, device: str = "cpu") -> None:
        self.config, self.task, self.device = config, task, device
        self.rollout_steps = config.train_freq
        self.gradient_steps = config.steps_of_update(task.num_envs)
        self.actions = ContinuousActions(task.num_actions)
        common = network_options(config, task, seed) | {"activation": config.activation}
        # a small last layer: the first policy hardly depends on the observation
        self.net = ObsNet(
            task.obs_space, self.actions.num_outputs, last_gain=0.01, normalize_obs=config.normalize_obs, **common
        ).to(device)
        common |= {"num_critics": config.num_critics, "num_told": self.actions.num_told}
        self.critics = Critics(task.obs_space, config.num_quantiles, **common).to(device)
        self.target_critics = copy.deepcopy(self.critics)
        self.flat, self.critic_flat = FlatParameters(self.net), FlatParameters(self.critics)
        self.target_flat = FlatParameters(self.target_critics)
        self.optimizer, self.critic_optimizer = Adam(self.flat), Adam(self.critic_flat)
        self.schedules = critic_schedules(config, "tau")
        self.temperature = make_temperature(config, task, self.actions.target_entropy, device, self.schedules)
        streams = Streams(seed, task.num_sessions, "action", device)
        self.sampler = SoftSampler(self.net, self.actions, streams, task.num_envs, config.learning_starts)
        self.batch_streams = Streams(seed, task.num_sessions, "minibatch")  # on the CPU, where the buffer is
        self.num_updates = 0

    def make_buffer(self) -> ReplayBuffer:
        return make_replay(self.config, self.task, self.device)

    def act(self, obs: np.ndarray, state: State, starts: np.ndarray, *, explore: bool) -> Acted:
        return Acted(self.sampler.act(obs, explore=explore), {}, state)

    def update(self, buffer: ReplayBuffer, frame: int) -> Metrics:
        config = self.config
        take_in_newest(self.net, buffer, self.rollout_steps)
        if buffer.num_frames < config.learning_starts:
            return {}
        progress = self.task.progress(frame)
        coefs = {name: schedule(progress) for name, schedule in self.schedules.items()}
        for _ in range(self.gradient_steps):
            batch = buffer.sample(config.batch_size, self.batch_streams, gamma=config.gamma, n_step=config.n_step)
            minibatch = normalized(self.net, batch)
            ent_coef = self.temperature.value(progress)
            noise, next_noise = self.actions.noise(self.sampler.streams, 2, config.batch_size)
            metrics = self._critic_step(minibatch, next_noise, ent_coef, coefs["critic_lr"])
            metrics |= self._actor_step(minibatch["obs"], noise, ent_coef, coefs["lr"])
            self.target_flat.data.lerp_(self.critic_flat.data, coefs["tau"])
            self.num_updates += 1
        return {
            **metrics,
            "train/ent_coef": ent_coef.squeeze(1),
            "train/lr": coefs["lr"],
            "train/num_updates": self.num_updates,
            "train/utd": self.gradient_steps / (self.rollout_steps * self.task.num_envs),
        }

    def _critic_step(self, minibatch: Tensors, noise: Tensor, ent_coef: Tensor, lr: float) -> dict[str, Tensor]:
        next_obs = minibatch["next_obs"]
        with torch.no_grad():
            next_action, next_log_prob = self.actions.propose(self.net(next_obs), noise)
            next_quantiles = self.target_critics(next_obs, next_action)  # [S, C, B, Q]
            next_value = truncated(next_quantiles, self.config.num_dropped) - (ent_coef * next_log_prob).unsqueeze(-1)
            target = minibatch["reward"].unsqueeze(-1) + minibatch["discount"].unsqueeze(-1) * next_value
        quantiles = self.critics(minibatch["obs"], minibatch["action"])
        # of each critic; a mean over the quantiles too, as in the paper's code
        loss = quantile_huber(quantiles, target.unsqueeze(1)).mean(2) / quantiles.shape[3]
        self.critic_flat.backward(loss.sum(1))
        self.critic_optimizer.step(lr)
        return {"train/critic_loss": loss.detach().mean(1), "train/q_value": quantiles.detach().mean((1, 2, 3))}

    def _actor_step(self, obs: Tensor, noise: Tensor, ent_coef: Tensor, lr: float) -> dict[str, Tensor]:
        """Move the policy towards actions that all quantiles of all critics value more on average."""
        action, log_prob = self.actions.propose(self.net(obs), noise)
        quantiles = self.critics(obs, action)
        loss = (ent_coef * log_prob - quantiles.mean((1, 3))).mean(1)
        self.flat.backward(loss)
        self.optimizer.step(lr)
        self.temperature.step(-log_prob, lr)
        return {"train/actor_loss": loss.detach(), "train/entropy": -log_prob.detach().mean(1)}

    def policy(self, session: int) -> nn.Module:
        return GreedyPolicy(self.net, session, self.sampler.greedy)


def truncated(quantiles: Tensor, num_dropped: int) -> Tensor:
    """The quantiles of all critics as one distribution, without its top: ``[S, C, B, Q] -> [S, B, C * (Q - dropped)]``.

    Its top is where overestimated values are.
    """
    pooled = quantiles.transpose(1, 2).flatten(2).sort(-1).values
    return pooled[..., : pooled.shape[-1] - num_dropped * quantiles.shape[1]]
