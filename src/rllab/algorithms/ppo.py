"""Proximal policy optimisation (Schulman et al. 2017), with the details of Huang et al. 2022."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.algorithms.contract import Acted, Algorithm, Metrics, State, Task
from rllab.algorithms.shared.kernels import take_kernels
from rllab.algorithms.shared.memory import check_sequences
from rllab.algorithms.shared.on_policy import (
    PolicySettings,
    check_network_settings,
    check_rollout,
    make_actor_critic,
    num_activations_of,
    take_in_obs,
)
from rllab.algorithms.shared.settings import check_ranges, schedules
from rllab.buffers import Tensors
from rllab.buffers.minibatches import minibatches, sequence_minibatches
from rllab.buffers.rollout import RolloutBuffer
from rllab.errors import require
from rllab.functional.reductions import by_session, explained_variance
from rllab.functional.returns import gae
from rllab.functional.schedules import Coefficient
from rllab.kernels.on_policy import OnPolicyKernel
from rllab.nets.actor_critic import ActorCritic
from rllab.nets.greedy import GreedyPolicy
from rllab.nets.memory import Past
from rllab.nets.normalize import RewardNorm
from rllab.nets.policy_sampler import PolicySampler
from rllab.nets.torsos import keeps_bytes
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class PPOConfig(PolicySettings):
    """Settings of PPO."""

    name: str = "ppo"
    lr: Coefficient = 3e-4
    num_epochs: int = 4
    """Passes over each rollout."""
    num_minibatches: int = 4
    """Optimiser steps per epoch; must divide num_steps * env.num_envs."""
    gae_lambda: float = 0.95
    """Advantage estimation: lower is less noisy and more biased."""
    clip_coef: Coefficient = 0.2
    """How far the probability ratio may move before its gradient is cut."""
    vf_clip_coef: Coefficient | None = None
    """How far a value may move from the old one; null is no clipping."""
    normalize_advantage: bool = True
    """Standardise advantages in each minibatch."""
    target_kl: float | None = None
    """Stop a session's epochs once its policy has moved 1.5 times this far from the old one; null never stops."""
    adam_eps: float = 1e-5
    """Epsilon of Adam."""
    share_network: bool = False
    """One torso for policy and value, or one for each."""
    noise_beta: float = 0.0
    """Colour of the exploration noise of continuous actions: 0 is independent, 1 pink, 2 a random walk."""
    normalize_reward: bool = False
    """Scale rewards so that the discounted return has a running variance of 1."""
    memory_length: int | None = None
    """Steps of a sequence in a minibatch, where there is a memory; must divide num_steps, and null is all of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(
            self,
            integers=["num_epochs", "num_minibatches", "memory_length"],
            fractions=["gae_lambda"],
            positive=["adam_eps", "target_kl"],
            coefficients=["clip_coef", "vf_clip_coef"],
        )
        require(0 <= self.noise_beta <= 2, "agent.noise_beta", self.noise_beta, write="a number from 0 to 2")


class PPO(Algorithm):
    """PPO of S sessions in lockstep, on N sub-envs each."""

    Config = PPOConfig
    action_spaces = (gs.Discrete, gs.MultiDiscrete, gs.MultiBinary, gs.Box)
    saved = ("optimizer", "reward_norm", "sampler", "minibatch_streams", "num_updates", "memory")
    shared = ("net", "optimizer", "reward_norm")

    @staticmethod
    def check(config: PPOConfig, task: Task) -> None:
        check_network_settings(config, task)
        num_envs, batch = task.num_envs, config.num_steps * task.num_envs
        if batch % config.num_minibatches:
            most = max(1, min(config.num_minibatches, batch // 2))
            near = max(n for n in range(1, most + 1) if batch % n == 0)
            raise ValueError(
                f"agent.num_minibatches: got {config.num_minibatches}, which does not divide agent.num_steps * "
                f"env.num_envs = {batch}; write one that does, e.g. agent.num_minibatches={near}"
            )
        if config.memory:
            check_sequences(
                config.memory_length or config.num_steps, config.num_steps, num_envs, config.num_minibatches
            )
        even = config.num_minibatches // math.gcd(config.num_minibatches, num_envs)
        check_rollout(config, task, needed_memory(config, task), multiple=even)

    def __init__(self, config: PPOConfig, task: Task, *, seed: int | Seed, device: str = "cpu") -> None:
        self.config, self.task, self.device = config, task, device
        self.rollout_steps = config.num_steps
        self.sequence_length = config.memory_length or config.num_steps
        self.net: ActorCritic = make_actor_critic(
            config, task, seed=seed, device=device, shared=config.share_network, noise_beta=config.noise_beta
        )
        self.flat = FlatParameters(self.net)
        streams = Streams(seed, task.num_sessions, "action", device)
        self.sampler = PolicySampler(
            self.net, streams, config.num_steps, task.num_envs, shared_value=config.share_network
        )
        self.optimizer = Adam(self.flat, eps=config.adam_eps)
        self.schedules = schedules(config, "lr", "clip_coef", "ent_coef", "vf_coef", "vf_clip_coef")
        self.reward_norm = RewardNorm(task.num_sessions, task.num_envs, gamma=config.gamma).to(device)
        self.minibatch_streams = Streams(seed, task.num_sessions, "minibatch", device)
        self.num_updates = [0] * task.num_sessions  # optimiser steps
        self.memory: State = {}  # at the beginning of the present rollout
        self.kernel: OnPolicyKernel | None = None

    def make_buffer(self) -> RolloutBuffer:
        return RolloutBuffer(self.rollout_steps, *self.task.layout, self.sampler.extras)

    def act(self, obs: np.ndarray, state: State, starts: np.ndarray, *, explore: bool) -> Acted:
        """Only the policy runs here; values and log-probabilities follow in `update`, for the whole rollout at once.

        With a large torso for both, values are stored right away instead.
        """
        return Acted(*self.sampler.act(obs, state, starts, explore=explore))

    def use_kernels(self) -> dict[str, str | None]:
        return take_kernels(self, OnPolicyKernel)

    def update(self, buffer: RolloutBuffer, frame: int) -> Metrics:
        coefs = {name: schedule(self.task.progress(frame)) for name, schedule in self.schedules.items()}
        lr = coefs.pop("lr")
        rollout = buffer.tensors(self.device)
        if self.config.normalize_reward:
            rollout["reward"] = self.reward_norm.scale_rollout(rollout)
        learned, num_updates = (
            self._learn_in_kernel(rollout, lr, coefs) if self.kernel else self._learn(rollout, lr, coefs)
        )
        self.num_updates = [n + more for n, more in zip(self.num_updates, num_updates, strict=True)]
        take_in_obs(self.net, rollout)
        return {**learned, "train/lr": lr, "train/num_updates": list(self.num_updates)}

    def _learn_in_kernel(self, rollout: Tensors, lr: float, coefs: dict[str, float]) -> tuple[Tensors, list[int]]:
        """What `_learn` does."""
        assert self.kernel is not None
        num_rows = self.rollout_steps * self.task.num_envs
        order = torch.stack([self.minibatch_streams.permutations(num_rows) for _ in range(self.config.num_epochs)])
        return self.kernel(rollout, lr, coefs, order, self.config.num_minibatches, target_kl=self.config.target_kl)

    def _learn(self, rollout: Tensors, lr: float, coefs: dict[str, float]) -> tuple[Tensors, list[int]]:
        """All epochs on a rollout: metrics ``[S]``, means over the last epoch, and each session's optimiser steps."""
        config, active = self.config, [True] * self.task.num_sessions
        batch, states = self._prepare(rollout)
        num_updates = [0] * self.task.num_sessions
        collected: list[Tensors] = []
        grad_norm = torch.zeros(self.task.num_sessions, device=self.device)
        for epoch in range(config.num_epochs):
            for minibatch, past in self._minibatches(batch, states):
                outputs, value = self.net(minibatch["obs"], past)
                log_prob, entropy = self.net.distribution.log_prob_entropy(outputs, minibatch["action"])
                log_ratio = log_prob - minibatch["log_prob"]
                loss, parts = ppo_loss(minibatch, log_ratio, entropy, value, **coefs)
                last = epoch == config.num_epochs - 1  # it tells most
                if last or config.target_kl is not None:
                    metrics = ppo_metrics(parts, log_ratio, minibatch["weight"], coefs["clip_coef"])
                if config.target_kl is not None:
                    near = (metrics["train/approx_kl"] <= 1.5 * config.target_kl).tolist()
                    active = [a and b for a, b in zip(active, near, strict=True)]
                    if not any(active):
                        break
                self.flat.backward(loss)
                grad_norm = self.flat.clip_grad_norm_(config.max_grad_norm)
                self.optimizer.step(lr, active)
                num_updates = [n + a for n, a in zip(num_updates, active, strict=True)]
                if last:
                    collected.append(metrics | {"train/grad_norm": grad_norm})
        if not collected:  # every session stopped before: by what it saw last
            collected.append(metrics | {"train/grad_norm": grad_norm})
        means = {name: torch.stack([m[name] for m in collected]).mean(0) for name in collected[0]}
        explained = explained_variance(batch["value"], batch["returns"], batch["valid"])
        return means | {"train/explained_variance": explained}, num_updates

    def _minibatches(self, batch: Tensors, states: list[State]) -> Iterator[tuple[Tensors, Past | None]]:
        """Those of an epoch: of rows, or, with a memory, of sequences and what came before them."""
        number, standardize = self.config.num_minibatches, self.config.normalize_advantage
        if states:
            order = self.minibatch_streams.permutations(len(states) * self.task.num_envs)
            yield from sequence_minibatches(batch, states, order, number, standardize=standardize)
        else:
            order = self.minibatch_streams.permutations(batch["valid"].shape[1])
            yield from ((part, None) for part in minibatches(batch, order, number, standardize=standardize))

    @torch.no_grad()
    def _prepare(self, rollout: Tensors) -> tuple[Tensors, list[State]]:
        """The rollout by session, all that minibatches are cut from: ``[S, T * N, ...]``.

        With a memory, also what was remembered before each piece of `sequence_length`.
        """
        num_rows = self.rollout_steps * self.task.num_envs
        x = self.net.normalize(by_session(rollout["obs"]))  # [S, (T + 1) * N, ...]
        states: list[State] = []
        if self.net.memory is None:
            outputs, value = self._evaluate(rollout, x)
        else:
            past = Past(self.memory, rollout["starts"].transpose(0, 1))
            outputs, value, (*states, self.memory) = self.net.unroll(x, past, self.sequence_length)
        value_by_step = value.view(self.task.num_sessions, -1, self.task.num_envs).transpose(0, 1)  # [T + 1, S, N]
        ends, config = (rollout["terminated"], rollout["truncated"]), self.config
        advantage = gae(rollout["reward"], value_by_step, *ends, gamma=config.gamma, gae_lambda=config.gae_lambda)
        batch = {
            "obs": x[:, :num_rows],
            "action": by_session(rollout["action"]),
            "value": value[:, :num_rows].contiguous(),
            "advantage": by_session(advantage),
            "valid": by_session(rollout["valid"]).float(),
        }
        batch["returns"] = batch["advantage"] + batch["value"]
        batch["log_prob"], _ = self.net.distribution.log_prob_entropy(outputs[:, :num_rows], batch["action"])
        if states:
            batch["starts"] = by_session(rollout["starts"])
        return batch, states

    def _evaluate(self, rollout: Tensors, x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of the policy for every row, and values, also of the last row's successor."""
        num_rows = self.rollout_steps * self.task.num_envs
        if self.sampler.gives_value:
            _, last_value = self.net(x[:, num_rows:])
            return by_session(rollout["outputs"]), torch.cat([by_session(rollout["value"]), last_value], dim=1)
        if x.dtype != torch.uint8:
            return self.net(x)  # type: ignore[no-any-return]
        # by minibatches, or the activations of the whole rollout would be there at once
        size = num_rows // self.config.num_minibatches
        parts = [self.net(part) for part in torch.split(x, size, dim=1)]
        outputs, value = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        return outputs, value

    def policy(self, session: int) -> nn.Module:
        return GreedyPolicy(self.net, session, ActorCritic.greedy)


def needed_memory(config: PPOConfig, task: Task) -> int:
    """Bytes for the rollout and for learning from it, about; before anything is allocated."""
    rollout = RolloutBuffer.num_bytes(config.num_steps, *task.layout)
    num_rows = task.num_sessions * task.num_envs * config.num_steps
    torsos = 1 if config.share_network else 2
    activations = torsos * num_activations_of(config, task)
    if keeps_bytes(task.obs_space, normalize_obs=config.normalize_obs) and not config.memory:
        # one minibatch in numbers, and its gradients
        return rollout * (1 + config.normalize_obs) + 4 * 2 * activations * num_rows // config.num_minibatches
    copies = 1 + config.normalize_obs  # shuffled, and normalised; all rows are valued at once
    return rollout + 4 * num_rows * (copies * task.obs_size + activations)


def ppo_loss(
    minibatch: Tensors,
    log_ratio: Tensor,
    entropy: Tensor,
    value: Tensor,
    *,
    clip_coef: float,
    ent_coef: float,
    vf_coef: float,
    vf_clip_coef: float | None = None,
) -> tuple[Tensor, Tensors]:
    """``policy_loss + vf_coef * value_loss - ent_coef * entropy`` of each session, ``[S]``, and its parts, ``[S, B]``.

    Args:
        minibatch: ``[S, B]`` each: advantage, returns, and the value before the update; weight sums to 1 over the rows
            of a session that are learned from.
        log_ratio: ``[S, B]``, of the actions' probabilities, now and before the update.
        entropy: ``[S, B]``.
        value: ``[S, B]``, now.
        clip_coef: how far the ratio may move before its gradient is cut.
        ent_coef: weight of the entropy bonus.
        vf_coef: weight of the value loss.
        vf_clip_coef: how far a value may move before its gradient is cut.
    """
    parts = {
        "policy_loss": policy_loss(log_ratio.exp(), minibatch["advantage"], clip_coef),
        "value_loss": value_loss(value, minibatch["returns"], minibatch["value"], vf_clip_coef),
        "entropy": entropy,
    }
    per_row = parts["policy_loss"] + vf_coef * parts["value_loss"]
    if ent_coef:  # the gradient of an entropy that nobody asks for would take a sixth of the time
        per_row = per_row - ent_coef * entropy
    return (per_row * minibatch["weight"]).sum(-1), parts


@torch.no_grad()
def ppo_metrics(parts: Tensors, log_ratio: Tensor, weight: Tensor, clip_coef: float) -> Tensors:
    """What a person watches, ``[S]`` each: the parts of the loss, and how far the policy has moved."""
    change = log_ratio.exp() - 1.0
    per_row = parts | {
        "clip_fraction": (change.abs() > clip_coef).float(),
        "approx_kl": change - log_ratio,  # the low-variance estimator k3 of Schulman 2020
    }
    means = (torch.stack(list(per_row.values())) * weight).sum(-1)
    return {f"train/{name}": mean for name, mean in zip(per_row, means, strict=True)}


def policy_loss(ratio: Tensor, advantage: Tensor, clip_coef: float) -> Tensor:
    """Clipped surrogate, negated: ``[S, B]`` each."""
    return -torch.minimum(advantage * ratio, advantage * ratio.clamp(1.0 - clip_coef, 1.0 + clip_coef))


def value_loss(value: Tensor, returns: Tensor, old_value: Tensor, vf_clip_coef: float | None) -> Tensor:
    """Half the squared error, ``[S, B]``; with clipping, the worse of the clipped and the unclipped one."""
    error = (value - returns).square()
    if vf_clip_coef is not None:
        clipped = old_value + (value - old_value).clamp(-vf_clip_coef, vf_clip_coef)
        error = torch.maximum(error, (clipped - returns).square())
    return 0.5 * error
