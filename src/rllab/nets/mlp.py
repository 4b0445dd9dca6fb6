"""Fully connected networks of S sessions, evaluated together by batched matrix products."""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

Activation = Literal["tanh", "relu", "elu"]
InPlace = Callable[[np.ndarray], None]

_MINUS_ONE = torch.tensor(-1.0)
_MANY = 4096  # elements from which three fast passes beat one slow one


class MLP(nn.Module):
    """S networks of the same shape: ``[S, B, in] -> [S, B, out]``.

    Weights are ``[S, out, in]``, biases ``[S, 1, out]``. Every layer but the last is followed by the activation; the
    last one too if `activate_last`.
    """

    def __init__(
        self,
        sizes: list[int],
        *,
        generators: list[torch.Generator],
        activation: Activation = "tanh",
        activate_last: bool = False,
        gain: float = 2**0.5,
        last_gain: float | None = None,
    ) -> None:
        """Initialise orthogonally with `gain` (`last_gain` for the last layer), each session from its own generator."""
        super().__init__()
        self.activation = activation
        self.num_activated = len(sizes) - (1 if activate_last else 2)
        gains = [gain] * (len(sizes) - 2) + [gain if last_gain is None else last_gain]
        for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            weight = torch.empty(len(generators), fan_out, fan_in)
            for session, generator in enumerate(generators):
                nn.init.orthogonal_(weight[session], gains[i], generator=generator)
            self.register_parameter(f"weight_{i}", nn.Parameter(weight))
            self.register_parameter(f"bias_{i}", nn.Parameter(torch.zeros(len(generators), 1, fan_out)))

    def forward(self, x: Tensor) -> Tensor:
        for i, (weight, bias) in enumerate(self._layers()):
            x = _layer(bias, x, weight, self.activation if i < self.num_activated else None)
        return x

    def _layers(self) -> list[tuple[Tensor, Tensor]]:
        parameters = [p for p in self._parameters.values() if p is not None]
        return list(zip(parameters[::2], parameters[1::2], strict=True))


def _layer(bias: Tensor, x: Tensor, weight: Tensor, activation: Activation | None) -> Tensor:
    """One layer, activated."""
    if activation == "tanh" and x.shape[0] * x.shape[1] * weight.shape[1] >= _MANY:
        # tanh(z) = 2 sigmoid(2 z) - 1: torch's vectorised sigmoid is six times faster than its tanh (error 2e-7)
        return torch.add(_MINUS_ONE, torch.baddbmm(bias, x, weight.mT, beta=2, alpha=2).sigmoid_(), alpha=2)
    y = torch.baddbmm(bias, x, weight.mT)
    if activation is None:
        return y
    return {"tanh": torch.tanh_, "relu": torch.relu_, "elu": nn.functional.elu_}[activation](y)


class HostMLP:
    """`MLP`s in a row for acting on a few observations, where a call of numpy costs a third of one of torch.

    It reads the parameters' own memory, so it is never out of date.
    """

    def __init__(self, *mlps: MLP) -> None:
        self.layers: list[tuple[np.ndarray, np.ndarray, InPlace | None]] = []
        for mlp in mlps:
            arrays = [parameter.detach().numpy() for parameter in mlp.parameters()]
            for i, (weight, bias) in enumerate(zip(arrays[::2], arrays[1::2], strict=True)):
                activate = _IN_PLACE[mlp.activation] if i < mlp.num_activated else None
                self.layers.append((weight.swapaxes(1, 2), bias, activate))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """``[S, B, in] -> [S, B, out]``."""
        for weight, bias, activate in self.layers:
            x = np.matmul(x, weight)
            x += bias
            if activate is not None:
                activate(x)
        return x


def _numpy_tanh(x: np.ndarray) -> None:
    np.tanh(x, out=x)


def _numpy_relu(x: np.ndarray) -> None:
    np.maximum(x, _ZERO, out=x)


def _numpy_elu(x: np.ndarray) -> None:
    np.copyto(x, np.expm1(np.minimum(x, 0)), where=x < 0)  # expm1 of large x would overflow, with a warning


_IN_PLACE: dict[Activation, InPlace] = {"tanh": _numpy_tanh, "relu": _numpy_relu, "elu": _numpy_elu}
_ZERO = np.float32(0)  # a Python number is converted in each call
