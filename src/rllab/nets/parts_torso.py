"""Torsos of observations of several parts."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from rllab.nets.cnn import CNN
from rllab.nets.mlp import MLP, Activation
from rllab.nets.parts import Obs, Parts


class PartsTorso(nn.Module):
    """Some parts go each through a torso, all others together through an MLP; a layer more joins what they give.

    ``[S, B, n]``, or parts by name ``[S, B, ...]``, to ``[S, B, num_features]``.
    """

    def __init__(
        self,
        space: Parts,
        torsos: dict[str, tuple[nn.Module, int]],
        generators: list[torch.Generator],
        *,
        hidden: Sequence[int],
        activation: Activation,
    ) -> None:
        """Make the MLPs; without `hidden` layers what there is is only put side by side.

        Args:
            space: of the observations.
            torsos: by part, with the number of features that each gives.
            generators: of the initial weights, one for each session.
            hidden: widths of the layers of the MLP; the last of them is that of the layer that joins.
            activation: of the MLP.
        """
        super().__init__()
        self.space = space
        self.names = list(torsos)
        self.torsos = nn.ModuleList(torso for torso, _ in torsos.values())
        self.flat = [name for name in space.leaves if name not in torsos]
        sizes = [sum(space.widths[name] for name in self.flat), *hidden]
        mlp = partial(MLP, generators=generators, activation=activation, activate_last=True)
        self.mlp = mlp(sizes) if self.flat else None
        width = sum(n for _, n in torsos.values()) + (sizes[-1] if self.flat else 0)
        self.num_features = hidden[-1] if hidden else width
        self.trunk = mlp([width, *hidden[-1:]])

    def forward(self, x: Obs) -> Tensor:
        parts = self.space.split(x)
        features = [
            torso(parts[name] if isinstance(torso, CNN) else parts[name].float())
            for name, torso in zip(self.names, self.torsos, strict=True)
        ]
        if self.mlp is not None:
            features.append(self.mlp(torch.cat([parts[name].flatten(2).float() for name in self.flat], -1)))
        return self.trunk(torch.cat(features, -1))  # type: ignore[no-any-return]


class WholeTorso(nn.Module):
    """A user's module that takes all parts, as numbers, by name: ``{name: [S, B, ...]}``."""

    def __init__(self, space: Parts, module: nn.Module) -> None:
        super().__init__()
        self.space = space
        self.module = module

    def forward(self, x: Obs) -> Tensor:
        parts = self.space.split(x)
        return self.module({name: part.float() for name, part in parts.items()})  # type: ignore[no-any-return]
