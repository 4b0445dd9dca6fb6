"""Reductions over the last axis that leave out invalid rows: what a session's own rows say, and no other's."""

import torch
from torch import Tensor


def by_session(x: Tensor) -> Tensor:
    """All rows of a session in one axis: ``[T, S, N, ...] -> [S, T * N, ...]``."""
    return x.transpose(0, 1).flatten(1, 2)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of the valid entries, ``[..., B]`` and a mask of 0 and 1 -> ``[...]``; 0 where none is valid."""
    return (x * mask).sum(-1) / mask.sum(-1).clamp(min=1.0)


def masked_standardize(x: Tensor, mask: Tensor, eps: float = 1e-8) -> Tensor:
    """Subtract the mean and divide by the (unbiased) standard deviation of the valid entries, ``[..., B]``.

    A single valid entry, which has neither, stays as it is: nothing would be learned from 0.
    """
    count = mask.sum(-1)
    centred = x - masked_mean(x, mask).unsqueeze(-1)
    variance = (centred.square() * mask).sum(-1) / (count - 1.0).clamp(min=1.0)
    return torch.where((count > 1).unsqueeze(-1), centred / (variance.sqrt() + eps).unsqueeze(-1), x)


def explained_variance(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """1 - Var[target - prediction] / Var[target] over valid entries, ``[..., B] -> [...]``; 1 is perfect, 0 useless."""

    def variance(x: Tensor) -> Tensor:
        return masked_mean((x - masked_mean(x, mask).unsqueeze(-1)).square(), mask)

    total = variance(target)
    ratio = variance(target - prediction) / total.clamp(min=1e-12)
    return torch.where(total > 0, 1.0 - ratio, torch.zeros_like(total))
