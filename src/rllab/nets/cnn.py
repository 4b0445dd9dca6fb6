"""Convolutional networks of S sessions, for images."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rllab.nets.images import size_of_image
from rllab.nets.mlp import MLP


class Conv(NamedTuple):
    """One convolution, followed by ReLU."""

    channels: int
    kernel: int
    stride: int
    padding: int = 0


class Layout(NamedTuple):
    """What a torso is made of: convolutions, then one layer of features."""

    convs: tuple[Conv, ...]
    num_features: int


LAYOUTS = {
    "cnn": Layout((Conv(32, 8, 4), Conv(64, 4, 2), Conv(64, 3, 1)), 512),  # Mnih et al. 2015
    "cnn_small": Layout((Conv(16, 3, 2, padding=1), Conv(32, 3, 2, padding=1)), 128),  # for images of any size
}


class CNN(nn.Module):
    """S convolutional torsos of the same shape: images ``[S, B, *shape]`` to ``[S, B, features]``.

    Frames of a stack count as channels. Bytes are scaled to [0, 1] here, and not before: a rollout of them takes a
    quarter of the memory. Other numbers are taken as they are. Weights are ``[S, out, in, k, k]``, torch's own with a
    session axis, and start as an `MLP`'s do.

    Sessions are convolved one after the other, with the channels last in memory. Forward and backward of four sessions
    at 256 rows would take 1.4 times as long with the channels first, 1.4 to 1.7 times if one grouped convolution did
    it, and 2.5 times as products of unfolded patches (CPU, AVX-512). Acting is equally fast in all but the last.
    """

    def __init__(self, shape: tuple[int, ...], axes: str, layout: Layout, *, generators: list[torch.Generator]) -> None:
        """`axes` are those of `shape`, see `rllab.nets.images`."""
        super().__init__()
        self.convs = layout.convs
        self.channels_last = axes.endswith("HWC")
        self.size = size_of_image(shape, axes)
        sizes = output_shapes(self.size, layout)
        fan_in = self.size[0]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for conv in layout.convs:
            weight = torch.empty(len(generators), conv.channels, fan_in, conv.kernel, conv.kernel)
            for session, generator in enumerate(generators):
                nn.init.orthogonal_(weight[session], 2**0.5, generator=generator)
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(torch.zeros(len(generators), conv.channels)))
            fan_in = conv.channels
        channels, height, width = sizes[-1]
        self.dense = MLP(
            [channels * height * width, layout.num_features],
            generators=generators,
            activation="relu",
            activate_last=True,
        )

    def forward(self, x: Tensor) -> Tensor:
        rows = []
        for session, images in enumerate(x):
            y = self._pixels(images)
            for conv, weight, bias in self._layers(session):
                y = nn.functional.conv2d(y, weight, bias, conv.stride, conv.padding).relu_()
            rows.append(y.flatten(1))
        return self.dense(torch.stack(rows))  # type: ignore[no-any-return]

    def _layers(self, session: int) -> list[tuple[Conv, Tensor, Tensor]]:
        return [
            (conv, weight[session].contiguous(memory_format=torch.channels_last), bias[session])
            for conv, weight, bias in zip(self.convs, self.weights, self.biases, strict=True)
        ]

    def _pixels(self, images: Tensor) -> Tensor:
        """One session's images as its convolutions take them."""
        if self.channels_last:
            images = images.movedim(-1, -3)
        pixels = images.reshape(-1, *self.size).contiguous(memory_format=torch.channels_last).to(self.weights[0].dtype)
        return pixels.div_(255) if images.dtype == torch.uint8 else pixels


def output_shapes(size: tuple[int, int, int], layout: Layout) -> list[tuple[int, int, int]]:
    """``(channels, height, width)`` after each convolution of images of such a size; below 1 if they are too small."""
    _, height, width = size
    shapes = []
    for conv in layout.convs:
        height, width = ((n + 2 * conv.padding - conv.kernel) // conv.stride + 1 for n in (height, width))
        shapes.append((conv.channels, height, width))
    return shapes
