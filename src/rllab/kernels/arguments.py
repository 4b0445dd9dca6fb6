"""What Python hands to the kernels: networks and optimisers, as plain numbers and addresses."""

from __future__ import annotations

import ctypes as c
from typing import TYPE_CHECKING

from rllab.kernels.build import NoKernelError
from rllab.nets.mlp import MLP
from rllab.optim.adam import Adam

if TYPE_CHECKING:
    from torch import nn

    from rllab.nets.normalize import RunningNorm
    from rllab.optim.rmsprop import RMSprop

_ACTIVATIONS = {None: 0, "tanh": 1, "relu": 2}
WIDEST = 256
"""Width of a layer up to which kernels were measured to be faster than torch."""
MOST_OUTPUTS = 64


class Layer(c.Structure):
    """One layer of S sessions, as `network.hpp` has it."""

    _fields_ = (
        *((name, c.c_int) for name in ("inputs", "outputs", "activation")),
        *((name, c.c_void_p) for name in ("weight", "bias")),
        *((name, c.c_long) for name in ("weight_step", "bias_step")),
    )


class Optimizer(c.Structure):
    """Adam or RMSprop of S sessions, with what one step needs beside the gradient."""

    _fields_ = (
        *((name, c.c_int) for name in ("size", "rmsprop")),
        *((name, c.c_float) for name in ("beta1", "beta2", "eps", "lr", "max_grad_norm")),
        *((name, c.c_void_p) for name in ("params", "exp_avg", "exp_avg_sq", "steps")),
    )

    @classmethod
    def of(cls, optimizer: Adam | RMSprop, *, lr: float, max_grad_norm: float) -> Optimizer:
        """As the optimiser is now."""
        params = optimizer.flat.data
        if isinstance(optimizer, Adam):
            moments = (optimizer.exp_avg, optimizer.exp_avg_sq, optimizer.steps)
            numbers = (*optimizer.betas, optimizer.eps, lr, max_grad_norm)
            return cls(params.shape[1], 0, *numbers, *(x.data_ptr() for x in (params, *moments)))
        numbers = (0.0, optimizer.alpha, optimizer.eps, lr, max_grad_norm)
        return cls(params.shape[1], 1, *numbers, params.data_ptr(), None, optimizer.square_avg.data_ptr(), None)


def layers(*modules: nn.Module) -> c.Array[Layer]:
    """MLPs in a row, on the parameters' own memory: they are never out of date.

    Raises:
        NoKernelError: a module is something else, is on another device, or has layers that no kernel is made for.
    """
    found = []
    for module in modules:
        if not isinstance(module, MLP):
            raise NoKernelError(f"they are made for networks `mlp`, and not for {type(module).__name__}")
        parameters = list(module.parameters())
        for i, (weight, bias) in enumerate(zip(parameters[::2], parameters[1::2], strict=True)):
            activation = module.activation if i < module.num_activated else None
            if activation not in _ACTIVATIONS:
                raise NoKernelError(f"agent.activation is {activation}")
            if not weight.is_cpu:
                raise NoKernelError(f"meta.device is {weight.device.type}")
            sizes, addresses = (weight.shape[2], weight.shape[1]), (weight.data_ptr(), bias.data_ptr())
            found.append(Layer(*sizes, _ACTIVATIONS[activation], *addresses, weight.stride(0), bias.stride(0)))
    widest = max(layer.outputs for layer in found)
    if widest > WIDEST:
        raise NoKernelError(f"a layer has {widest} units, and kernels gain up to {WIDEST}")
    return (Layer * len(found))(*found)


def normaliser(norm: RunningNorm | None) -> tuple[int | None, int | None, float]:
    """Mean, variance and the bound of what is normalised."""
    return (None, None, 0.0) if norm is None else (norm.mean.data_ptr(), norm.var.data_ptr(), norm.clip)
