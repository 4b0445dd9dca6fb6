"""Gymnasium's classic-control envs in C++, see `rllab.envs.classic_control`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rllab.envs.backends.contract import Backend
from rllab.envs.backends.sync import Sync
from rllab.envs.classic_control import ClassicControlVectorEnv
from rllab.kernels.build import load, why_not

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec
    from gymnasium.vector import VectorEnv

    from rllab.config import EnvConfig

_MODULE = "gymnasium.envs.classic_control."
_ENVS: dict[str, tuple[int, str | None, float]] = {
    _MODULE + "cartpole:CartPoleEnv": (0, "sutton_barto_reward", False),
    _MODULE + "acrobot:AcrobotEnv": (1, None, 0.0),
    _MODULE + "pendulum:PendulumEnv": (2, "g", 10.0),
    _MODULE + "mountain_car:MountainCarEnv": (3, "goal_velocity", 0.0),
    _MODULE + "continuous_mountain_car:Continuous_MountainCarEnv": (4, "goal_velocity", 0.0),
}
"""Number in `classic_control.cpp`, and the argument that changes the dynamics, with its default."""


class Native(Backend):
    """The sub-envs that rllab has written out itself."""

    name = "native"
    gives_infos = False

    def is_installed(self) -> bool:
        return self._reason() is None

    def suits(self, spec: EnvSpec, config: EnvConfig) -> bool:
        return self._means(spec, config) and self._reason() is None

    def check(self, spec: EnvSpec, config: EnvConfig, num_sessions: int) -> None:  # noqa: ARG002
        if not self._means(spec, config):
            raise ValueError(
                f"env.backend: got 'native', which has CartPole, Acrobot, Pendulum and the MountainCars, and not "
                f"{spec.id} with these arguments; write env.backend=auto"
            )
        if reason := self._reason():
            raise ValueError(f"env.backend: got 'native', for which {reason}; write env.backend=gymnasium")

    def make(self, spec: EnvSpec, config: EnvConfig, num_rows: int) -> VectorEnv[Any, Any, Any]:
        look = self.look(spec, config)
        kind, argument, default = _ENVS[str(spec.entry_point)]
        kwargs = spec.kwargs | config.kwargs
        return ClassicControlVectorEnv(
            num_rows,
            kind=kind,
            option=float(kwargs.get(argument, default)) if argument else default,
            max_episode_steps=spec.max_episode_steps,
            obs_space=look.obs_space,
            action_space=look.action_space,
        )

    def counterpart(self, spec: EnvSpec) -> Backend:  # noqa: ARG002
        return Sync()

    def _means(self, spec: EnvSpec, config: EnvConfig) -> bool:
        """Whether it is one of these envs, with no more around it than a time limit."""
        known = _ENVS.get(str(spec.entry_point))
        if known is None or config.wrappers or spec.additional_wrappers:
            return False
        kwargs = spec.kwargs | config.kwargs
        return set(kwargs) <= {known[1]} and all(isinstance(value, int | float) for value in kwargs.values())

    def _reason(self) -> str | None:
        """Why it cannot run here; None if it can."""
        return why_not(lambda: load("classic_control"))
