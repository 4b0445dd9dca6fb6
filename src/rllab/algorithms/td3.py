"""Twin delayed deep deterministic policy gradient (Fujimoto, van Hoof, Meger 2018)."""

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
from rllab.nets.box import check_bounded_box, check_vector_obs, uniform_actions
from rllab.nets.critics import Critics
from rllab.nets.mlp import MLP
from rllab.nets.one_session import GreedyNet
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class TD3Config:
    """Settings of TD3. A coefficient may be a schedule over the budget: `agent.lr=linear:1e-3:0`."""

    name: str = "td3"
    """The algorithm."""
    lr: Coefficient = 3e-4
    """Learning rate of Adam for policy and critics."""
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
    policy_delay: int = 2
    """Gradient steps of the critics for one of the policy and of the targets."""
    gamma: float = 0.99
    """Discount."""
    n_step: int = 1
    """Rewards that a target sums before it bootstraps."""
    tau: Coefficient = 0.005
    """How far the target networks follow, each time."""
    exploration_noise: Coefficient = 0.1
    """Standard deviation of the noise on actions while training, where actions range from -1 to 1."""
    policy_noise: Coefficient = 0.2
    """Standard deviation of the noise on the target policy's actions: it smooths the critics."""
    noise_clip: float = 0.5
    """Where policy_noise is cut."""
    num_critics: int = 2
    """Critics, of which the most pessimistic makes the target."""
    hidden: list[int] = field(default_factory=lambda: [256, 256])
    """Widths of the hidden layers of each network."""
    activation: Literal["tanh", "relu", "elu"] = "relu"
    """Activation of the hidden layers."""
    save_buffer: bool | None = None
    """Whether checkpoints hold the replay buffer, so that a resumed run goes on exactly; null: below 2 GiB."""

    def __post_init__(self) -> None:
        check_off_policy(self)
        require(self.policy_delay >= 1, "agent.policy_delay", self.policy_delay, write="an integer of at least 1")
        require(self.noise_clip >= 0, "agent.noise_clip", self.noise_clip, write="a number of at least 0, e.g. 0.5")
        check_coefficient("agent.lr", self.lr, low=0.0, high=math.inf)
        if self.critic_lr is not None:
            check_coefficient("agent.critic_lr", self.critic_lr, low=0.0, high=math.inf)
        check_coefficient("agent.tau", self.tau, low=0.0, high=1.0)
        for name in ("exploration_noise", "policy_noise"):
            check_coefficient(f"agent.{name}", getattr(self, name), low=0.0, high=math.inf)


class TD3(Algorithm):
    """TD3 of S sessions in lockstep, on N sub-envs each."""

    Config = TD3Config
    action_spaces = (gs.Box,)
    counted_in_frames = ("learning_starts", "buffer_size")

    @staticmethod
    def check(
        config: TD3Config,
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
        config: TD3Config,
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
        # a small last layer: the first actions are near 0, where tanh is not saturated
        sizes = [obs_size, *config.hidden, self.num_actions]
        self.actor = MLP(sizes, generators=generators, activation=kind, last_gain=0.01).to(device)
        sizes = [obs_size + self.num_actions, *config.hidden, 1]
        self.critics = Critics(sizes, num_critics=config.num_critics, generators=generators, activation=kind).to(device)
        self.target_actor, self.target_critics = copy.deepcopy(self.actor), copy.deepcopy(self.critics)
        self.actor_flat, self.critic_flat = FlatParameters(self.actor), FlatParameters(self.critics)
        self.target_actor_flat = FlatParameters(self.target_actor)
        self.target_critic_flat = FlatParameters(self.target_critics)
        self.actor_optimizer, self.critic_optimizer = Adam(self.actor_flat), Adam(self.critic_flat)
        coefficients = {name: getattr(config, name) for name in ("lr", "tau", "exploration_noise", "policy_noise")}
        coefficients["critic_lr"] = config.lr if config.critic_lr is None else config.critic_lr
        self.schedules = {name: make_schedule(value) for name, value in coefficients.items()}
        self.action_streams = Streams(seed, num_sessions, "action", device)
        self.batch_streams = Streams(seed, num_sessions, "minibatch")  # on the CPU, where the buffer is
        self.num_acted = 0  # frames
        self.frame = 0  # the run's, with those of other workers on this policy
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
            self.frame += self.num_envs
            if self.num_acted <= self.config.learning_starts:
                return uniform_actions(self.action_streams, self.num_envs, self.num_actions).cpu().numpy(), {}
        action = torch.tanh(self.actor(torch.from_numpy(obs).to(self.device).flatten(2).float()))
        if explore:
            std = self.schedules["exploration_noise"](self.frame / self.max_frame)
            action = action + std * self.action_streams.normal(1, self.num_envs, self.num_actions)[0]
        return action.clamp(-1.0, 1.0).cpu().numpy(), {}

    def update(self, buffer: ReplayBuffer, frame: int) -> Metrics:
        config = self.config
        self.frame = frame
        if buffer.num_frames < config.learning_starts:
            return {}
        coefs = {name: schedule(frame / self.max_frame) for name, schedule in self.schedules.items()}
        for _ in range(self.gradient_steps):
            minibatch = buffer.sample(config.batch_size, self.batch_streams, gamma=config.gamma, n_step=config.n_step)
            for name in ("obs", "next_obs"):
                minibatch[name] = minibatch[name].flatten(2).float()
            metrics = self._critic_step(minibatch, coefs["policy_noise"], coefs["critic_lr"])
            self.num_updates += 1
            if self.num_updates % config.policy_delay == 0:
                self._actor_step(minibatch["obs"], coefs["lr"])
                self.target_actor_flat.data.lerp_(self.actor_flat.data, coefs["tau"])
                self.target_critic_flat.data.lerp_(self.critic_flat.data, coefs["tau"])
        return {
            **metrics,
            **self.actor_metrics,
            "train/lr": coefs["lr"],
            "train/num_updates": self.num_updates,
            "train/utd": self.gradient_steps / (self.rollout_steps * self.num_envs),
        }

    def _critic_step(self, minibatch: Tensors, policy_noise: float, lr: float) -> dict[str, Tensor]:
        next_obs, action = minibatch["next_obs"], minibatch["action"]
        noise = policy_noise * self.action_streams.normal(1, *action.shape[1:])[0]
        with torch.no_grad():
            next_action = smoothed(torch.tanh(self.target_actor(next_obs)), noise, self.config.noise_clip)
            next_q = self.target_critics(torch.cat([next_obs, next_action], -1)).squeeze(-1)  # [S, C, B]
            target = minibatch["reward"] + minibatch["discount"] * next_q.amin(1)
        q = self.critics(torch.cat([minibatch["obs"], action], -1)).squeeze(-1)
        loss = 0.5 * (q - target.unsqueeze(1)).square().mean(2)  # of each critic
        self.critic_flat.backward(loss.sum(1))
        self.critic_optimizer.step(lr)
        return {"train/critic_loss": loss.detach().mean(1), "train/q_value": q.detach().mean((1, 2))}

    def _actor_step(self, obs: Tensor, lr: float) -> None:
        """Towards what the first critic likes better."""
        values = self.critics(torch.cat([obs, torch.tanh(self.actor(obs))], -1))
        loss = -values[:, 0].mean((1, 2))
        self.actor_flat.backward(loss)
        self.actor_optimizer.step(lr)
        self.actor_metrics = {"train/actor_loss": loss.detach()}

    def policy(self, session: int) -> nn.Module:
        return GreedyNet(self.actor, session, torch.tanh)

    def state_dict(self) -> dict[str, Any]:
        return {
            "policy": self.actor.state_dict(),
            "critics": self.critic_flat.data,
            "target_actor": self.target_actor_flat.data,
            "target_critics": self.target_critic_flat.data,
            "actor_optimizer": self.actor_optimizer.state_dict(),
            "critic_optimizer": self.critic_optimizer.state_dict(),
            "action_streams": self.action_streams.state_dict(),
            "batch_streams": self.batch_streams.state_dict(),
            "num_acted": self.num_acted,
            "frame": self.frame,
            "num_updates": self.num_updates,
            "actor_metrics": self.actor_metrics,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.actor.load_state_dict(state["policy"])
        self.critic_flat.data.copy_(state["critics"])
        self.target_actor_flat.data.copy_(state["target_actor"])
        self.target_critic_flat.data.copy_(state["target_critics"])
        for name in ("actor_optimizer", "critic_optimizer", "action_streams", "batch_streams"):
            getattr(self, name).load_state_dict(state[name])
        self.num_acted = state["num_acted"]
        self.frame = state["frame"]
        self.num_updates = state["num_updates"]
        self.actor_metrics = {name: x.to(self.device) for name, x in state.get("actor_metrics", {}).items()}


def smoothed(action: Tensor, noise: Tensor, noise_clip: float) -> Tensor:
    """Target policy smoothing: the action with clipped noise, within [-1, 1]."""
    return (action + noise.clamp(-noise_clip, noise_clip)).clamp(-1.0, 1.0)
