"""Several critics for each session, evaluated together: ``[S, B, in] -> [S, num_critics, B, out]``."""

import torch
from torch import Tensor, nn

from rllab.nets.batch_renorm import RenormMLP
from rllab.nets.mlp import MLP, Activation


class Critics(nn.Module):
    """They are the networks of one `MLP`, those of a session side by side, so that a layer of all is one product."""

    def __init__(
        self,
        sizes: list[int],
        *,
        num_critics: int,
        generators: list[torch.Generator],
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.num_critics = num_critics
        self.mlp = MLP(sizes, generators=_each(generators, num_critics), activation=activation, last_gain=1.0)

    def forward(self, x: Tensor) -> Tensor:
        return _by_session(self.mlp(x.repeat_interleave(self.num_critics, 0)), self.num_critics)


class RenormCritics(nn.Module):
    """The same with batch renormalisation, see `RenormMLP`."""

    def __init__(
        self,
        sizes: list[int],
        *,
        num_critics: int,
        generators: list[torch.Generator],
        momentum: float = 0.01,
        warmup: int = 100_000,
    ) -> None:
        super().__init__()
        self.num_critics = num_critics
        each = _each(generators, num_critics)
        self.mlp = RenormMLP(sizes, generators=each, last_gain=1.0, momentum=momentum, warmup=warmup)

    def forward(self, x: Tensor, *, training: bool = False) -> Tensor:
        """By the running statistics; with `training` by those of this batch, which move the running ones."""
        return _by_session(self.mlp(x.repeat_interleave(self.num_critics, 0), training=training), self.num_critics)


def _each(generators: list[torch.Generator], num_critics: int) -> list[torch.Generator]:
    """One generator for each critic: that of its session."""
    return [generator for generator in generators for _ in range(num_critics)]


def _by_session(x: Tensor, num_critics: int) -> Tensor:
    return x.view(-1, num_critics, *x.shape[1:])
