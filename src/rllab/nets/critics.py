"""Several critics for each session, evaluated together: ``[S, B, in] -> [S, num_critics, B, out]``."""

from typing import Protocol

import torch
from torch import Tensor, nn

from rllab.nets.batch_renorm import RenormMLP
from rllab.nets.mlp import MLP, Activation
from rllab.nets.vjp import Pullback


class InputVJP(Protocol):
    """Critics, as a policy learns from them."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def input_vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """Output, and the pullback to the gradient of the input, ``[S, B, in]``, summed over the critics.

        It leaves the parameters' gradients alone.
        """


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

    def vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """Output, and the pullback that writes the parameters' gradients; it returns nothing of use."""
        y, mlp_pullback = self.mlp.vjp(x.repeat_interleave(self.num_critics, 0), input_grad=False)
        return _by_session(y, self.num_critics), lambda grad: mlp_pullback(grad.flatten(0, 1))

    def input_vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        repeated = x.repeat_interleave(self.num_critics, 0)
        y, mlp_pullback = self.mlp.vjp(repeated, input_grad=True, parameter_grad=False)
        return _by_session(y, self.num_critics), _summed(mlp_pullback, self.num_critics)


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

    def forward(self, x: Tensor) -> Tensor:
        return self.input_vjp(x)[0]

    def vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """As of `Critics`, by the statistics of this batch, which move the running ones."""
        y, mlp_pullback = self.mlp.vjp(x.repeat_interleave(self.num_critics, 0), training=True)
        return _by_session(y, self.num_critics), lambda grad: mlp_pullback(grad.flatten(0, 1))

    def input_vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """By the running statistics."""
        y, mlp_pullback = self.mlp.vjp(x.repeat_interleave(self.num_critics, 0), training=False)
        return _by_session(y, self.num_critics), _summed(mlp_pullback, self.num_critics)


def _each(generators: list[torch.Generator], num_critics: int) -> list[torch.Generator]:
    """That of its session for each critic."""
    return [generator for generator in generators for _ in range(num_critics)]


def _by_session(x: Tensor, num_critics: int) -> Tensor:
    return x.view(-1, num_critics, *x.shape[1:])


def _summed(pullback: Pullback, num_critics: int) -> Pullback:
    return lambda grad: _by_session(pullback(grad.flatten(0, 1)), num_critics).sum(1)
