"""One session's network out of S."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn


class GreedyNet(nn.Module):
    """One session's greedy actions: observations ``[B, *obs_shape]`` to actions ``[B, ...]``.

    `net` maps flattened observations ``[S, B, in]`` to outputs ``[S, B, out]``, and `mode` those to actions.
    """

    def __init__(self, net: nn.Module, session: int, mode: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net = copy.deepcopy(net)
        for tensor in (*self.net.parameters(), *self.net.buffers()):
            tensor.data = tensor.data[session : session + 1].clone()
        self.mode = mode

    @torch.no_grad()
    def forward(self, obs: Tensor) -> Tensor:
        return self.mode(self.net(obs.flatten(1).float().unsqueeze(0))).squeeze(0)
