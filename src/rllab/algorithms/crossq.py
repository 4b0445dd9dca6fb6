"""CrossQ (Bhatt, Palenicek, Belousov, Argus, Amiranashvili, Brox, Peters 2024), for discrete actions too."""

import math
from dataclasses import dataclass, field
from typing import Any

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
from rllab.nets.batch_renorm import RenormMLP
from rllab.nets.box import check_vector_obs
from rllab.nets.critics import RenormCritics
from rllab.nets.one_session import GreedyNet
from rllab.nets.soft_actions import make_actions
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.optim.temperature import Temperature, check_ent_coef
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class CrossQConfig:
    """Settings of CrossQ. A coefficient may be a schedule over the budget: `agent.lr=linear:1e-3:0`."""

    name: str = "crossq"
    """The algorithm."""
    lr: Coefficient = 1e-3
    """Learning rate of Adam for policy, temperature and critics."""
    critic_lr: Coefficient | None = None
    """Learning rate of the critics, if it is another one."""
    adam_beta1: float = 0.5
    """Momentum of Adam: less than the usual 0.9, for there are no target networks that calm the critics."""
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
    policy_delay: int = 3
    """Gradient steps of the critics for one of the policy."""
    gamma: float = 0.99
    """Discount."""
    n_step: int = 1
    """Rewards that a target sums before it bootstraps."""
    ent_coef: Coefficient = "auto"
    """Weight of the entropy, higher explores more; auto learns it for each session so that the policy keeps
    target_entropy."""
    target_entropy: float | None = None
    """Entropy that ent_coef=auto aims at; null is minus the number of continuous actions, or 0.5 log(n) of n discrete
    ones."""
    num_critics: int = 2
    """Critics, of which the most pessimistic counts."""
    hidden: list[int] = field(default_factory=lambda: [256, 256])
    """Widths of the hidden layers of the policy."""
    critic_hidden: list[int] = field(default_factory=lambda: [1024, 1024])
    """Widths of the hidden layers of the critics: wide ones pay here."""
    renorm_momentum: float = 0.01
    """Weight of a new batch in the running statistics of batch renormalisation."""
    renorm_warmup: int = 100_000
    """Gradient steps of plain batch normalisation, before the running statistics correct it."""
    save_buffer: bool | None = None
    """Whether checkpoints hold the replay buffer, so that a resumed run goes on exactly; null: below 2 GiB."""

    def __post_init__(self) -> None:
        check_off_policy(self)
        require(self.policy_delay >= 1, "agent.policy_delay", self.policy_delay, write="an integer of at least 1")
        require(self.renorm_warmup >= 0, "agent.renorm_warmup", self.renorm_warmup, write="an integer of at least 0")
        write = "a number above 0, at most 1, e.g. 0.01"
        require(0 < self.renorm_momentum <= 1, "agent.renorm_momentum", self.renorm_momentum, write=write)
        require(0 <= self.adam_beta1 < 1, "agent.adam_beta1", self.adam_beta1, write="a number from 0 to below 1")
        for width in self.critic_hidden:
            write = "a list of widths of at least 1, e.g. [1024,1024]"
            require(width >= 1, "agent.critic_hidden", self.critic_hidden, write=write)
        check_coefficient("agent.lr", self.lr, low=0.0, high=math.inf)
        if self.critic_lr is not None:
            check_coefficient("agent.critic_lr", self.critic_lr, low=0.0, high=math.inf)
        check_ent_coef(self.ent_coef)


class CrossQ(Algorithm):
    """CrossQ of S sessions in lockstep, on N sub-envs each."""

    Config = CrossQConfig
    action_spaces = (gs.Discrete, gs.Box)
    counted_in_frames = ("learning_starts", "buffer_size")

    @staticmethod
    def check(
        config: CrossQConfig,
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
        config: CrossQConfig,
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
        renorm: dict[str, Any] = {"momentum": config.renorm_momentum, "warmup": config.renorm_warmup}
        # a small last layer: the first policy hardly depends on the observation
        sizes = [obs_size, *config.hidden, self.actions.num_outputs]
        self.actor = RenormMLP(sizes, generators=generators, last_gain=0.01, **renorm).to(device)
        sizes = [obs_size + self.actions.num_inputs, *config.critic_hidden, self.actions.num_values]
        self.critics = RenormCritics(sizes, num_critics=config.num_critics, generators=generators, **renorm).to(device)
        self.actor_flat, self.critic_flat = FlatParameters(self.actor), FlatParameters(self.critics)
        betas = (config.adam_beta1, 0.999)
        self.actor_optimizer = Adam(self.actor_flat, betas=betas)
        self.critic_optimizer = Adam(self.critic_flat, betas=betas)
        target_entropy = self.actions.target_entropy if config.target_entropy is None else config.target_entropy
        self.temperature = Temperature(
            config.ent_coef, target_entropy=target_entropy, num_sessions=num_sessions, device=device, betas=betas
        )
        coefficients = {"lr": config.lr, "critic_lr": config.lr if config.critic_lr is None else config.critic_lr}
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
        lr, critic_lr = (self.schedules[name](progress) for name in ("lr", "critic_lr"))
        for _ in range(self.gradient_steps):
            minibatch = buffer.sample(config.batch_size, self.batch_streams, gamma=config.gamma, n_step=config.n_step)
            for name in ("obs", "next_obs"):
                minibatch[name] = minibatch[name].flatten(2).float()
            ent_coef = self.temperature.value(progress)
            noise, next_noise = self.actions.noise(self.action_streams, 2, config.batch_size)
            metrics = self._critic_step(minibatch, next_noise, ent_coef, critic_lr)
            self.num_updates += 1
            if self.num_updates % config.policy_delay == 0:
                self._actor_step(minibatch["obs"], noise, ent_coef, lr)
        return {
            **metrics,
            **self.actor_metrics,
            "train/ent_coef": ent_coef.squeeze(1),
            "train/lr": lr,
            "train/num_updates": self.num_updates,
            "train/utd": self.gradient_steps / (self.rollout_steps * self.num_envs),
        }

    def _critic_step(self, minibatch: Tensors, noise: Tensor, ent_coef: Tensor, lr: float) -> dict[str, Tensor]:
        """Present and next actions go through the critics as one batch, so that both are normalised alike."""
        obs, next_obs, action = minibatch["obs"], minibatch["next_obs"], minibatch["action"]
        with torch.no_grad():
            next_x, next_log_prob = self.actions.propose(next_obs, self.actor(next_obs), noise)
        both = self.critics(torch.cat([self.actions.critic_input(obs, action), next_x], 1), training=True)
        values, next_values = both.chunk(2, 2)  # [S, C, B, ...]
        next_value = self.actions.soft_value(next_values.detach(), next_log_prob, ent_coef)
        target = minibatch["reward"] + minibatch["discount"] * next_value  # [S, B]
        q = self.actions.taken(values, action)  # [S, C, B]
        loss = 0.5 * (q - target.unsqueeze(1)).square().mean(2)  # of each critic
        self.critic_flat.backward(loss.sum(1))
        self.critic_optimizer.step(lr)
        return {"train/critic_loss": loss.detach().mean(1), "train/q_value": q.detach().mean((1, 2))}

    def _actor_step(self, obs: Tensor, noise: Tensor, ent_coef: Tensor, lr: float) -> None:
        outputs = self.actor(obs, training=True)
        loss, entropy = self.actions.actor_loss(outputs, noise, self.critics, obs, ent_coef)
        self.actor_flat.backward(loss.mean(1))
        self.actor_optimizer.step(lr)
        self.temperature.step(entropy, lr)
        self.actor_metrics = {"train/actor_loss": loss.detach().mean(1), "train/entropy": entropy.detach().mean(1)}

    def policy(self, session: int) -> nn.Module:
        return GreedyNet(self.actor, session, self.actions.mode)

    def state_dict(self) -> dict[str, Any]:
        return {
            "policy": self.actor.state_dict(),
            "critics": self.critics.state_dict(),
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
        self.critics.load_state_dict(state["critics"])
        for name in ("actor_optimizer", "critic_optimizer", "temperature", "action_streams", "batch_streams"):
            getattr(self, name).load_state_dict(state[name])
        self.num_acted = state["num_acted"]
        self.num_updates = state["num_updates"]
        self.actor_metrics = {name: x.to(self.device) for name, x in state["actor_metrics"].items()}
