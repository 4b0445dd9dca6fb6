"""Batch renormalisation (Ioffe 2017), and networks with it before every layer, as CrossQ has them."""

from itertools import pairwise

import torch
from torch import Tensor, nn

R_MAX, D_MAX = 3.0, 5.0
"""How far batch statistics are corrected towards the running ones, as in CrossQ's code."""


class BatchRenorm(nn.Module):
    """Normalises each feature of ``[S, B, F]`` over the batch of a session.

    While training, a batch's own statistics are corrected towards the running ones, by a factor `r` and a shift `d`
    that carry no gradient; so the network sees nearly the same function as afterwards, when the running ones stand
    alone. During the first `warmup` batches, whose running statistics mean little, it is plain batch normalisation.
    """

    mean: Tensor
    var: Tensor
    count: Tensor

    def __init__(
        self, num_sessions: int, num_features: int, *, momentum: float = 0.01, warmup: int = 100_000, eps: float = 1e-3
    ) -> None:
        """`momentum` is the weight of a new batch in the running statistics."""
        super().__init__()
        self.momentum, self.warmup, self.eps = momentum, warmup, eps
        shape = (num_sessions, 1, num_features)
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("var", torch.ones(shape))
        self.register_buffer("count", torch.zeros(num_sessions, 1, 1))

    def forward(self, x: Tensor, *, training: bool = False) -> Tensor:
        """Normalise by the running statistics, or with `training` by those of this batch, which then move them."""
        running_std = (self.var + self.eps).sqrt()
        if not training:
            scale = self.weight / running_std
            return torch.addcmul(self.bias - self.mean * scale, x, scale)
        mean = x.mean(1, keepdim=True)
        centred = x - mean
        var = centred.square().mean(1, keepdim=True)  # torch.var_mean takes ten times as long along this axis
        std = (var + self.eps).sqrt()
        with torch.no_grad():
            warm = self.count >= self.warmup
            r = torch.where(warm, (std / running_std).clamp(1.0 / R_MAX, R_MAX), 1.0)
            d = torch.where(warm, ((mean - self.mean) / running_std).clamp(-D_MAX, D_MAX), 0.0)
            self.mean.lerp_(mean, self.momentum)
            self.var.lerp_(var, self.momentum)
            self.count += 1
        return torch.addcmul(self.weight * d + self.bias, centred, self.weight * r / std)


class RenormMLP(nn.Module):
    """S networks ``[S, B, in] -> [S, B, out]`` of layers ``BatchRenorm, Linear, ReLU``; the last has no ReLU."""

    def __init__(
        self,
        sizes: list[int],
        *,
        generators: list[torch.Generator],
        last_gain: float = 1.0,
        momentum: float = 0.01,
        warmup: int = 100_000,
    ) -> None:
        super().__init__()
        self.num_layers = len(sizes) - 1
        gains = [2**0.5] * (self.num_layers - 1) + [last_gain]
        for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            weight = torch.empty(len(generators), fan_out, fan_in)
            for session, generator in enumerate(generators):
                nn.init.orthogonal_(weight[session], gains[i], generator=generator)
            self.register_module(f"norm_{i}", BatchRenorm(len(generators), fan_in, momentum=momentum, warmup=warmup))
            self.register_parameter(f"weight_{i}", nn.Parameter(weight))
            self.register_parameter(f"bias_{i}", nn.Parameter(torch.zeros(len(generators), 1, fan_out)))

    def forward(self, x: Tensor, *, training: bool = False) -> Tensor:
        """Evaluate; with `training`, normalise by the statistics of this batch, which move the running ones."""
        for i in range(self.num_layers):
            norm, weight, bias = (getattr(self, f"{name}_{i}") for name in ("norm", "weight", "bias"))
            x = torch.baddbmm(bias, norm(x, training=training), weight.mT)
            x = torch.relu_(x) if i < self.num_layers - 1 else x
        return x
