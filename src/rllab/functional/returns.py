"""Returns and advantages over rollouts that hold terminations, truncations and reset rows.

Row t of a rollout under Gymnasium's NEXT_STEP autoreset is ``obs[t] -> obs[t+1]``. ``obs[t+1]`` is always the true
successor, so a truncated row bootstraps with its value. The row after a finished episode only resets: it holds no
transition, its advantage is meaningless, and it must be masked out of every loss.
"""

import numpy as np
import torch
from torch import Tensor


def gae(
    reward: Tensor,
    value: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    *,
    gamma: float,
    gae_lambda: float,
) -> Tensor:
    """Generalised advantage estimation (Schulman et al. 2016).

    Args:
        reward: ``[T, ...]``.
        value: ``[T + 1, ...]``, of every row and of the last row's successor.
        terminated: ``[T, ...]`` bool; the successor has no value.
        truncated: ``[T, ...]`` bool; the successor's value counts, later advantages do not.
        gamma: discount.
        gae_lambda: 0 is the one-step TD error, 1 the Monte-Carlo advantage.

    Returns:
        Advantages ``[T, ...]``; those of reset rows are meaningless.
    """
    alive = (~terminated).to(reward.dtype)
    delta = torch.addcmul(reward - value[:-1], alive, value[1:], value=gamma)
    decay = (~(terminated | truncated)).to(reward.dtype) * (gamma * gae_lambda)
    return _reverse_scan(delta, decay)


def ended_since(done: Tensor, start: int) -> Tensor:
    """Rows ``[T, ...]`` whose episode ended in row `start` or later, by the flags `done` ``[T, ...]`` of all rows."""
    ends = done.long().flip(0).cumsum(0).flip(0)  # in this row and later
    return (ends > 0) & (ends <= ends[start])


def _reverse_scan(x: Tensor, decay: Tensor) -> Tensor:
    """``y_t = x_t + decay_t * y_{t+1}`` along the first axis in log2(T) steps; each doubles how far a row sums."""
    x, decay = x.clone(), decay.clone()
    shift = 1
    while shift < len(x):
        x[:-shift] += decay[:-shift] * x[shift:]
        decay[:-shift] = decay[:-shift] * decay[shift:]
        shift *= 2
    return x


def discounted_sums(reward: Tensor, done: Tensor, start: Tensor, *, gamma: float) -> Tensor:
    """Running discounted return ``G_t = reward_t + gamma * G_{t-1}``, begun anew after each finished episode.

    Args:
        reward: ``[T, ...]``.
        done: ``[T, ...]`` bool, terminated or truncated.
        start: ``[...]``, what the first row inherits; continue with ``result[-1] * ~done[-1]``.
        gamma: discount.

    Returns:
        ``[T, ...]``.
    """
    decay = torch.cat([torch.full_like(start, gamma).unsqueeze(0), (~done[:-1]).to(reward.dtype) * gamma])
    x = reward.clone()
    x[0] += gamma * start
    return _reverse_scan(x.flip(0), decay.flip(0)).flip(0)


def n_step_return(reward: np.ndarray, ends: np.ndarray, *, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Discounted sum of the rewards up to the first end, that one included (Sutton & Barto 2018, 7.1).

    In numpy, as replay buffers are.

    Args:
        reward: ``[n, ...]`` float32, of n successive rows.
        ends: ``[n, ...]`` bool; rows behind the first end do not count.
        gamma: discount.

    Returns:
        The sum and the number of rewards in it, ``[...]`` each.
    """
    total, counts, alive = reward[0].copy(), np.ones(reward.shape[1:], np.int64), ~ends[0]
    for k in range(1, len(reward)):
        total += np.float32(gamma**k) * alive * reward[k]
        counts += alive
        alive &= ~ends[k]
    return total, counts
