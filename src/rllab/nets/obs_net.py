"""Networks of observations of any kind, for policies and critics whose hidden layers come after a torso."""

from typing import Any

import gymnasium.spaces as gs
import torch
from torch import Tensor, nn

from rllab.nets.batch_renorm import RenormMLP
from rllab.nets.mlp import MLP
from rllab.nets.parts import make_obs_norm
from rllab.nets.spaces import size_of
from rllab.nets.torsos import Network, as_input, choose_network, make_torso


class ObsNet(nn.Module):
    """An MLP over what a torso makes of observations, and over what else it is told, such as an action.

    ``[S, B, *obs_shape]`` and ``[S, B, num_told]`` to ``[S, B, num_outputs]``. With the network `mlp` there is no
    torso: observations go into the hidden layers as they are, flat. `normalize` comes first and apart, so that policy
    and critics see the same numbers.
    """

    def __init__(
        self,
        obs_space: gs.Space[Any],
        num_outputs: int,
        *,
        num_told: int = 0,
        generators: list[torch.Generator],
        network: Network = "auto",
        hidden: list[int],
        kind: type[MLP | RenormMLP] = MLP,
        normalize_obs: bool = False,
        **options: Any,
    ) -> None:
        """Make torso and MLP.

        Args:
            obs_space: of one sub-env.
            num_outputs: numbers that are wanted.
            num_told: numbers beside the observation.
            generators: of the initial weights, one for each session.
            network: the torso, by name: see `rllab.nets.torsos`.
            hidden: widths of the hidden layers after it.
            kind: of MLP.
            normalize_obs: whether `normalize` standardises.
            options: what such an MLP wants to know beside.
        """
        super().__init__()
        self.obs_norm = make_obs_norm(len(generators), obs_space) if normalize_obs else None
        network, width = choose_network(network, obs_space), size_of(obs_space)
        self.torso: nn.Module | None = None
        if network != "mlp":
            self.torso, width = make_torso(network, obs_space, generators)
        self.mlp = kind([width + num_told, *hidden, num_outputs], generators=generators, **options)

    def normalize(self, obs: Tensor) -> Tensor:
        """Observations as the network takes them."""
        return obs if self.obs_norm is None else self.obs_norm(obs)

    def forward(self, x: Tensor, told: Tensor | None = None, **options: Any) -> Tensor:
        """Outputs for normalised observations; `options` are those of the MLP's forward."""
        x = as_input(self.torso, x)
        x = x.flatten(2) if self.torso is None else self.torso(x)
        return self.mlp(x if told is None else torch.cat([x, told], -1), **options)  # type: ignore[no-any-return]


class Critics(nn.Module):
    """Several `ObsNet`s for each session, ``[S, num_critics, B, num_outputs]``.

    They are the networks of one, those of a session side by side, so that a layer of all is one product.
    """

    def __init__(
        self,
        obs_space: gs.Space[Any],
        num_outputs: int,
        *,
        num_critics: int,
        generators: list[torch.Generator],
        **rest: Any,
    ) -> None:
        """`generators` are those of the sessions; all critics of a session draw from its one. `rest`: of `ObsNet`."""
        super().__init__()
        self.num_critics = num_critics
        each = [generator for generator in generators for _ in range(num_critics)]
        self.net = ObsNet(obs_space, num_outputs, generators=each, last_gain=1.0, **rest)

    def forward(self, obs: Tensor, told: Tensor | None = None, **options: Any) -> Tensor:
        obs = obs.repeat_interleave(self.num_critics, 0)
        told = None if told is None else told.repeat_interleave(self.num_critics, 0)
        x = self.net(obs, told, **options)
        return x.view(-1, self.num_critics, *x.shape[1:])  # type: ignore[no-any-return]
