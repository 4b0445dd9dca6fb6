"""Uniformly random actions: the baseline that every agent must beat, and the zero of the strength metrics."""

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.algorithms.contract import Algorithm, Metrics
from rllab.buffers import Tensors
from rllab.buffers.rollout import RolloutBuffer
from rllab.nets.distributions import make_distribution
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class RandomConfig:
    """The random agent has nothing to set."""

    name: str = "random"
    """The algorithm."""


class Random(Algorithm):
    """Draws from each session's action stream: uniform, and in a box exponential from a single bound, normal from none.

    As `gymnasium.spaces.Box.sample` does.
    """

    Config = RandomConfig
    action_spaces = (gs.Discrete, gs.MultiDiscrete, gs.MultiBinary, gs.Box)
    rollout_steps = 1

    @staticmethod
    def check(
        config: RandomConfig,
        obs_space: gs.Space[Any],
        action_space: gs.Space[Any],
        *,
        num_sessions: int,
        num_envs: int,
        max_frame: int,
    ) -> None:
        pass

    def __init__(
        self,
        config: RandomConfig,  # noqa: ARG002
        obs_space: gs.Space[Any],
        action_space: gs.Space[Any],
        *,
        num_sessions: int,
        num_envs: int,
        max_frame: int,  # noqa: ARG002
        seed: int | Seed,
        device: str = "cpu",
    ) -> None:
        self.spaces = obs_space, action_space
        self.device = device
        self.num_sessions, self.num_envs = num_sessions, num_envs
        self.distribution = make_distribution(action_space, num_sessions=num_sessions)
        self.streams = {
            True: Streams(seed, num_sessions, "action", device),
            False: Streams(seed, num_sessions, "minibatch", device),  # evaluation must not move training
        }

    def make_buffer(self) -> RolloutBuffer:
        return RolloutBuffer(1, self.num_sessions, self.num_envs, *self.spaces)

    def act(self, obs: np.ndarray, *, explore: bool) -> tuple[np.ndarray, Tensors]:
        return self._sample(self.streams[explore], obs.shape[1]).cpu().numpy(), {}

    def _sample(self, streams: Streams, num_envs: int) -> Tensor:
        box = self.spaces[1]
        if not isinstance(box, gs.Box):
            return self.distribution.mode(self.distribution.noise(streams, 1, num_envs)[0])  # type: ignore[no-any-return]
        uniform = streams.uniform(1, num_envs, *box.shape)[0]
        low, high = (torch.as_tensor(bound, device=self.device) for bound in (box.low, box.high))
        exponential = -torch.log1p(-uniform)
        action = torch.where(high.isinf(), low + exponential, low + (high - low) * uniform)
        action = torch.where(low.isinf(), high - exponential, action)
        unbounded = low.isinf() & high.isinf()
        return torch.where(unbounded, streams.normal(1, num_envs, *box.shape)[0], action) if unbounded.any() else action

    def update(self, buffer: RolloutBuffer, frame: int) -> Metrics:  # noqa: ARG002
        return {}

    def policy(self, session: int) -> nn.Module:
        return RandomPolicy(self, session)

    def state_dict(self) -> dict[str, Any]:
        return {"policy": {}, "streams": [self.streams[key].state_dict() for key in (True, False)]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for key, saved in zip((True, False), state["streams"], strict=True):
            self.streams[key].load_state_dict(saved)


class RandomPolicy(nn.Module):
    """Random actions ``[B, ...]`` from one session's evaluation stream."""

    def __init__(self, agent: Random, session: int) -> None:
        super().__init__()
        self.agent = agent
        self.session = session

    def forward(self, obs: Tensor) -> Tensor:
        return self.agent._sample(self.agent.streams[False], obs.shape[0])[self.session]  # noqa: SLF001
