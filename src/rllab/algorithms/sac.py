"""Soft actor-critic (Haarnoja et al. 2018), for continuous actions and discrete ones (Christodoulou 2019)."""

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
from rllab.functional.schedules import Coefficient, check_coefficient, make_schedule
from rllab.nets.box import check_vector_obs
from rllab.nets.critics import Critics
from rllab.nets.mlp import MLP
from rllab.nets.one_session import GreedyNet
from rllab.nets.soft_actions import make_actions
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.optim.temperature import Temperature, check_ent_coef
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class SACConfig:
    """Settings of SAC. A coefficient may be a schedule over the budget: `agent.lr=linear:1e-3:0`."""

    name: str = "sac"
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
    policy_delay: int = 1
    """Gradient steps of the critics for one of the policy."""
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
    """Entropy that ent_coef=auto aims at; null is minus the number of continuous actions, or 0.5 log(n) of n discrete
    ones."""
    num_critics: int = 2
    """Critics, of which the most pessimistic counts."""
    hidden: list[int] = field(default_factory=lambda: [256, 256])
    """Widths of the hidden layers of each network."""
    activation: Literal["tanh", "relu", "elu"] = "relu"
    """Activation of the hidden layers."""
    save_buffer: bool | None = None
    """Whether checkpoints hold the replay buffer, so that a resumed run goes on exactly; null: below 2 GiB."""

    def __post_init__(self) -> None:
        check_off_policy(self)
        require(self.policy_delay >= 1, "agent.policy_delay", self.policy_delay, write="an integer of at least 1")
        check_coefficient("agent.lr", self.lr, low=0.0, high=math.inf)
        if self.critic_lr is not None:
            check_coefficient("agent.critic_lr", self.critic_lr, low=0.0, high=math.inf)
        check_coefficient("agent.tau", self.tau, low=0.0, high=1.0)
        check_ent_coef(self.ent_coef)


class SAC(Algorithm):
    """SAC of S sessions in lockstep, on N sub-envs each."""

    Config = SACConfig
    action_spaces = (gs.Discrete, gs.Box)
    counted_in_frames = ("learning_starts", "buffer_size")

    @staticmethod
    def check(
        config: SACConfig,
        obs_space: gs.Space[Any],
        action_space: gs.Space[Any],
        *,
        num_sessions: int,
        num_envs: int,
        max_frame: int,
    ) -> None:
        make_actions(action_space)
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
        config: SACConfig,
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
        self.actions = make_actions(action_space)
        obs_size = math.prod(obs_space.shape or ())
        generators = Streams(seed, num_sessions, "weights").generators
        kind = config.activation
        # a small last layer: the first policy hardly depends on the observation
        sizes = [obs_size, *config.hidden, self.actions.num_outputs]
        self.actor = MLP(sizes, generators=generators, activation=kind, last_gain=0.01).to(device)
        sizes = [obs_size + self.actions.num_inputs, *config.hidden, self.actions.num_values]
        self.critics = Critics(sizes, num_critics=config.num_critics, generators=generators, activation=kind).to(device)
        self.target_critics = copy.deepcopy(self.critics)
        self.actor_flat, self.critic_flat = FlatParameters(self.actor), FlatParameters(self.critics)
        self.target_flat = FlatParameters(self.target_critics)
        self.actor_optimizer, self.critic_optimizer = Adam(self.actor_flat), Adam(self.critic_flat)
        target_entropy = self.actions.target_entropy if config.target_entropy is None else config.target_entropy
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
        self.actor_metrics: Tensors = {}  # of its latest step

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
                return self.actions.random(self.action_streams, self.num_envs).cpu().numpy(), {}
        outputs = self.actor(torch.from_numpy(obs).to(self.device).flatten(2).float())
        if explore:
            noise = self.actions.noise(self.action_streams, 1, self.num_envs)[0]
            return self.actions.sample(outputs, noise).cpu().numpy(), {}
        return self.actions.mode(outputs).cpu().numpy(), {}

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
            noise, next_noise = self.actions.noise(self.action_streams, 2, config.batch_size)
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
            "train/utd": self.gradient_steps / (self.rollout_steps * self.num_envs),
        }

    def _critic_step(self, minibatch: Tensors, noise: Tensor, ent_coef: Tensor, lr: float) -> dict[str, Tensor]:
        obs, next_obs, action = minibatch["obs"], minibatch["next_obs"], minibatch["action"]
        with torch.no_grad():
            next_x, next_log_prob = self.actions.propose(next_obs, self.actor(next_obs), noise)
            next_value = self.actions.soft_value(self.target_critics(next_x), next_log_prob, ent_coef)
            target = minibatch["reward"] + minibatch["discount"] * next_value  # [S, B]
        q = self.actions.taken(self.critics(self.actions.critic_input(obs, action)), action)  # [S, C, B]
        loss = 0.5 * (q - target.unsqueeze(1)).square().mean(2)  # of each critic
        self.critic_flat.backward(loss.sum(1))
        self.critic_optimizer.step(lr)
        return {"train/critic_loss": loss.detach().mean(1), "train/q_value": q.detach().mean((1, 2))}

    def _actor_step(self, obs: Tensor, noise: Tensor, ent_coef: Tensor, lr: float) -> None:
        loss, entropy = self.actions.actor_loss(self.actor(obs), noise, self.critics, obs, ent_coef)
        self.actor_flat.backward(loss.mean(1))
        self.actor_optimizer.step(lr)
        self.temperature.step(entropy, lr)
        self.actor_metrics = {"train/actor_loss": loss.detach().mean(1), "train/entropy": entropy.detach().mean(1)}

    def policy(self, session: int) -> nn.Module:
        return GreedyNet(self.actor, session, self.actions.mode)

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
            "actor_metrics": self.actor_metrics,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.actor.load_state_dict(state["policy"])
        self.critic_flat.data.copy_(state["critics"])
        self.target_flat.data.copy_(state["target_critics"])
        for name in ("actor_optimizer", "critic_optimizer", "temperature", "action_streams", "batch_streams"):
            getattr(self, name).load_state_dict(state[name])
        self.num_acted = state["num_acted"]
        self.num_updates = state["num_updates"]
        self.actor_metrics = {name: x.to(self.device) for name, x in state["actor_metrics"].items()}
