"""Acting in the envs, and storing what happens: step by step, or many steps in one call of a kernel."""

from __future__ import annotations

from time import perf_counter as now
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from rllab.envs.actions import ActionMap, AgentActions, action_map
from rllab.envs.classic_control import ClassicControlVectorEnv
from rllab.envs.wrappers import TrackReward

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rllab.algorithms import Acting
    from rllab.algorithms.contract import Sampler
    from rllab.buffers import Buffer
    from rllab.envs import SessionEnvs


class Walked(NamedTuple):
    """What happened in some vector steps."""

    num_steps: int
    ended: list[tuple[int, int, float, int]]
    """Step, session, return and length of the episodes that ended, in the order of time."""
    act_seconds: float
    env_seconds: float
    store_seconds: float
    infos: Mapping[str, Sequence[float]] = MappingProxyType({})
    """By tag, what the env has told of each of those episodes; nan where it has told nothing."""


class Walk(Protocol):
    """Takes vector steps, and stores them in its buffer."""

    buffer: Buffer

    def __call__(self, most: int) -> Walked:
        """Take at least one step, and `most` at the most."""


class StepByStep:
    """Any agent in any env."""

    def __init__(self, envs: SessionEnvs, acting: Acting, buffer: Buffer) -> None:
        self.envs, self.acting, self.buffer = envs, acting, buffer

    def __call__(self, most: int) -> Walked:  # noqa: ARG002 - it takes one
        """One step.

        Raises:
            EnvError: as `SessionEnvs.step`.
            DivergedError: as `SessionEnvs.step`.
        """
        obs = self.envs.obs
        start = now()
        action, extras = self.acting.step(obs, self.envs.starts)
        acted = now()
        next_obs, reward, terminated, truncated, finished = self.envs.step(action)
        stepped = now()
        self.buffer.add(obs, action, reward, terminated, truncated, next_obs, extras)
        ended, infos = [], {}
        if finished is not None:
            arrays = finished.session.tolist(), finished.returns.tolist(), finished.lengths.tolist()
            ended = [(0, *episode) for episode in zip(*arrays, strict=True)]
            infos = {tag: values.tolist() for tag, values in finished.infos.items()}
        return Walked(1, ended, acted - start, stepped - acted, now() - stepped, infos)


class InOneCall:
    """An agent whose acting, in envs whose steps, are kernels: they take many steps in one call."""

    def __init__(
        self,
        envs: SessionEnvs,
        tracked: TrackReward,
        native: ClassicControlVectorEnv,
        actions: ActionMap,
        sampler: Sampler,
        buffer: Buffer,
    ) -> None:
        """`tracked` is the vector env in `envs`, and `native` what lies in it, behind the `actions`."""
        self.envs, self.tracked, self.native, self.actions = envs, tracked, native, actions
        self.sampler, self.buffer = sampler, buffer

    @classmethod
    def fit(cls, envs: SessionEnvs, acting: Acting, buffer: Buffer) -> InOneCall | None:
        """Made of these; None if one is no kernel, or has something between it and the other that no kernel knows."""
        tracked, sampler = envs.vector, acting.algorithm.in_one_call
        if sampler is None or not isinstance(tracked, TrackReward):
            return None
        inner = tracked.env
        actions = inner.actions if isinstance(inner, AgentActions) else action_map(envs.action_space)
        native = inner.env if isinstance(inner, AgentActions) else inner
        if not isinstance(native, ClassicControlVectorEnv):
            return None
        return cls(envs, tracked, native, actions, sampler, buffer)

    def __call__(self, most: int) -> Walked:
        """Up to `most` steps.

        Raises:
            DivergedError: an action is nan or infinite.
        """
        start = now()
        tracked, kernel = self.tracked, self.sampler.kernel
        assert kernel is not None
        noise, level = self.sampler.draws(most)
        was_done = np.zeros(tracked.num_envs, np.bool_)
        was_done[tracked.finished_rows] = True
        episodes = tracked.returns, tracked.lengths, was_done
        steps, ended, env_seconds = kernel.collect(self.envs.obs, self.native, self.actions, noise, level, *episodes)
        tracked.finished_rows = was_done.nonzero()[0]
        self.envs.took(steps)
        taken = now()
        self.buffer.extend(steps)
        in_envs = min(env_seconds, taken - start)
        return Walked(len(noise), ended, taken - start - in_envs, in_envs, now() - taken)
