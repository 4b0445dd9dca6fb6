"""Uniformly random actions: the baseline that every agent must beat, and the zero of the strength metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gymnasium.spaces as gs
import torch
from torch import Tensor, nn

from rllab.algorithms.contract import Acted, Algorithm, Metrics, State, Task
from rllab.buffers.rollout import RolloutBuffer
from rllab.nets.distributions import make_distribution
from rllab.random.streams import Seed, Streams

if TYPE_CHECKING:
    import numpy as np


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
    saved = ("streams", "greedy_streams")

    @staticmethod
    def check(config: RandomConfig, task: Task) -> None:
        pass

    def __init__(self, config: RandomConfig, task: Task, *, seed: int | Seed, device: str = "cpu") -> None:
        self.config, self.task, self.device = config, task, device
        self.net = nn.Module()  # it has nothing to learn
        self.distribution = make_distribution(task.action_space, num_sessions=task.num_sessions)
        self.streams = Streams(seed, task.num_sessions, "action", device)
        self.greedy_streams = Streams(seed, task.num_sessions, "minibatch", device)  # they do not move training

    def make_buffer(self) -> RolloutBuffer:
        return RolloutBuffer(1, *self.task.layout)

    def act(self, obs: np.ndarray, state: State, starts: np.ndarray, *, explore: bool) -> Acted:
        action = self.sample(self.streams if explore else self.greedy_streams, obs.shape[1])
        return Acted(action.cpu().numpy(), {}, state)

    def sample(self, streams: Streams, num_envs: int) -> Tensor:
        """Actions ``[S, num_envs, ...]``."""
        box = self.task.action_space
        if not isinstance(box, gs.Box):
            return self.distribution.mode(self.distribution.noise(streams, 1, num_envs)[0])  # type: ignore[no-any-return]
        uniform = streams.uniform(1, num_envs, *box.shape)[0]
        low, high = (torch.as_tensor(bound, device=self.device) for bound in (box.low, box.high))
        exponential = -torch.log1p(-uniform)
        action = torch.where(high.isinf(), low + exponential, low + (high - low) * uniform)
        action = torch.where(low.isinf(), high - exponential, action)
        unbounded = low.isinf() & high.isinf()
        return torch.where(unbounded, streams.normal(1, num_envs, *box.shape)[0], action) if unbounded.any() else action

    def update(self, buffer: RolloutBuffer, frame: int) -> Metrics:
        return {}

    def policy(self, session: int) -> nn.Module:
        return RandomPolicy(self, session)


class RandomPolicy(nn.Module):
    """Random actions ``[B, ...]`` from one session's evaluation stream."""

    def __init__(self, agent: Random, session: int) -> None:
        super().__init__()
        self.agent = agent
        self.session = session

    def forward(self, obs: Tensor, state: State | None = None, starts: Tensor | None = None) -> tuple[Tensor, State]:
        return self.agent.sample(self.agent.greedy_streams, obs.shape[0])[self.session], {}
