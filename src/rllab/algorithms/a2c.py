"""Advantage actor-critic (Mnih et al. 2016), synchronous: one gradient step on each short rollout."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import gymnasium.spaces as gs
import numpy as np
from torch import Tensor, nn

from rllab.algorithms.contract import Algorithm, Metrics
from rllab.buffers import Tensors
from rllab.buffers.rollout import RolloutBuffer, check_rollout
from rllab.errors import require
from rllab.functional.checks import check_rollout_budget
from rllab.functional.policy_gradient import actor_critic_loss
from rllab.functional.reductions import by_session, explained_variance, masked_standardize
from rllab.functional.returns import gae
from rllab.functional.schedules import Coefficient, check_coefficient, make_schedule
from rllab.nets.acting import Actor
from rllab.nets.actor_critic import ActorCritic, GreedyPolicy, check_actor_critic
from rllab.nets.distributions import make_distribution
from rllab.nets.normalize import RewardNorm
from rllab.nets.torsos import num_activations
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.optim.rmsprop import RMSprop
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class A2CConfig:
    """Settings of A2C. A coefficient may be a schedule over the budget: `agent.lr=linear:1e-3:0`."""

    name: str = "a2c"
    """The algorithm."""
    lr: Coefficient = 7e-4
    """Learning rate."""
    num_steps: int = 5
    """Vector steps of a rollout; times env.num_envs is what one update learns from."""
    gamma: float = 0.99
    """Discount."""
    gae_lambda: float = 1.0
    """Advantage estimation: 1 is the n-step return to the end of the rollout, 0 the one-step error."""
    ent_coef: Coefficient = 0.0
    """Weight of the entropy bonus: higher explores more."""
    vf_coef: Coefficient = 0.5
    """Weight of the value loss."""
    max_grad_norm: float = 0.5
    """Gradient norm at which a session's gradient is clipped."""
    normalize_advantage: bool = False
    """Standardise advantages in each rollout."""
    optimizer: Literal["rmsprop", "adam"] = "rmsprop"
    """RMSprop with alpha 0.99, as in the paper, or Adam."""
    optimizer_eps: float = 1e-5
    """Epsilon of the optimiser."""
    network: str = "auto"
    """mlp; cnn or cnn_small for images; auto: cnn for images, otherwise mlp; or a module of your own,
    `my_pkg.nets:MyTorso`, built with the observation space, that gives features."""
    hidden: list[int] = field(default_factory=lambda: [64, 64])
    """Widths of the hidden layers of mlp; other networks have their own."""
    activation: Literal["tanh", "relu", "elu"] = "tanh"
    """Activation of mlp; other networks have their own."""
    share_network: bool = False
    """One torso for policy and value, or one for each."""
    log_std_init: float | None = None
    """Initial log standard deviation of continuous actions; null: -0.7 where they are scaled to [-1, 1], and 0 where
    they have no scale."""
    normalize_obs: bool = False
    """Standardise observations by their running mean and variance."""
    normalize_reward: bool = False
    """Scale rewards so that the discounted return has a running variance of 1."""

    def __post_init__(self) -> None:
        require(self.num_steps >= 1, "agent.num_steps", self.num_steps, write="an integer of at least 1")
        for name in ("gamma", "gae_lambda"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"agent.{name}", value, write="a number from 0 to 1, e.g. 0.95")
        for name in ("lr", "ent_coef", "vf_coef"):
            check_coefficient(f"agent.{name}", getattr(self, name), low=0.0, high=math.inf)
        for name in ("max_grad_norm", "optimizer_eps"):
            value = getattr(self, name)
            require(value > 0, f"agent.{name}", value, write="a number above 0")
        for width in self.hidden:
            require(width >= 1, "agent.hidden", self.hidden, write="a list of widths of at least 1, e.g. [64,64]")


class A2C(Algorithm):
    """A2C of S sessions in lockstep, on N sub-envs each."""

    Config = A2CConfig
    action_spaces = (gs.Discrete, gs.MultiDiscrete, gs.MultiBinary, gs.Box)

    @staticmethod
    def check(
        config: A2CConfig,
        obs_space: gs.Space[Any],
        action_space: gs.Space[Any],
        *,
        num_sessions: int,
        num_envs: int,
        max_frame: int,
    ) -> None:
        check_actor_critic(obs_space, network=config.network, normalize_obs=config.normalize_obs)
        needed = needed_memory(config, obs_space, action_space, num_sessions, num_envs)
        check_rollout(needed, config.num_steps, num_sessions=num_sessions, num_envs=num_envs)
        check_rollout_budget(config.num_steps, num_envs=num_envs, max_frame=max_frame)

    def __init__(
        self,
        config: A2CConfig,
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
        self.rollout_steps = config.num_steps
        self.max_frame = max_frame
        self.device = device
        self.distribution = make_distribution(action_space, num_sessions=num_sessions, log_std_init=config.log_std_init)
        self.net = ActorCritic(
            obs_space,
            self.distribution,
            generators=Streams(seed, num_sessions, "weights").generators,  # drawn on the CPU, whatever the device
            network=config.network,
            hidden=config.hidden,
            activation=config.activation,
            shared=config.share_network,
            normalize_obs=config.normalize_obs,
        ).to(device)
        self.flat = FlatParameters(self.net)
        self.actor = Actor(self.net, Streams(seed, num_sessions, "action", device), config.num_steps, num_envs)
        make_optimizer = {"rmsprop": RMSprop, "adam": Adam}[config.optimizer]
        self.optimizer = make_optimizer(self.flat, eps=config.optimizer_eps)
        self.schedules = {name: make_schedule(getattr(config, name)) for name in ("lr", "ent_coef", "vf_coef")}
        self.reward_norm = RewardNorm(num_sessions, num_envs, gamma=config.gamma).to(device)
        self.num_updates = 0

    def make_buffer(self) -> RolloutBuffer:
        return RolloutBuffer(self.rollout_steps, self.num_sessions, self.num_envs, *self.spaces)

    def act(self, obs: np.ndarray, *, explore: bool) -> tuple[np.ndarray, Tensors]:
        return self.actor.act(obs, explore=explore)

    def update(self, buffer: RolloutBuffer, frame: int) -> Metrics:
        coefs = {name: schedule(frame / self.max_frame) for name, schedule in self.schedules.items()}
        lr = coefs.pop("lr")
        rollout = buffer.tensors(self.device)
        raw_obs = by_session(rollout["obs"])  # [S, (T + 1) * N, ...]
        outputs, value = self.net(self.net.normalize(raw_obs))
        advantage = self._advantage(rollout, value.detach())  # [S, T * N]
        num_rows = advantage.shape[1]  # the rest, the successors of the last step, have lent their values
        outputs, value = outputs[:, :num_rows], value[:, :num_rows]
        returns = advantage + value.detach()
        valid = by_session(rollout["valid"]).float()
        if self.config.normalize_advantage:
            advantage = masked_standardize(advantage, valid)
        weight = valid / valid.sum(-1, keepdim=True).clamp(min=1.0)
        log_prob, entropy = self.distribution.log_prob_entropy(outputs, by_session(rollout["action"]))
        loss, metrics = actor_critic_loss(log_prob, entropy, advantage, value - returns, weight, **coefs)
        self.flat.backward(loss)
        grad_norm = self.flat.clip_grad_norm_(self.config.max_grad_norm)
        self.optimizer.step(lr)
        self.num_updates += 1
        if self.net.obs_norm is not None:  # after learning: the rollout was acted, and valued, with the old statistics
            self.net.obs_norm.update(raw_obs[:, :num_rows], valid)
        return {
            **metrics,
            "train/grad_norm": grad_norm,
            "train/explained_variance": explained_variance(value.detach(), returns, valid),
            "train/lr": lr,
            "train/num_updates": self.num_updates,
        }

    def _advantage(self, rollout: Tensors, value: Tensor) -> Tensor:
        """Advantages ``[S, T * N]`` from the values of all rows and of the last step's successors."""
        advantage = gae(
            self.reward_norm.scale_rollout(rollout) if self.config.normalize_reward else rollout["reward"],
            value.view(self.num_sessions, -1, self.num_envs).transpose(0, 1),  # [T + 1, S, N]
            rollout["terminated"],
            rollout["truncated"],
            gamma=self.config.gamma,
            gae_lambda=self.config.gae_lambda,
        )
        return by_session(advantage)

    def policy(self, session: int) -> nn.Module:
        return GreedyPolicy(self.net, session)

    def state_dict(self) -> dict[str, Any]:
        return {
            "policy": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "reward_norm": self.reward_norm.state_dict(),
            "actor": self.actor.state_dict(),
            "num_updates": self.num_updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.reward_norm.load_state_dict(state["reward_norm"])
        self.actor.load_state_dict(state["actor"])
        self.num_updates = state["num_updates"]


def needed_memory(
    config: A2CConfig, obs_space: gs.Space[Any], action_space: gs.Space[Any], num_sessions: int, num_envs: int
) -> int:
    """Bytes for the rollout and for learning from it, about; before anything is allocated."""
    rollout = RolloutBuffer.num_bytes(config.num_steps, num_sessions, num_envs, obs_space, action_space)
    activations = num_activations(config.network, obs_space, hidden=config.hidden) * (1 if config.share_network else 2)
    return rollout + 4 * 2 * activations * num_sessions * num_envs * (config.num_steps + 1)  # and their gradients
