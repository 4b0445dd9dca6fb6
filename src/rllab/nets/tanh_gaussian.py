"""Normal distribution squashed into [-1, 1] by tanh, for actions of a bounded box (Haarnoja et al. 2018)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0
"""Where the log standard deviation is clamped, as in the original code."""

Pullback = Callable[[Tensor, Tensor], Tensor]
"""Gradients of action ``[..., A]`` and log-probability ``[...]`` to that of the network's outputs ``[..., 2 * A]``."""


def sample(outputs: Tensor, noise: Tensor) -> Tensor:
    """Actions ``[..., A]`` from a network's outputs ``[..., 2 * A]``, means and log standard deviations."""
    mean, log_std = outputs.chunk(2, -1)
    return torch.tanh(mean + log_std.clamp(LOG_STD_MIN, LOG_STD_MAX).exp() * noise)


def mode(outputs: Tensor) -> Tensor:
    """Greedy actions: the squashed mean."""
    return torch.tanh(outputs.chunk(2, -1)[0])


def vjp(outputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Pullback]:
    """Sampled action ``[..., A]``, its log-probability ``[...]``, and the pullback of both gradients to the outputs.

    The log-probability is that of the noise that was drawn, and exact however far tanh saturates:
    ``log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u))``.
    """
    mean, raw_log_std = outputs.chunk(2, -1)
    log_std = raw_log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)
    spread = log_std.exp() * noise
    unsquashed = mean + spread
    action = torch.tanh(unsquashed)
    log_slope = 2.0 * (math.log(2.0) - unsquashed - softplus(-2.0 * unsquashed))
    log_prob = -(0.5 * noise.square() + log_std + 0.5 * math.log(2.0 * math.pi) + log_slope).sum(-1)

    def pullback(grad_action: Tensor, grad_log_prob: Tensor) -> Tensor:
        # d a / d u = 1 - a^2 ;  d log p / d u = 2 a ;  d u / d mean = 1 ;  d u / d log_std = spread
        grad_log_prob = grad_log_prob.unsqueeze(-1)
        grad_mean = grad_action * (1.0 - action.square()) + grad_log_prob * (2.0 * action)
        grad_log_std = (grad_mean * spread - grad_log_prob) * (log_std == raw_log_std)
        return torch.cat([grad_mean, grad_log_std], -1)

    return action, log_prob, pullback
