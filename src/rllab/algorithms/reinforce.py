"""REINFORCE (Williams 1992): one gradient step on the returns of whole episodes, with a learned baseline or without.

An episode need not fit the rollouts: it is learned from in the update after its end, and then from all its rows of this
rollout and of the one before. So every row of an episode that is no longer than a rollout is learned from exactly once,
whatever the return; of a longer one the beginning may be lost. Rows of the rollout before were acted by the policy
before the latest gradient step.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.algorithms.contract import Algorithm, Metrics
from rllab.buffers import Tensors
from rllab.buffers.rollout import RolloutBuffer, check_rollout
from rllab.errors import require
from rllab.functional.checks import check_rollout_budget
from rllab.functional.policy_gradient import actor_critic_loss
from rllab.functional.reductions import by_session, explained_variance, masked_standardize
from rllab.functional.returns import ended_since, gae
from rllab.functional.schedules import Coefficient, check_coefficient, make_schedule
from rllab.nets.acting import Actor
from rllab.nets.actor_critic import ActorCritic, GreedyPolicy, check_actor_critic
from rllab.nets.distributions import make_distribution
from rllab.nets.torsos import num_activations
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class REINFORCEConfig:
    """Settings of REINFORCE. A coefficient may be a schedule over the budget: `agent.lr=linear:1e-3:0`."""

    name: str = "reinforce"
    """The algorithm."""
    lr: Coefficient = 1e-3
    """Learning rate of Adam."""
    num_steps: int = 256
    """Vector steps between two updates; at least the length of an episode, or beginnings of episodes are lost."""
    gamma: float = 0.99
    """Discount."""
    baseline: bool = True
    """Subtract a learned value from the returns; with it, an episode that was truncated counts on with its value."""
    ent_coef: Coefficient = 0.0
    """Weight of the entropy bonus: higher explores more."""
    vf_coef: Coefficient = 0.5
    """Weight of the baseline's loss."""
    max_grad_norm: float = 0.5
    """Gradient norm at which a session's gradient is clipped."""
    normalize_advantage: bool = True
    """Standardise the returns, less the baseline, in each update."""
    network: str = "auto"
    """mlp; cnn or cnn_small for images; auto: cnn for images, otherwise mlp; or a module of your own,
    `my_pkg.nets:MyTorso`, built with the observation space, that gives features."""
    hidden: list[int] = field(default_factory=lambda: [64, 64])
    """Widths of the hidden layers of mlp; other networks have their own."""
    activation: Literal["tanh", "relu", "elu"] = "tanh"
    """Activation of mlp; other networks have their own."""
    log_std_init: float | None = None
    """Initial log standard deviation of continuous actions; null: -0.7 where they are scaled to [-1, 1], and 0 where
    they have no scale."""
    normalize_obs: bool = False
    """Standardise observations by their running mean and variance."""

    def __post_init__(self) -> None:
        require(self.num_steps >= 1, "agent.num_steps", self.num_steps, write="an integer of at least 1")
        require(0 <= self.gamma <= 1, "agent.gamma", self.gamma, write="a number from 0 to 1, e.g. 0.99")
        for name in ("lr", "ent_coef", "vf_coef"):
            check_coefficient(f"agent.{name}", getattr(self, name), low=0.0, high=math.inf)
        require(self.max_grad_norm > 0, "agent.max_grad_norm", self.max_grad_norm, write="a number above 0")
        for width in self.hidden:
            require(width >= 1, "agent.hidden", self.hidden, write="a list of widths of at least 1, e.g. [64,64]")


class REINFORCE(Algorithm):
    """REINFORCE of S sessions in lockstep, on N sub-envs each."""

    Config = REINFORCEConfig
    action_spaces = (gs.Discrete, gs.MultiDiscrete, gs.MultiBinary, gs.Box)

    @staticmethod
    def check(
        config: REINFORCEConfig,
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
        config: REINFORCEConfig,
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
            normalize_obs=config.normalize_obs,
        ).to(device)
        self.flat = FlatParameters(self.net)
        self.actor = Actor(self.net, Streams(seed, num_sessions, "action", device), config.num_steps, num_envs)
        self.optimizer = Adam(self.flat)
        self.schedules = {name: make_schedule(getattr(config, name)) for name in ("lr", "ent_coef", "vf_coef")}
        self.num_updates = [0] * num_sessions

    def make_buffer(self) -> RolloutBuffer:
        """Room for this rollout and the one before."""
        return RolloutBuffer(
            self.rollout_steps, self.num_sessions, self.num_envs, *self.spaces, num_kept=self.rollout_steps
        )

    def act(self, obs: np.ndarray, *, explore: bool) -> tuple[np.ndarray, Tensors]:
        return self.actor.act(obs, explore=explore)

    def update(self, buffer: RolloutBuffer, frame: int) -> Metrics:
        coefs = {name: schedule(frame / self.max_frame) for name, schedule in self.schedules.items()}
        lr = coefs.pop("lr")
        rollout = buffer.tensors(self.device)
        raw_obs = by_session(rollout["obs"])  # [S, (T + 1) * N, ...]
        outputs, value = self.net(self.net.normalize(raw_obs))
        if not self.config.baseline:
            value, coefs["vf_coef"] = torch.zeros_like(value), 0.0
        advantage, learned = self._advantage(rollout, value.detach())  # [S, T * N]
        num_rows = advantage.shape[1]  # the rest, the successors of the last step, have lent their values
        outputs, value = outputs[:, :num_rows], value[:, :num_rows]
        returns = advantage + value.detach()
        if self.config.normalize_advantage:
            advantage = masked_standardize(advantage, learned)
        weight = learned / learned.sum(-1, keepdim=True).clamp(min=1.0)
        log_prob, entropy = self.distribution.log_prob_entropy(outputs, by_session(rollout["action"]))
        loss, metrics = actor_critic_loss(log_prob, entropy, advantage, value - returns, weight, **coefs)
        self.flat.backward(loss)
        grad_norm = self.flat.clip_grad_norm_(self.config.max_grad_norm)
        active = learned.any(-1).tolist()  # Adam's momentum must not move a session in which no episode has ended
        if any(active):
            self.optimizer.step(lr, active)
        self.num_updates = [n + a for n, a in zip(self.num_updates, active, strict=True)]
        if self.net.obs_norm is not None:  # after learning, and only with what is new
            new = slice(num_rows // 2, num_rows)
            self.net.obs_norm.update(raw_obs[:, new], by_session(rollout["valid"])[:, new].float())
        return {
            **metrics,
            "train/grad_norm": grad_norm,
            "train/explained_variance": explained_variance(value.detach(), returns, learned),
            "train/lr": lr,
            "train/num_updates": list(self.num_updates),
        }

    def _advantage(self, rollout: Tensors, value: Tensor) -> tuple[Tensor, Tensor]:
        """Discounted returns-to-go less values, and 1 in the rows that are learned from, ``[S, T * N]`` each."""
        terminated, truncated = rollout["terminated"], rollout["truncated"]
        advantage = gae(  # at lambda 1 this is the return less the value; only a truncated end takes a value in
            rollout["reward"],
            value.view(self.num_sessions, -1, self.num_envs).transpose(0, 1),  # [T + 1, S, N]
            terminated,
            truncated,
            gamma=self.config.gamma,
            gae_lambda=1.0,
        )
        learned = rollout["valid"] & ended_since(terminated | truncated, self.rollout_steps)
        return by_session(advantage), by_session(learned).float()

    def policy(self, session: int) -> nn.Module:
        return GreedyPolicy(self.net, session)

    def state_dict(self) -> dict[str, Any]:
        return {
            "policy": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "actor": self.actor.state_dict(),
            "num_updates": self.num_updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.actor.load_state_dict(state["actor"])
        self.num_updates = state["num_updates"]


def needed_memory(
    config: REINFORCEConfig, obs_space: gs.Space[Any], action_space: gs.Space[Any], num_sessions: int, num_envs: int
) -> int:
    """Bytes for two rollouts and for learning from them, about; before anything is allocated."""
    num_steps = 2 * config.num_steps
    rollouts = RolloutBuffer.num_bytes(num_steps, num_sessions, num_envs, obs_space, action_space)
    activations = 2 * num_activations(config.network, obs_space, hidden=config.hidden)  # of policy and value
    return rollouts + 4 * 2 * activations * num_sessions * num_envs * (num_steps + 1)  # and their gradients
