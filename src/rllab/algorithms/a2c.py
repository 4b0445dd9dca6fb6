"""Advantage actor-critic (Mnih et al. 2016), synchronous: one gradient step on each short rollout."""

from dataclasses import dataclass
from typing import Literal

import gymnasium.spaces as gs
import numpy as np
from torch import Tensor, nn

from rllab.algorithms.contract import Acted, Algorithm, Metrics, State, Task
from rllab.algorithms.shared.kernels import take_kernels
from rllab.algorithms.shared.memory import evaluate
from rllab.algorithms.shared.on_policy import (
    PolicySettings,
    check_network_settings,
    check_rollout,
    make_actor_critic,
    memory_of_one_step,
    take_in_obs,
)
from rllab.algorithms.shared.settings import check_ranges, schedules
from rllab.buffers import Tensors
from rllab.buffers.rollout import RolloutBuffer
from rllab.functional.policy_gradient import actor_critic_loss
from rllab.functional.reductions import by_session, explained_variance, masked_standardize
from rllab.functional.returns import gae
from rllab.functional.schedules import Coefficient
from rllab.kernels.on_policy import OnPolicyKernel
from rllab.nets.actor_critic import ActorCritic
from rllab.nets.greedy import GreedyPolicy
from rllab.nets.normalize import RewardNorm
from rllab.nets.policy_sampler import PolicySampler
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.optim.rmsprop import RMSprop
from rllab.random.streams import Seed, Streams

_OF_A_RATIO = ("train/clip_fraction", "train/approx_kl")
"""What the kernel says of PPO alone."""


@dataclass(frozen=True)
class A2CConfig(PolicySettings):
    """Settings of A2C."""

    name: str = "a2c"
    lr: Coefficient = 7e-4
    num_steps: int = 5
    gae_lambda: float = 1.0
    """Advantage estimation: 1 is the n-step return to the end of the rollout, 0 the one-step error."""
    normalize_advantage: bool = False
    """Standardise advantages in each rollout."""
    optimizer: Literal["rmsprop", "adam"] = "rmsprop"
    """RMSprop with alpha 0.99, as in the paper, or Adam."""
    optimizer_eps: float = 1e-5
    """Epsilon of the optimiser."""
    share_network: bool = False
    """One torso for policy and value, or one for each."""
    normalize_reward: bool = False
    """Scale rewards so that the discounted return has a running variance of 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, fractions=["gae_lambda"], positive=["optimizer_eps"])


class A2C(Algorithm):
    """A2C of S sessions in lockstep, on N sub-envs each."""

    Config = A2CConfig
    action_spaces = (gs.Discrete, gs.MultiDiscrete, gs.MultiBinary, gs.Box)
    saved = ("optimizer", "reward_norm", "sampler", "num_updates", "memory")
    shared = ("net", "optimizer", "reward_norm")

    @staticmethod
    def check(config: A2CConfig, task: Task) -> None:
        check_network_settings(config, task)
        needed = memory_of_one_step(config, task, num_steps=config.num_steps, shared=config.share_network)
        check_rollout(config, task, needed)

    def __init__(self, config: A2CConfig, task: Task, *, seed: int | Seed, device: str = "cpu") -> None:
        self.config, self.task, self.device = config, task, device
        self.rollout_steps = config.num_steps
        self.net: ActorCritic = make_actor_critic(config, task, seed=seed, device=device, shared=config.share_network)
        self.flat = FlatParameters(self.net)
        streams = Streams(seed, task.num_sessions, "action", device)
        self.sampler = PolicySampler(self.net, streams, config.num_steps, task.num_envs)
        make_optimizer = {"rmsprop": RMSprop, "adam": Adam}[config.optimizer]
        self.optimizer = make_optimizer(self.flat, eps=config.optimizer_eps)
        self.schedules = schedules(config, "lr", "ent_coef", "vf_coef")
        self.reward_norm = RewardNorm(task.num_sessions, task.num_envs, gamma=config.gamma).to(device)
        self.num_updates = 0
        self.memory: State = {}  # at the beginning of the present rollout
        self.kernel: OnPolicyKernel | None = None

    def use_kernels(self) -> dict[str, str | None]:
        return take_kernels(self, OnPolicyKernel)

    def make_buffer(self) -> RolloutBuffer:
        return RolloutBuffer(self.rollout_steps, *self.task.layout, self.sampler.extras)

    def act(self, obs: np.ndarray, state: State, starts: np.ndarray, *, explore: bool) -> Acted:
        return Acted(*self.sampler.act(obs, state, starts, explore=explore))

    def update(self, buffer: RolloutBuffer, frame: int) -> Metrics:
        coefs = {name: schedule(self.task.progress(frame)) for name, schedule in self.schedules.items()}
        lr = coefs.pop("lr")
        rollout = buffer.tensors(self.device)
        if self.config.normalize_reward:
            rollout["reward"] = self.reward_norm.scale_rollout(rollout)
        learned = self._learn_in_kernel(rollout, lr, coefs) if self.kernel else self._learn(rollout, lr, coefs)
        self.num_updates += 1
        take_in_obs(self.net, rollout)
        return {**learned, "train/lr": lr, "train/num_updates": self.num_updates}

    def _learn_in_kernel(self, rollout: Tensors, lr: float, coefs: dict[str, float]) -> Tensors:
        """What `_learn` does."""
        assert self.kernel is not None
        metrics, _ = self.kernel(rollout, lr, coefs, plain_policy=True)
        return {name: metric for name, metric in metrics.items() if name not in _OF_A_RATIO}

    def _learn(self, rollout: Tensors, lr: float, coefs: dict[str, float]) -> Tensors:
        """One gradient step on a rollout; metrics ``[S]``."""
        x = self.net.normalize(by_session(rollout["obs"]))  # [S, (T + 1) * N, ...]
        outputs, value, self.memory = evaluate(self.net, rollout, x, self.memory, self.rollout_steps)
        advantage = self._advantage(rollout, value.detach())  # [S, T * N]
        num_rows = advantage.shape[1]  # the rest, the successors of the last step, have lent their values
        outputs, value = outputs[:, :num_rows], value[:, :num_rows]
        returns = advantage + value.detach()
        valid = by_session(rollout["valid"]).float()
        if self.config.normalize_advantage:
            advantage = masked_standardize(advantage, valid)
        weight = valid / valid.sum(-1, keepdim=True).clamp(min=1.0)
        log_prob, entropy = self.net.distribution.log_prob_entropy(outputs, by_session(rollout["action"]))
        loss, metrics = actor_critic_loss(log_prob, entropy, advantage, value - returns, weight, **coefs)
        self.flat.backward(loss)
        grad_norm = self.flat.clip_grad_norm_(self.config.max_grad_norm)
        self.optimizer.step(lr)
        explained = explained_variance(value.detach(), returns, valid)
        return metrics | {"train/grad_norm": grad_norm, "train/explained_variance": explained}

    def _advantage(self, rollout: Tensors, value: Tensor) -> Tensor:
        """Advantages ``[S, T * N]`` from the values of all rows and of the last step's successors."""
        advantage = gae(
            rollout["reward"],
            value.view(self.task.num_sessions, -1, self.task.num_envs).transpose(0, 1),  # [T + 1, S, N]
            rollout["terminated"],
            rollout["truncated"],
            gamma=self.config.gamma,
            gae_lambda=self.config.gae_lambda,
        )
        return by_session(advantage)

    def policy(self, session: int) -> nn.Module:
        return GreedyPolicy(self.net, session, ActorCritic.greedy)
