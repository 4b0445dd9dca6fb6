"""Fully connected networks of S sessions, evaluated together by batched matrix products."""

from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Activation = Literal["tanh", "relu", "elu"]

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
        parameters = list(self._parameters.values())
        if torch.is_grad_enabled():
            return _MLPFunction.apply(x, self.activation, self.num_activated, *parameters)  # type: ignore[no-any-return, no-untyped-call]
        return _forward(x, self.activation, self.num_activated, parameters)[-1]


class HostMLP:
    """An `MLP` for acting on a few observations, where a call of numpy costs a third of one of torch.

    It reads the parameters' own memory, so it is never out of date.
    """

    def __init__(self, mlp: MLP) -> None:
        arrays = [parameter.detach().numpy() for parameter in mlp.parameters()]
        self.layers = [(weight.swapaxes(1, 2), bias) for weight, bias in zip(arrays[::2], arrays[1::2], strict=True)]
        self.num_activated = mlp.num_activated
        self.activate = {"tanh": _numpy_tanh, "relu": _numpy_relu, "elu": _numpy_elu}[mlp.activation]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """``[S, B, in] -> [S, B, out]``."""
        for i, (weight, bias) in enumerate(self.layers):
            x = np.matmul(x, weight)
            x += bias
            if i < self.num_activated:
                self.activate(x)
        return x


def _numpy_tanh(x: np.ndarray) -> None:
    np.tanh(x, out=x)


def _numpy_relu(x: np.ndarray) -> None:
    np.maximum(x, 0, out=x)


def _numpy_elu(x: np.ndarray) -> None:
    np.copyto(x, np.expm1(x), where=x < 0)


def _forward(x: Tensor, activation: str, num_activated: int, parameters: Any) -> list[Tensor]:
    """The input and every layer's output; the last entry is the network's."""
    outputs = [x]
    for i, (weight, bias) in enumerate(zip(parameters[::2], parameters[1::2], strict=True)):
        if i >= num_activated:
            x = torch.baddbmm(bias, x, weight.mT)
        elif activation == "tanh":
            x = _tanh_layer(bias, x, weight)
        elif activation == "relu":
            x = torch.baddbmm(bias, x, weight.mT).relu_()
        else:
            x = nn.functional.elu_(torch.baddbmm(bias, x, weight.mT))
        outputs.append(x)
    return outputs


def _tanh_layer(bias: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    if x.shape[0] * x.shape[1] * weight.shape[1] < _MANY:
        return torch.baddbmm(bias, x, weight.mT).tanh_()
    # tanh(z) = 2 sigmoid(2 z) - 1: torch's vectorised sigmoid is six times faster than its tanh (error 2e-7)
    return torch.baddbmm(bias, x, weight.mT, beta=2, alpha=2).sigmoid_().mul_(2).sub_(1)


class _MLPFunction(torch.autograd.Function):
    """The whole network as one node of autograd's graph: half the calls of layer-by-layer differentiation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, activation: str, num_activated: int, *parameters: Tensor) -> Tensor:
        outputs = _forward(x, activation, num_activated, parameters)
        ctx.activation, ctx.num_activated = activation, num_activated
        ctx.save_for_backward(*outputs, *parameters[::2])
        return outputs[-1]

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        num_layers = len(saved) // 2
        outputs, weights = saved[: num_layers + 1], saved[num_layers + 1 :]
        grads: list[Tensor | None] = []
        for i in reversed(range(num_layers)):
            x, y, weight = outputs[i], outputs[i + 1], weights[i]
            if i < ctx.num_activated:
                grad = _activation_backward(ctx.activation, grad, y)
            # a product with few rows is four times faster than one with few columns
            wide = weight.shape[1] <= weight.shape[2]
            grads += [grad.sum(1, keepdim=True), torch.bmm(grad.mT, x) if wide else torch.bmm(x.mT, grad).mT]
            if i > 0 or ctx.needs_input_grad[0]:
                grad = torch.bmm(grad, weight)
        return (grad if ctx.needs_input_grad[0] else None, None, None, *reversed(grads))


def _activation_backward(activation: str, grad: Tensor, y: Tensor) -> Tensor:
    """Gradient before the activation, from its output `y`."""
    if activation == "tanh":
        return torch.ops.aten.tanh_backward(grad, y)  # type: ignore[no-any-return]
    if activation == "relu":
        return torch.ops.aten.threshold_backward(grad, y, 0)  # type: ignore[no-any-return]
    return torch.ops.aten.elu_backward(grad, 1.0, 1.0, 1.0, True, y)  # type: ignore[no-any-return]
