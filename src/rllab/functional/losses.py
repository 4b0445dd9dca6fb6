"""Losses of value functions."""

import torch
from torch import Tensor


def huber(error: Tensor) -> Tensor:
    """Half the square within ±1, linear outside (Mnih et al. 2015 clip the error)."""
    inside = error.clamp(-1.0, 1.0)
    return inside * (error - 0.5 * inside)


def squared(error: Tensor) -> Tensor:
    """Half the square."""
    return 0.5 * error.square()


TD_LOSSES = {"huber": huber, "mse": squared}


def quantile_huber(quantiles: Tensor, target: Tensor) -> Tensor:
    """Quantile regression with the Huber loss, kappa = 1 (Dabney et al. 2018, eq. 10).

    Args:
        quantiles: ``[..., Z]``, at the midpoints (i + 1/2) / Z.
        target: ``[..., Z']``, samples of the distribution to learn, equally likely.

    Returns:
        The loss ``[...]``, summed over quantiles and averaged over targets.
    """
    num_quantiles = quantiles.shape[-1]
    midpoints = (torch.arange(num_quantiles, device=quantiles.device) + 0.5) / num_quantiles
    error = quantiles.unsqueeze(-1) - target.unsqueeze(-2)  # [..., Z, Z']
    weight = (midpoints.unsqueeze(-1) - (error > 0).to(error.dtype)).abs()
    return (weight * huber(error)).mean(-1).sum(-1)


def td_target(reward: Tensor, discount: Tensor, next_q: Tensor, choosing_q: Tensor | None = None) -> Tensor:
    """``reward + discount * next_q[best action]``: ``[S, B]``, values ``[S, B, A]``.

    `next_q` is the target network's. The best action is its own for Q-learning, and for double Q-learning (van Hasselt
    et al. 2016) that by `choosing_q`, of the online network.
    """
    if choosing_q is None:
        next_value = next_q.amax(-1)
    else:
        next_value = next_q.gather(-1, choosing_q.argmax(-1, keepdim=True)).squeeze(-1)
    return torch.addcmul(reward, discount, next_value)
