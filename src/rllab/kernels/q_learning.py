"""A gradient step of deep Q-learning in one call, each session by itself."""

from __future__ import annotations

import ctypes as c
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rllab.kernels import threads
from rllab.kernels.addresses import addresses
from rllab.kernels.arguments import Optimizer, layers
from rllab.kernels.build import NoKernelError, load

if TYPE_CHECKING:
    from rllab.algorithms.dqn import DQN
    from rllab.algorithms.qrdqn import QRDQN
    from rllab.buffers import Tensors

METRICS = ("loss", "q_value", "grad_norm")
_SIZES = ("sessions", "batch", "obs_size", "actions", "quantiles", "dueling", "double_q", "squared", "num_layers")
_BATCH = ("obs", "next_obs", "action", "reward", "discount")


class _Step(c.Structure):
    """What ``q_learning.cpp`` takes, in its order."""

    _fields_ = (
        *((name, c.c_int) for name in _SIZES),
        *((name, c.c_void_p) for name in ("net", "target", "optimizer", *_BATCH, "weight", "metrics", "td_error")),
    )


class QKernel:
    """The twin of a gradient step of DQN or QR-DQN, for MLPs on the CPU."""

    def __init__(self, agent: DQN | QRDQN, *, double: bool = False, squared: bool = False) -> None:
        """Look whether it fits.

        Args:
            agent: whose step it is.
            double: the online network chooses the next action.
            squared: the loss is half the square of the error, and not Huber's.

        Raises:
            NoKernelError: it is not made for such networks, or cannot be compiled here.
        """
        self.net, self.target = (layers(net.torso, net.head) for net in (agent.net, agent.target))
        if agent.task.obs_space.dtype != np.float32:
            raise NoKernelError(f"observations are {agent.task.obs_space.dtype}")
        self.agent, self.double, self.squared = agent, double, squared
        self.library = load("q_learning")

    def __call__(self, batch: Tensors, lr: float, weight: Tensor | None = None) -> tuple[Tensors, Tensor]:
        """Learn from a batch ``[S, B, ...]``: metrics ``[S]``, and TD errors ``[S, B]`` where values are numbers."""
        net = self.agent.net
        num_sessions, batch_size = batch["action"].shape
        metrics, td_error = torch.empty(num_sessions, len(METRICS)), torch.empty(num_sessions, batch_size)
        optimizer = Optimizer.of(self.agent.optimizer, lr=lr, max_grad_norm=self.agent.config.max_grad_norm)
        num_actions = self.net[-1].outputs // net.num_quantiles - net.dueling
        step = _Step(
            *(num_sessions, batch_size, self.agent.task.obs_size, num_actions, net.num_quantiles, net.dueling),
            *(self.double, self.squared, len(self.net)),
            *(c.addressof(self.net), c.addressof(self.target), c.addressof(optimizer)),
            *addresses([*(batch[name] for name in _BATCH), weight, metrics, td_error]),
        )
        self.library.gradient_step(c.byref(step), threads.number(num_sessions))
        return {f"train/{name}": x for name, x in zip(METRICS, metrics.unbind(1), strict=True)}, td_error
