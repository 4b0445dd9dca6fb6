"""Action values of S sessions, as numbers or as quantiles."""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.functional.schedules import Schedule
from rllab.functional.state import restore_state, state_of
from rllab.kernels.acting import Actor
from rllab.kernels.build import NoKernelError
from rllab.nets.mlp import MLP, Activation, HostMLP
from rllab.nets.parts import make_obs_norm
from rllab.nets.torsos import Network, as_input, choose_network, make_torso
from rllab.random.exploration import Exploration


class QNetwork(nn.Module):
    """A torso and a linear head: ``[S, B, *obs_shape]`` to ``[S, B, num_actions, num_quantiles]``.

    `normalize` comes first and apart from the network, so that its target sees the same numbers.

    With `dueling` the head gives a value and advantages, ``q = value + advantage - mean advantage`` (Wang et al. 2016,
    eq. 9); both streams share the torso.
    """

    def __init__(
        self,
        obs_space: gs.Space[Any],
        num_actions: int,
        *,
        generators: list[torch.Generator],
        network: Network = "auto",
        hidden: list[int],
        activation: Activation = "relu",
        dueling: bool = False,
        num_quantiles: int = 1,
        normalize_obs: bool = False,
    ) -> None:
        super().__init__()
        self.obs_norm = make_obs_norm(len(generators), obs_space) if normalize_obs else None
        network = choose_network(network, obs_space)
        self.flatten = network == "mlp" and len(obs_space.shape or ()) != 1
        self.dueling = dueling
        self.num_quantiles = num_quantiles
        self.torso, width = make_torso(network, obs_space, generators, hidden=hidden, activation=activation)
        # small last layer: the first values are near 0, and no action looks better than another
        self.head = MLP([width, (num_actions + dueling) * num_quantiles], generators=generators, last_gain=0.01)

    def normalize(self, obs: Tensor) -> Tensor:
        """Observations as the network takes them."""
        return obs if self.obs_norm is None else self.obs_norm(obs)

    def forward(self, x: Tensor) -> Tensor:
        """Values ``[S, B, num_actions, num_quantiles]`` for normalised observations."""
        x = as_input(self.torso, x)
        outputs = self.head(self.torso(x.flatten(2) if self.flatten else x))
        outputs = outputs.view(*outputs.shape[:2], -1, self.num_quantiles)
        return aggregate(outputs) if self.dueling else outputs

    def mean(self, obs: Tensor) -> Tensor:
        """Mean returns ``[S, B, num_actions]`` for observations as they are."""
        quantiles = self(self.normalize(obs))
        return quantiles.mean(-1) if self.num_quantiles > 1 else quantiles.squeeze(-1)  # type: ignore[no-any-return]

    def greedy(self, obs: Tensor) -> Tensor:
        """The best actions ``[S, B]``."""
        return self.mean(obs).argmax(-1)

    def host(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """Preferences ``[S, B, num_actions]`` in numpy, on the parameters' own memory, where there are MLPs on the CPU.

        They are the values, with `dueling` the advantages: those differ by a constant, which changes no choice.
        """
        if not (isinstance(self.torso, MLP) and self.head.weight_0.is_cpu):
            return None
        mlp = HostMLP(self.torso, self.head)
        first = int(self.dueling) * self.num_quantiles
        normalize = None if self.obs_norm is None else self.obs_norm.host()

        def preferences(obs: np.ndarray) -> np.ndarray:
            x = obs if normalize is None else normalize(obs)
            outputs = mlp(x.reshape(*obs.shape[:2], -1))[..., first:]
            if self.num_quantiles == 1:
                return outputs
            return outputs.reshape(*obs.shape[:2], -1, self.num_quantiles).mean(-1)  # type: ignore[no-any-return]

        return preferences


def aggregate(outputs: Tensor) -> Tensor:
    """Value first, then advantages along axis 2, ``[S, B, 1 + A, ...]``, to values of actions ``[S, B, A, ...]``."""
    value, advantage = outputs[:, :, :1], outputs[:, :, 1:]
    return value + advantage - advantage.mean(2, keepdim=True)


class ValueSampler:
    """Chooses actions by their values: epsilon-greedily, or by Boltzmann's distribution."""

    saved = ("exploration", "num_acted", "frame")

    def __init__(
        self, net: QNetwork, exploration: Exploration, level: Schedule, *, max_frame: int, learning_starts: int = 0
    ) -> None:
        """Act with `net`, which may be changed from outside.

        Args:
            net: values of actions.
            exploration: how actions are chosen by them.
            level: of exploration, epsilon or the temperature, over the budget.
            max_frame: the budget.
            learning_starts: frames of uniformly random actions before.
        """
        self.net = net
        self.device = next(net.parameters()).device
        self.exploration = exploration
        self.schedule = level
        self.max_frame, self.learning_starts = max_frame, learning_starts
        self.num_acted = 0  # frames that were acted here
        self.frame = 0  # the run's, with those of other workers on this policy
        self.kernel: Actor | None = None

    def use_kernel(self) -> None:
        """Act in a kernel from now on.

        Raises:
            NoKernelError: there is none for such a network or such exploration.
        """
        if self.exploration.kind != "epsilon_greedy":
            raise NoKernelError(f"agent.exploration is {self.exploration.kind}")
        net = self.net
        self.kernel = Actor(
            *(net.torso, net.head),
            choice="epsilon_greedy",
            num_actions=self.exploration.num_actions,
            first_output=int(net.dueling) * net.num_quantiles,
            quantiles=net.num_quantiles,
            norm=net.obs_norm,
        )

    def draws(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Noise for the next steps, ``[steps, S, N, 2]``, `most` of them at the most, and their levels ``[steps]``."""
        noise = self.exploration.draws(most)
        levels = []
        for _ in noise:
            levels.append(self.level)
            self.num_acted += noise.shape[2]
            self.frame += noise.shape[2]
        return noise, np.array(levels, np.float64)

    @cached_property
    def host_values(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """`values` in numpy; made when it is first needed, when it is known where the parameters lie."""
        return self.net.host()

    def values(self, obs: np.ndarray) -> np.ndarray:
        """Mean returns of actions ``[S, N, A]``, perhaps up to a constant."""
        if self.host_values is not None:
            return self.host_values(obs)
        with torch.no_grad():
            return self.net.mean(torch.from_numpy(obs).to(self.device)).cpu().numpy()

    @property
    def level(self) -> float:
        """Present level of exploration: epsilon or the temperature; infinity before learning starts."""
        if self.num_acted < self.learning_starts:
            return math.inf
        return self.schedule(self.frame / self.max_frame)

    def act(self, obs: np.ndarray, *, explore: bool) -> np.ndarray:
        """Actions ``[S, N]``."""
        if self.kernel is not None:
            if not explore:
                return self.kernel.act(obs, None)
            noise, level = self.draws(1)
            return self.kernel.act(obs, noise[0], level[0])
        values = self.values(obs)
        if not explore:
            return values.argmax(-1)  # type: ignore[no-any-return]
        action = self.exploration.choose(values, self.level)
        self.num_acted += obs.shape[1]
        self.frame += obs.shape[1]
        return action

    def state_dict(self) -> dict[str, Any]:
        return {name: state_of(getattr(self, name)) for name in self.saved}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in self.saved:
            restore_state(self, name, state[name])
