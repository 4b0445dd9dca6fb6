"""One session's greedy policy out of S, as a module of its own: for players and export."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rllab.nets.memory import Past


class GreedyPolicy(nn.Module):
    """Observations ``[B, *obs_shape]`` to actions ``[B, ...]``, without exploration.

    Forward takes and gives what the policy remembers from step to step, ``[B, ...]`` each, and is told by `starts`
    ``[B]`` where an episode begins. Networks without memory give an empty state.
    """

    def __init__(self, net: nn.Module, session: int, choose: Callable[[Any, Tensor], Tensor]) -> None:
        """Copy the parameters and buffers ``[S, ...]`` of one session.

        Args:
            net: of all sessions, with whatever normalises its observations.
            session: the one whose policy this is.
            choose: greedy actions ``[S, B, ...]`` of such a network for observations ``[S, B, *obs_shape]``; one with
                a memory has its `greedy_step`.
        """
        super().__init__()
        self.net = copy.deepcopy(net)
        for tensor in (*self.net.parameters(), *self.net.buffers()):
            tensor.data = tensor.data[session : session + 1].clone()
        self.choose = choose
        memory = getattr(net, "memory", None)
        self.state_shapes: dict[str, tuple[int, ...]] = {} if memory is None else memory.state_shapes
        """What is remembered of each row, by name; empty without memory."""

    @torch.no_grad()
    def forward(
        self, obs: Tensor, state: dict[str, Tensor] | None = None, starts: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if not self.state_shapes:
            return self.choose(self.net, obs.unsqueeze(0)).squeeze(0), {}
        begins = torch.ones(len(obs)) if starts is None else starts.float()
        given = {name: each.unsqueeze(0) for name, each in (state or {}).items()}
        action, after = self.net.greedy_step(obs.unsqueeze(0), Past(given, begins[None, None]))  # type: ignore[operator]
        return action.squeeze(0), {name: each.squeeze(0) for name, each in after.items()}
