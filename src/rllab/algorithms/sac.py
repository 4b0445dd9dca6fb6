"""Soft actor-critic (Haarnoja et al. 2018), for continuous actions and discrete ones (Christodoulou 2019)."""

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
from rllab.functional.schedules import Coefficient, check_coefficient
from rllab.nets.greedy import GreedyPolicy
from rllab.nets.obs_net import Critics, ObsNet
from rllab.nets.soft_actions import SoftSampler, make_actions
from rllab.nets.torsos import check_network
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class SACConfig(SoftSettings):
    """Settings of SAC."""

    name: str = "sac"
    activation: Activation = "relu"
    """Activation of the hidden layers."""
    policy_delay: int = 1
    """Gradient steps of the critics for one of the policy."""
    tau: Coefficient = 0.005
    """How far the target critics follow the critics after each gradient step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, integers=["policy_delay"])
        check_coefficient("agent.tau", self.tau, low=0.0, high=1.0)


class SAC(Algorithm):
    """SAC of S sessions in lockstep, on N sub-envs each."""

    Config = SACConfig
    action_spaces = (gs.Discrete, gs.Box)
    counted_in_frames = ("learning_starts", "buffer_size")
    saved = (
        *("critics", "target_critics", "optimizer", "critic_optimizer", "temperature"),
        *("sampler", "batch_streams", "num_updates", "actor_metrics"),
    )
    shared = ("net", "critics", "target_critics", "target_flat", "optimizer", "critic_optimizer", "temperature")

    @staticmethod
    def check(config: SACConfig, task: Task) -> None:
        make_actions(task.action_space)
        check_network(config.network, task.obs_space, normalize_obs=config.normalize_obs)
        check_replay(config, task)

    def __init__(self, config: SACConfig, task: Task, *, seed: int | Seed, device: str = "cpu") -> None:
        self.config, self.task, self.device = config, task, device
        self.rollout_steps = config.train_freq
        self.gradient_steps = config.steps_of_update(task.num_envs)
        self.actions = actions = make_actions(task.action_space)
        common = network_options(config, task, seed) | {"activation": config.activation}
        # a small last layer: the first policy hardly depends on the observation
        self.net = ObsNet(
            task.obs_space, actions.num_outputs, last_gain=0.01, normalize_obs=config.normalize_obs, **common
        ).to(device)
        common |= {"num_critics": config.num_critics, "num_told": actions.num_told}
        self.critics = Critics(task.obs_space, actions.num_values, **common).to(device)
        self.target_critics = copy.deepcopy(self.critics)
        self.flat, self.critic_flat = FlatParameters(self.net), FlatParameters(self.critics)
        self.target_flat = FlatParameters(self.target_critics)
        self.optimizer, self.critic_optimizer = Adam(self.flat), Adam(self.critic_flat)
        self.schedules = critic_schedules(config, "tau")
        self.temperature = make_temperature(config, task, actions.target_entropy, device, self.schedules)
        streams = Streams(seed, task.num_sessions, "action", device)
        self.sampler = SoftSampler(self.net, actions, streams, task.num_envs, config.learning_starts)
        self.batch_streams = Streams(seed, task.num_sessions, "minibatch")  # on the CPU, where the buffer is
        self.num_updates = 0
        self.actor_metrics: Tensors = {}  # of its latest step

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
            self.num_updates += 1
            if self.num_updates % config.policy_delay == 0:
                self._actor_step(minibatch["obs"], noise, ent_coef, coefs["lr"])
            self.target_flat.data.lerp_(self.critic_flat.data, coefs["tau"])
        return {
            **metrics,
            **self.actor_metrics,
            "train/ent_coef": ent_coef.squeeze(1),
            "train/lr": coefs["lr"],
            "train/num_updates": self.num_updates,
            "train/utd": self.gradient_steps / (self.rollout_steps * self.task.num_envs),
        }

    def _critic_step(self, minibatch: Tensors, noise: Tensor, ent_coef: Tensor, lr: float) -> dict[str, Tensor]:
        obs, next_obs, action = minibatch["obs"], minibatch["next_obs"], minibatch["action"]
        with torch.no_grad():
            next_told, next_log_prob = self.actions.propose(self.net(next_obs), noise)
            next_value = self.actions.soft_value(self.target_critics(next_obs, next_told), next_log_prob, ent_coef)
            target = minibatch["reward"] + minibatch["discount"] * next_value  # [S, B]
        q = self.actions.taken(self.critics(obs, self.actions.told(action)), action)  # [S, C, B]
        loss = 0.5 * (q - target.unsqueeze(1)).square().mean(2)  # of each critic
        self.critic_flat.backward(loss.sum(1))
        self.critic_optimizer.step(lr)
        return {"train/critic_loss": loss.detach().mean(1), "train/q_value": q.detach().mean((1, 2))}

    def _actor_step(self, obs: Tensor, noise: Tensor, ent_coef: Tensor, lr: float) -> None:
        loss, entropy = self.actions.actor_loss(self.net(obs), noise, self.critics, obs, ent_coef)
        self.flat.backward(loss.mean(1))
        self.optimizer.step(lr)
        self.temperature.step(entropy, lr)
        self.actor_metrics = {"train/actor_loss": loss.detach().mean(1), "train/entropy": entropy.detach().mean(1)}

    def policy(self, session: int) -> nn.Module:
        return GreedyPolicy(self.net, session, self.sampler.greedy)
