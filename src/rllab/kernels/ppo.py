"""PPO's update in one call: all epochs and minibatches, each session by itself."""

from __future__ import annotations

import ctypes as c
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rllab.kernels.build import NoKernelError, load
from rllab.nets.distributions import Categorical, DiagGaussian
from rllab.nets.mlp import MLP

if TYPE_CHECKING:
    from collections.abc import Callable

    from rllab.algorithms.ppo import PPO
    from rllab.buffers import Tensors

METRICS = ("policy_loss", "value_loss", "entropy", "clip_fraction", "approx_kl", "grad_norm")
_ROWS = ("obs", "log_prob", "value", "advantage", "returns", "valid", "action")
_WIDEST = 256
"""Width of a layer up to which the kernel was measured to be faster than torch."""
_MOST_ACTIONS = 64


class _Call(c.Structure):
    """What ``ppo.cpp`` takes, in its order."""

    _fields_ = (
        *((name, c.c_int) for name in ("sessions", "rows", "obs_size", "num_actions", "num_params")),
        *((name, c.c_int) for name in ("epochs", "minibatches", "continuous", "normalize_advantage", "relu", "layers")),
        ("log_std", c.c_long),
        *((name, c.c_float) for name in ("clip_coef", "ent_coef", "vf_coef", "vf_clip_coef", "max_grad_norm")),
        *((name, c.c_float) for name in ("lr", "beta1", "beta2", "eps")),
        *((name, c.c_void_p) for name in ("sizes", "offsets", "params", "exp_avg", "exp_avg_sq", "steps")),
        *((name, c.c_void_p) for name in (*_ROWS, "order", "metrics")),
    )


class PPOKernel:
    """The twin of PPO's update for two separate MLPs on the CPU."""

    def __init__(self, agent: PPO, say: Callable[[str], None] | None = None) -> None:
        """Learn where the parameters lie.

        Raises:
            NoKernelError: it is not made for such networks, actions or settings, or cannot be compiled here.
        """
        config, net = agent.config, agent.net
        torsos = net.actor_torso, net.critic_torso
        if agent.device != "cpu":
            raise NoKernelError(f"meta.device is {agent.device}")
        if not all(isinstance(torso, MLP) for torso in torsos) or torsos[0] is torsos[1]:
            raise NoKernelError("it is made for two separate networks `mlp`")
        if config.activation == "elu" or max(config.hidden, default=0) > _WIDEST:
            raise NoKernelError(f"it is made for tanh and relu, and for layers of up to {_WIDEST}")
        if (
            not isinstance(net.distribution, (Categorical, DiagGaussian))
            or net.distribution.num_outputs > _MOST_ACTIONS
        ):
            raise NoKernelError(f"it is made for Discrete and Box actions, up to {_MOST_ACTIONS} of them")
        if config.target_kl is not None:
            raise NoKernelError("agent.target_kl is set")
        self.agent = agent
        self.library = load("ppo", say)
        names = {id(parameter): name for name, parameter in net.named_parameters()}
        places, position = {}, 0
        for parameter in agent.flat.parameters:
            places[names[id(parameter)]] = position
            position += parameter[0].numel()
        layers = [
            [(f"{torso}.weight_{i}", f"{torso}.bias_{i}") for i in range(len(config.hidden))]
            + [(f"{head}.weight_0", f"{head}.bias_0")]
            for torso, head in (("actor_torso", "actor_head"), ("critic_torso", "critic_head"))
        ]
        shapes = {name: parameter.shape for name, parameter in net.named_parameters()}
        widths = [[shapes[each[0][0]][2], *(shapes[weight][1] for weight, _ in each)] for each in layers]
        self.sizes = np.array(widths, np.int32)
        self.offsets = np.array([[[places[n] for n in pair] for pair in each] for each in layers], np.int64)
        self.log_std = places.get("distribution.log_std", 0)

    def learn(self, batch: Tensors, lr: float, coefs: dict[str, float]) -> tuple[Tensors, list[int]]:
        """All epochs on a rollout ``[S, T * N, ...]``: metrics ``[S]`` and optimiser steps, as PPO's own `_learn`."""
        agent, config = self.agent, self.agent.config
        num_sessions, num_rows = batch["valid"].shape
        order = torch.stack([agent.minibatch_streams.permutations(num_rows) for _ in range(config.num_epochs)])
        held = {name: batch[name].contiguous() for name in _ROWS}
        metrics = torch.zeros(num_sessions, len(METRICS))
        optimizer = agent.optimizer
        tensors: list[Tensor] = [agent.flat.data, optimizer.exp_avg, optimizer.exp_avg_sq, optimizer.steps]
        tensors += [*held.values(), order, metrics]
        call = _Call(
            *(num_sessions, num_rows, self.sizes[0, 0], self.sizes[0, -1], agent.flat.data.shape[1]),
            *(config.num_epochs, config.num_minibatches, isinstance(agent.net.distribution, DiagGaussian)),
            *(config.normalize_advantage, config.activation == "relu", len(config.hidden) + 1, self.log_std),
            *(coefs[name] for name in ("clip_coef", "ent_coef", "vf_coef")),
            *(coefs.get("vf_clip_coef", -1.0), config.max_grad_norm, lr, *optimizer.betas, optimizer.eps),
            *(self.sizes.ctypes.data, self.offsets.ctypes.data),
            *(tensor.data_ptr() for tensor in tensors),
        )
        self.library.ppo_update(c.byref(call), min(num_sessions, torch.get_num_threads()))
        named = {f"train/{name}": metric for name, metric in zip(METRICS, metrics.unbind(1), strict=True)}
        return named, [config.num_epochs * config.num_minibatches] * num_sessions
