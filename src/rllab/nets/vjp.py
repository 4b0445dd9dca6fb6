"""Vector-Jacobian products: networks that differentiate themselves.

``y, pullback = net.vjp(x)`` evaluates; ``pullback(dL/dy)`` writes ``dL/dw`` into the ``grad`` of each parameter and
returns ``dL/dx``. On small networks autograd's bookkeeping costs more than the arithmetic, so
MLPs and distributions write theirs out; any other module gets it from autograd.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

Pullback = Callable[[Tensor], Tensor]
"""Writes the parameters' gradients; returns that of the input, or an empty tensor if it was not asked for."""


class Differentiable(Protocol):
    """A network with a vector-Jacobian product."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def vjp(self, x: Tensor, *, input_grad: bool) -> tuple[Tensor, Pullback]:
        """Output, and the pullback of its gradient."""


def autograd_vjp(module: nn.Module, x: Tensor, *, input_grad: bool) -> tuple[Tensor, Pullback]:
    """`vjp` of any module whose parameters have a ``grad`` to write into."""
    parameters = list(module.parameters())
    with torch.enable_grad():
        x = x.detach().requires_grad_(input_grad)
        y = module(x)

    def pullback(grad: Tensor) -> Tensor:
        inputs = [*parameters, x] if input_grad else parameters
        if not inputs:  # all of it is frozen
            return grad.new_empty(0)
        grads = torch.autograd.grad(y, inputs, grad, materialize_grads=True)
        for parameter, value in zip(parameters, grads, strict=False):
            assert parameter.grad is not None
            parameter.grad.copy_(value)
        return grads[-1] if input_grad else grad.new_empty(0)

    return y.detach(), pullback
