"""REINFORCE (Williams 1992): one gradient step on the returns of whole episodes, with a learned baseline or without.

An episode need not fit the rollouts: it is learned from in the update after its end, and then from all its rows of this
rollout and of the one before. So every row of an episode that is no longer than a rollout is learned from exactly once,
whatever the return; of a longer one the beginning may be lost. Rows of the rollout before were acted by the policy
before the latest gradient step.
"""

from dataclasses import dataclass

import gymnasium.spaces as gs
import numpy as np
import torch
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
)
from rllab.algorithms.shared.settings import schedules
from rllab.buffers import Tensors
from rllab.buffers.rollout import RolloutBuffer
from rllab.functional.policy_gradient import actor_critic_loss
from rllab.functional.reductions import by_session, explained_variance, masked_standardize
from rllab.functional.returns import ended_since, gae
from rllab.nets.actor_critic import ActorCritic
from rllab.nets.greedy import GreedyPolicy
from rllab.nets.policy_sampler import PolicySampler
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class REINFORCEConfig(PolicySettings):
    """Settings of REINFORCE. The value that `vf_coef` weighs is the baseline."""

    name: str = "reinforce"
    num_steps: int = 256
    """Vector steps between two updates; at least the length of an episode, or beginnings of episodes are lost."""
    baseline: bool = True
    """Subtract a learned value from the returns; with it, an episode that was truncated counts on with its value."""
    normalize_advantage: bool = True
    """Standardise the returns, less the baseline, in each update."""


class REINFORCE(Algorithm):
    """REINFORCE of S sessions in lockstep, on N sub-envs each."""

    Config = REINFORCEConfig
    action_spaces = (gs.Discrete, gs.MultiDiscrete, gs.MultiBinary, gs.Box)
    saved = ("optimizer", "sampler", "num_updates", "memory")
    shared = ("net", "optimizer")

    @staticmethod
    def check(config: REINFORCEConfig, task: Task) -> None:
        check_network_settings(config, task)
        needed = memory_of_one_step(config, task, num_steps=2 * config.num_steps)  # this rollout and the one before
        check_rollout(config, task, needed)

    def __init__(self, config: REINFORCEConfig, task: Task, *, seed: int | Seed, device: str = "cpu") -> None:
        self.config, self.task, self.device = config, task, device
        self.rollout_steps = config.num_steps
        self.net: ActorCritic = make_actor_critic(config, task, seed=seed, device=device)
        self.flat = FlatParameters(self.net)
        streams = Streams(seed, task.num_sessions, "action", device)
        self.sampler = PolicySampler(self.net, streams, config.num_steps, task.num_envs)
        self.optimizer = Adam(self.flat)
        self.schedules = schedules(config, "lr", "ent_coef", "vf_coef")
        self.num_updates = [0] * task.num_sessions
        self.memory: State = {}  # at the beginning of the rollout before the present one

    def use_kernels(self) -> dict[str, str | None]:
        return take_kernels(self)

    def make_buffer(self) -> RolloutBuffer:
        """Room for this rollout and the one before."""
        return RolloutBuffer(self.rollout_steps, *self.task.layout, self.sampler.extras, num_kept=self.rollout_steps)

    def act(self, obs: np.ndarray, state: State, starts: np.ndarray, *, explore: bool) -> Acted:
        return Acted(*self.sampler.act(obs, state, starts, explore=explore))

    def update(self, buffer: RolloutBuffer, frame: int) -> Metrics:
        coefs = {name: schedule(self.task.progress(frame)) for name, schedule in self.schedules.items()}
        lr = coefs.pop("lr")
        rollout = buffer.tensors(self.device)
        raw_obs = by_session(rollout["obs"])  # [S, (T + 1) * N, ...]
        x = self.net.normalize(raw_obs)
        outputs, value, self.memory = evaluate(self.net, rollout, x, self.memory, self.rollout_steps)
        if not self.config.baseline:
            value, coefs["vf_coef"] = torch.zeros_like(value), 0.0
        advantage, learned = self._advantage(rollout, value.detach())  # [S, T * N]
        num_rows = advantage.shape[1]  # the rest, the successors of the last step, have lent their values
        outputs, value = outputs[:, :num_rows], value[:, :num_rows]
        returns = advantage + value.detach()
        if self.config.normalize_advantage:
            advantage = masked_standardize(advantage, learned)
        weight = learned / learned.sum(-1, keepdim=True).clamp(min=1.0)
        log_prob, entropy = self.net.distribution.log_prob_entropy(outputs, by_session(rollout["action"]))
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
            value.view(self.task.num_sessions, -1, self.task.num_envs).transpose(0, 1),  # [T + 1, S, N]
            terminated,
            truncated,
            gamma=self.config.gamma,
            gae_lambda=1.0,
        )
        learned = rollout["valid"] & ended_since(terminated | truncated, self.rollout_steps)
        return by_session(advantage), by_session(learned).float()

    def policy(self, session: int) -> nn.Module:
        return GreedyPolicy(self.net, session, ActorCritic.greedy)
