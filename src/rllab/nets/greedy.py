"""One session's greedy policy out of S, as a module of its own: for players and export."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rllab.nets.parts import Obs


class GreedyPolicy(nn.Module):
    """Observations ``[B, *obs_shape]``, or their parts by name, to actions ``[B, ...]``, without exploration.

    Forward takes and gives what the policy remembers from step to step, ``[B, ...]`` each, and is told by `starts`
    ``[B]`` where an episode begins. Networks without memory give an empty state.
    """

    def __init__(self, net: nn.Module, session: int, choose: Callable[[Any, Tensor], Tensor]) -> None:
        """Copy the parameters and buffers ``[S, ...]`` of one session.

        Args:
            net: of all sessions, with whatever normalises its observations.
            session: the one whose policy this is.
            choose: greedy actions ``[S, B, ...]`` of such a network for observations ``[S, B, *obs_shape]``.
        """
        super().__init__()
        self.net = copy.deepcopy(net)
        for tensor in (*self.net.parameters(), *self.net.buffers()):
            tensor.data = tensor.data[session : session + 1].clone()
        self.choose = choose

    @torch.no_grad()
    def forward(
        self,
        obs: Obs,
        state: dict[str, Tensor] | None = None,  # noqa: ARG002 - no network here has a memory
        starts: Tensor | None = None,  # noqa: ARG002
    ) -> tuple[Tensor, dict[str, Tensor]]:
        stacked: Any = (
            {name: part.unsqueeze(0) for name, part in obs.items()} if isinstance(obs, dict) else obs.unsqueeze(0)
        )
        return self.choose(self.net, stacked).squeeze(0), {}
