"""The vectorised implementation that an env registers with Gymnasium."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import gymnasium
from gymnasium.envs.registration import load_env_creator

from rllab.envs.backends.contract import Backend
from rllab.envs.registry import is_atari
from rllab.envs.single import unknown_argument

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec
    from gymnasium.vector import VectorEnv

    from rllab.config import EnvConfig

_SEEDED_PER_ROW = {
    "gymnasium.envs.classic_control.cartpole:CartPoleVectorEnv": "rllab.envs.cartpole:SeededCartPoleVectorEnv"
}
"""Vectorised envs of Gymnasium, and versions of ours that have a reset generator for each sub-env instead of one."""


class VectorEntryPoint(Backend):
    """What `gymnasium.make_vec` makes of the `vector_entry_point` that an env registers, or of our version of it."""

    name = "vector_entry_point"

    def suits(self, spec: EnvSpec, config: EnvConfig) -> bool:
        own = self.seeds_each_row(spec) and spec.entry_point != spec.vector_entry_point
        return own and not config.wrappers

    def check(self, spec: EnvSpec, config: EnvConfig, num_sessions: int) -> None:  # noqa: ARG002
        got = "env.backend: got 'vector_entry_point', "
        if spec.vector_entry_point is None:
            raise ValueError(f"{got}which {spec.id} does not have; write env.backend=sync")
        if is_atari(spec):
            raise ValueError(f"{got}which is ALE's own; write env.backend=ale")
        if num_sessions > 1 and not self.seeds_each_row(spec):
            raise ValueError(
                f"{got}whose resets come from one generator for all sessions; "
                "write env.backend=sync or meta.max_session=1"
            )

    def make(self, spec: EnvSpec, config: EnvConfig, num_rows: int) -> VectorEnv[Any, Any, Any]:
        entry_point = _SEEDED_PER_ROW.get(str(spec.vector_entry_point), spec.vector_entry_point)
        if isinstance(entry_point, str):
            entry_point = load_env_creator(entry_point)  # type: ignore[assignment]
        spec = dataclasses.replace(spec, vector_entry_point=entry_point)
        try:
            return gymnasium.make_vec(spec, num_rows, vectorization_mode=self.name, **config.kwargs)
        except TypeError as error:
            raise unknown_argument(spec, config, error) from error

    def seeds_each_row(self, spec: EnvSpec) -> bool:
        return str(spec.vector_entry_point) in _SEEDED_PER_ROW
