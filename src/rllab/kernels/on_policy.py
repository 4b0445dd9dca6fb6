"""The update of PPO and A2C in one call: values, advantages, all epochs and minibatches, each session by itself."""

from __future__ import annotations

import ctypes as c
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rllab.kernels import threads
from rllab.kernels.addresses import addresses
from rllab.kernels.arguments import MOST_OUTPUTS, Optimizer, layers, normaliser
from rllab.kernels.build import NoKernelError, load
from rllab.nets.distributions import Bernoulli, Categorical, DiagGaussian, MultiCategorical

if TYPE_CHECKING:
    from rllab.algorithms.a2c import A2C
    from rllab.algorithms.ppo import PPO
    from rllab.buffers import Tensors

METRICS = ("policy_loss", "value_loss", "entropy", "clip_fraction", "approx_kl", "grad_norm", "explained_variance")
_SIZES = ("sessions", "steps", "envs", "obs_size", "outputs", "epochs", "minibatches", "normalize_advantage")
_COEFS = ("gamma", "gae_lambda", "clip_coef", "ent_coef", "vf_coef", "vf_clip_coef", "target_kl", "norm_clip")
_ROLLOUT = ("obs", "reward", "terminated", "truncated", "valid", "action")
_NONE = -1.0


class _Update(c.Structure):
    """What ``on_policy.cpp`` takes, in its order."""

    _fields_ = (
        *((name, c.c_int) for name in (*_SIZES, "actor_layers", "critic_layers", "choices", "plain_policy")),
        *((name, c.c_void_p) for name in ("sizes", "actor", "critic", "log_std", "optimizer")),
        *((name, c.c_float) for name in _COEFS),
        *((name, c.c_void_p) for name in ("mean", "var", *_ROLLOUT, "order", "metrics", "num_updates")),
    )


class OnPolicyKernel:
    """The twin of PPO's or A2C's update, for two separate MLPs on the CPU."""

    def __init__(self, agent: PPO | A2C) -> None:
        """Look whether it fits.

        Raises:
            NoKernelError: it is not made for such networks or actions, or cannot be compiled here.
        """
        net = agent.net
        if net.actor_torso is net.critic_torso:
            raise NoKernelError("agent.share_network is true")
        self.actor = layers(net.actor_torso, net.actor_head)
        self.critic = layers(net.critic_torso, net.critic_head)
        if agent.task.obs_space.dtype != np.float32:
            raise NoKernelError(f"observations are {agent.task.obs_space.dtype}")
        distribution = net.distribution
        if isinstance(distribution, Bernoulli) or distribution.num_outputs > MOST_OUTPUTS:
            raise NoKernelError(
                f"they are made for Discrete, MultiDiscrete and Box actions of up to {MOST_OUTPUTS} outputs"
            )
        sizes = [distribution.num_outputs] if isinstance(distribution, Categorical) else []
        if isinstance(distribution, MultiCategorical):
            sizes = [choice.num_outputs for choice in distribution.choices]
        self.choices = np.array(sizes, np.int32)
        self.log_std = distribution.log_std.data_ptr() if isinstance(distribution, DiagGaussian) else None
        self.agent = agent
        self.library = load("on_policy")

    def __call__(
        self,
        rollout: Tensors,
        lr: float,
        coefs: dict[str, float],
        order: Tensor | None = None,
        num_minibatches: int = 1,
        *,
        plain_policy: bool = False,
        target_kl: float | None = None,
    ) -> tuple[Tensors, list[int]]:
        """Learn from a rollout ``[T, S, N, ...]``; metrics ``[S]``, and each session's optimiser steps.

        Args:
            rollout: as a buffer gives it, rewards scaled.
            lr: learning rate.
            coefs: those of the loss.
            order: rows of the minibatches of each epoch, ``[epochs, S, T * N]``; None is one step on all of them.
            num_minibatches: in an epoch.
            plain_policy: the loss is that of A2C, without a ratio to the policy that acted.
            target_kl: see `PPOConfig`.
        """
        agent, config, net = self.agent, self.agent.config, self.agent.net
        num_steps, num_sessions, num_envs = rollout["reward"].shape
        epochs = 1 if order is None else len(order)
        metrics, num_updates = torch.zeros(num_sessions, len(METRICS)), torch.zeros(num_sessions, dtype=torch.int64)
        optimizer = Optimizer.of(agent.optimizer, lr=lr, max_grad_norm=config.max_grad_norm)
        mean, var, norm_clip = normaliser(net.obs_norm)
        held = [rollout["obs"].transpose(0, 1), *(rollout[name].contiguous() for name in _ROLLOUT[1:])]
        kl = _NONE if target_kl is None else target_kl
        update = _Update(
            *(num_sessions, num_steps, num_envs, agent.task.obs_size, net.distribution.num_outputs),
            *(epochs, num_minibatches, config.normalize_advantage, len(self.actor), len(self.critic)),
            *(len(self.choices), plain_policy, *addresses([self.choices])),
            *(c.addressof(self.actor), c.addressof(self.critic), self.log_std, c.addressof(optimizer)),
            *(config.gamma, config.gae_lambda, coefs.get("clip_coef", 0.0), coefs["ent_coef"], coefs["vf_coef"]),
            *(coefs.get("vf_clip_coef", _NONE), kl, norm_clip, mean, var),
            *addresses([*held, order, metrics, num_updates]),
        )
        self.library.update(c.byref(update), threads.number(num_sessions))
        named = {f"train/{name}": metric for name, metric in zip(METRICS, metrics.unbind(1), strict=True)}
        return named, num_updates.tolist()
