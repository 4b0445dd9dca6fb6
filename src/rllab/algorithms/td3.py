"""Twin delayed deep deterministic policy gradient (Fujimoto, van Hoof, Meger 2018)."""

import copy
from dataclasses import dataclass

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.algorithms.contract import Acted, Algorithm, Metrics, State, Task
from rllab.algorithms.shared.off_policy import (
    CriticSettings,
    check_replay,
    critic_schedules,
    make_replay,
    network_options,
    normalized,
    take_in_newest,
)
from rllab.algorithms.shared.settings import Activation, check_ranges
from rllab.buffers import Tensors
from rllab.buffers.replay import ReplayBuffer
from rllab.errors import require
from rllab.functional.schedules import Coefficient, check_coefficient
from rllab.nets.greedy import GreedyPolicy
from rllab.nets.obs_net import Critics, ObsNet
from rllab.nets.spaces import check_bounded_box
from rllab.nets.torsos import check_network
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.random.noise import uniform_actions
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class TD3Config(CriticSettings):
    """Settings of TD3."""

    name: str = "td3"
    activation: Activation = "relu"
    """Activation of the hidden layers."""
    num_critics: int = 2
    """Critics, of which the most pessimistic makes the target."""
    policy_delay: int = 2
    """Gradient steps of the critics for one of the policy and of the targets."""
    tau: Coefficient = 0.005
    """How far the target networks follow, each time."""
    exploration_noise: Coefficient = 0.1
    """Standard deviation of the noise on actions while training, where actions range from -1 to 1."""
    policy_noise: Coefficient = 0.2
    """Standard deviation of the noise on the target policy's actions: it smooths the critics."""
    noise_clip: float = 0.5
    """Where policy_noise is cut."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, integers=["policy_delay"], coefficients=["exploration_noise", "policy_noise"])
        check_coefficient("agent.tau", self.tau, low=0.0, high=1.0)
        require(self.noise_clip >= 0, "agent.noise_clip", self.noise_clip, write="a number of at least 0, e.g. 0.5")


class TD3(Algorithm):
    """TD3 of S sessions in lockstep, on N sub-envs each."""

    Config = TD3Config
    action_spaces = (gs.Box,)
    counted_in_frames = ("learning_starts", "buffer_size")
    saved = (
        *("critics", "target", "target_critics", "optimizer", "critic_optimizer"),
        *("action_streams", "batch_streams", "num_acted", "frame", "num_updates", "actor_metrics"),
    )
    shared = (
        *("net", "critics", "target", "target_flat", "target_critics", "target_critic_flat"),
        *("optimizer", "critic_optimizer"),
    )

    @staticmethod
    def check(config: TD3Config, task: Task) -> None:
        check_bounded_box(task.action_space)
        check_network(config.network, task.obs_space, normalize_obs=config.normalize_obs)
        check_replay(config, task)

    def __init__(self, config: TD3Config, task: Task, *, seed: int | Seed, device: str = "cpu") -> None:
        self.config, self.task, self.device = config, task, device
        self.rollout_steps = config.train_freq
        self.gradient_steps = config.steps_of_update(task.num_envs)
        common = network_options(config, task, seed) | {"activation": config.activation}
        # a small last layer: the first actions are near 0, where tanh is not saturated
        self.net = ObsNet(
            task.obs_space, task.num_actions, last_gain=0.01, normalize_obs=config.normalize_obs, **common
        ).to(device)
        common |= {"num_critics": config.num_critics, "num_told": task.num_actions}
        self.critics = Critics(task.obs_space, 1, **common).to(device)
        self.target, self.target_critics = copy.deepcopy(self.net), copy.deepcopy(self.critics)
        self.flat, self.critic_flat = FlatParameters(self.net), FlatParameters(self.critics)
        self.target_flat, self.target_critic_flat = FlatParameters(self.target), FlatParameters(self.target_critics)
        self.optimizer, self.critic_optimizer = Adam(self.flat), Adam(self.critic_flat)
        self.schedules = critic_schedules(config, "tau", "exploration_noise", "policy_noise")
        self.action_streams = Streams(seed, task.num_sessions, "action", device)
        self.batch_streams = Streams(seed, task.num_sessions, "minibatch")  # on the CPU, where the buffer is
        self.num_acted = 0  # frames
        self.frame = 0  # the run's, with those of other workers on this policy
        self.num_updates = 0
        self.actor_metrics: Tensors = {}  # of its latest step

    def make_buffer(self) -> ReplayBuffer:
        return make_replay(self.config, self.task, self.device)

    @torch.no_grad()
    def act(self, obs: np.ndarray, state: State, starts: np.ndarray, *, explore: bool) -> Acted:
        shape = self.task.num_envs, self.task.num_actions
        self.num_acted += explore * self.task.num_envs
        self.frame += explore * self.task.num_envs
        if explore and self.num_acted <= self.config.learning_starts:
            return Acted(uniform_actions(self.action_streams, *shape).cpu().numpy(), {}, state)
        action = greedy(self.net, torch.from_numpy(obs).to(self.device))
        if explore:
            std = self.schedules["exploration_noise"](self.task.progress(self.frame))
            action = (action + std * self.action_streams.normal(1, *shape)[0]).clamp(-1.0, 1.0)
        return Acted(action.cpu().numpy(), {}, state)

    def update(self, buffer: ReplayBuffer, frame: int) -> Metrics:
        config = self.config
        self.frame = frame
        take_in_newest(self.net, buffer, self.rollout_steps)
        if buffer.num_frames < config.learning_starts:
            return {}
        coefs = {name: schedule(self.task.progress(frame)) for name, schedule in self.schedules.items()}
        for _ in range(self.gradient_steps):
            batch = buffer.sample(config.batch_size, self.batch_streams, gamma=config.gamma, n_step=config.n_step)
            minibatch = normalized(self.net, batch)
            metrics = self._critic_step(minibatch, coefs["policy_noise"], coefs["critic_lr"])
            self.num_updates += 1
            if self.num_updates % config.policy_delay == 0:
                self._actor_step(minibatch["obs"], coefs["lr"])
                self.target_flat.data.lerp_(self.flat.data, coefs["tau"])
                self.target_critic_flat.data.lerp_(self.critic_flat.data, coefs["tau"])
        return {
            **metrics,
            **self.actor_metrics,
            "train/lr": coefs["lr"],
            "train/num_updates": self.num_updates,
            "train/utd": self.gradient_steps / (self.rollout_steps * self.task.num_envs),
        }

    def _critic_step(self, minibatch: Tensors, policy_noise: float, lr: float) -> dict[str, Tensor]:
        next_obs, action = minibatch["next_obs"], minibatch["action"]
        noise = policy_noise * self.action_streams.normal(1, *action.shape[1:])[0]
        with torch.no_grad():
            next_action = smoothed(torch.tanh(self.target(next_obs)), noise, self.config.noise_clip)
            next_q = self.target_critics(next_obs, next_action).squeeze(-1)  # [S, C, B]
            target = minibatch["reward"] + minibatch["discount"] * next_q.amin(1)
        q = self.critics(minibatch["obs"], action).squeeze(-1)
        loss = 0.5 * (q - target.unsqueeze(1)).square().mean(2)  # of each critic
        self.critic_flat.backward(loss.sum(1))
        self.critic_optimizer.step(lr)
        return {"train/critic_loss": loss.detach().mean(1), "train/q_value": q.detach().mean((1, 2))}

    def _actor_step(self, obs: Tensor, lr: float) -> None:
        """Move the policy towards actions that the first critic values more."""
        values = self.critics(obs, torch.tanh(self.net(obs)))
        loss = -values[:, 0].mean((1, 2))
        self.flat.backward(loss)
        self.optimizer.step(lr)
        self.actor_metrics = {"train/actor_loss": loss.detach()}

    def policy(self, session: int) -> nn.Module:
        return GreedyPolicy(self.net, session, greedy)


def greedy(net: ObsNet, obs: Tensor) -> Tensor:
    """Actions ``[S, B, ...]`` without noise."""
    return torch.tanh(net(net.normalize(obs)))


def smoothed(action: Tensor, noise: Tensor, noise_clip: float) -> Tensor:
    """Target policy smoothing: the action with clipped noise, within [-1, 1]."""
    return (action + noise.clamp(-noise_clip, noise_clip)).clamp(-1.0, 1.0)
