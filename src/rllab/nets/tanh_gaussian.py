"""Normal distribution squashed into [-1, 1] by tanh, for actions of a bounded box (Haarnoja et al. 2018)."""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0
"""Where the log standard deviation is clamped, as in the original code."""


def sample(outputs: Tensor, noise: Tensor) -> Tensor:
    """Actions ``[..., A]`` from a network's outputs ``[..., 2 * A]``, means and log standard deviations."""
    mean, log_std = outputs.chunk(2, -1)
    return torch.tanh(mean + log_std.clamp(LOG_STD_MIN, LOG_STD_MAX).exp() * noise)


def mode(outputs: Tensor) -> Tensor:
    """Greedy actions: the squashed mean."""
    return torch.tanh(outputs.chunk(2, -1)[0])


def sample_log_prob(outputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Sampled action ``[..., A]`` and its log-probability ``[...]``.

    The log-probability is that of the noise that was drawn, and exact however far tanh saturates:
    ``log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u))``.
    """
    mean, log_std = outputs.chunk(2, -1)
    log_std = log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)
    unsquashed = mean + log_std.exp() * noise
    log_slope = 2.0 * (math.log(2.0) - unsquashed - softplus(-2.0 * unsquashed))
    log_prob = -(0.5 * noise.square() + log_std + 0.5 * math.log(2.0 * math.pi) + log_slope).sum(-1)
    return torch.tanh(unsquashed), log_prob
