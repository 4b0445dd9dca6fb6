"""EnvPool: many envs of one task, stepped by threads in C++. The package is in the extra `envpool`."""

from __future__ import annotations

import dataclasses
import importlib.util
import warnings
from typing import TYPE_CHECKING, Any

from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rllab.envs.backends import ale
from rllab.envs.backends.contract import Backend, Look, limited_kwargs
from rllab.envs.backends.seeds import row_seeds
from rllab.envs.backends.sync import Sync
from rllab.envs.registry import is_atari
from rllab.host.process import num_cpus
from rllab.text import one_line

if TYPE_CHECKING:
    import gymnasium.spaces as gs
    import numpy as np
    from gymnasium.envs.registration import EnvSpec

    from rllab.config import EnvConfig

SAME_TASK = frozenset(
    f"{name}-v{version}"
    for version, names in {
        5: "Ant HalfCheetah Hopper Humanoid HumanoidStandup InvertedDoublePendulum InvertedPendulum Pusher Reacher "
        "Swimmer Walker2d",
        3: "LunarLander LunarLanderContinuous BipedalWalker BipedalWalkerHardcore",
    }.items()
    for name in names.split()
)
"""Ids of which a test has shown that EnvPool's version is the same task as Gymnasium's."""

_ATARI_NAMES = {"frameskip": "frame_skip", "max_num_frames_per_episode": "max_episode_steps"}


class EnvPool(Backend):
    """EnvPool's pool of all rows. The spaces come from the same task in Gymnasium or ALE, its `counterpart`."""

    name = "envpool"
    gives_infos = False
    gains_from_workers = True

    def is_installed(self) -> bool:
        return importlib.util.find_spec("envpool") is not None

    def suits(self, spec: EnvSpec, config: EnvConfig) -> bool:
        plain = not config.kwargs and not config.wrappers  # EnvPool has arguments of its own, and no wrappers
        return plain and spec.id in SAME_TASK and self.is_installed()

    def check(self, spec: EnvSpec, config: EnvConfig, num_sessions: int) -> None:  # noqa: ARG002
        got = "env.backend: got 'envpool', which "
        if not self.is_installed():
            raise ValueError(f"{got}is in the extra envpool; type pip install 'rllab[envpool]'")
        if _task(spec) not in _envpool().list_all_envs():
            raise ValueError(f"{got}does not know {spec.id}; write env.backend=auto")
        if is_atari(spec):
            ale.check_kwargs(config.kwargs)
        check_kwargs(spec, config.kwargs)

    def look(self, spec: EnvSpec, config: EnvConfig) -> Look:
        if is_atari(spec):
            return self.counterpart(spec).look(spec, config)
        look = self.counterpart(spec).look(spec, dataclasses.replace(config, kwargs={}))  # they are EnvPool's
        if spec.id in SAME_TASK:
            return look
        note = f"EnvPool's {spec.id} has not been compared with Gymnasium's"
        return look._replace(notes=(note, *look.notes))

    def make(self, spec: EnvSpec, config: EnvConfig, num_rows: int) -> VectorEnv[Any, Any, Any]:
        look = self.look(spec, config)
        kwargs = ale.limited_kwargs(spec, config) if is_atari(spec) else limited_kwargs(config)
        num_threads = config.num_threads or num_cpus()
        return EnvPoolEnvs(spec, num_rows, (look.obs_space, look.action_space), num_threads=num_threads, **kwargs)

    def counterpart(self, spec: EnvSpec) -> Backend:
        return ale.Ale() if is_atari(spec) else Sync()


def check_kwargs(spec: EnvSpec, kwargs: dict[str, Any]) -> None:
    """Refuse arguments that EnvPool does not take, or on which it crashes.

    Raises:
        ValueError: the first of them; one line.
    """
    if is_atari(spec) and kwargs.get("noop_max") == 0:
        raise ValueError("env.kwargs.noop_max: got 0, on which EnvPool crashes; write 1, or env.backend=ale")
    for name, value in kwargs.items():
        try:
            _envpool().make_spec(_task(spec), **_arguments(spec, {name: value}))
        except (TypeError, ValueError, AssertionError) as error:
            reason = one_line(error)
            reason = "takes no such argument" if "unexpected keyword" in reason else f"refuses it: {reason}"
            raise ValueError(f"env.kwargs.{name}: got {value!r}, but EnvPool's {_task(spec)} {reason}") from None


class EnvPoolEnvs(VectorEnv):
    """`num_envs` rows of one task, each with its own seed; NEXT_STEP autoreset.

    EnvPool takes seeds only when a pool is made, so `reset` with seeds makes a new one.
    """

    def __init__(
        self,
        spec: EnvSpec,
        num_envs: int,
        spaces: tuple[gs.Space[Any], gs.Space[Any]],
        *,
        num_threads: int,
        **kwargs: Any,
    ) -> None:
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        # those of Gymnasium, because EnvPool's have wrong bounds in some tasks
        self.single_observation_space, self.single_action_space = spaces
        self.observation_space, self.action_space = (batch_space(space, num_envs) for space in spaces)
        self.task = _task(spec)
        self.arguments = {"num_envs": num_envs, "num_threads": min(num_threads, num_envs), **_arguments(spec, kwargs)}
        self.pool: Any = None

    def reset(
        self, *, seed: list[int] | int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode in every row. `seed` is one for each row, or an integer to which the row is added."""
        if seed is not None or self.pool is None:
            self.close()
            seeds = row_seeds(seed, self.num_envs)
            self.pool = _envpool().make_gymnasium(self.task, seed=seeds, **self.arguments)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # EnvPool warns of its own spaces at the first reset
            return self.pool.reset(options=options)  # type: ignore[no-any-return]

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self.pool.step(actions)
        return obs, reward, terminated, truncated, info

    def close(self, **kwargs: Any) -> None:  # noqa: ARG002
        if self.pool is not None:
            self.pool.close()
            self.pool = None


def _task(spec: EnvSpec) -> str:
    return f"{spec.name}-v{spec.version}" if is_atari(spec) else spec.id


def _arguments(spec: EnvSpec, kwargs: dict[str, Any]) -> dict[str, Any]:
    """`env.kwargs` under the names and in the units that EnvPool uses."""
    if not is_atari(spec):
        return kwargs
    kwargs = {"repeat_action_probability": spec.kwargs["repeat_action_probability"]} | kwargs
    renamed = {_ATARI_NAMES.get(name, name): value for name, value in kwargs.items()}
    if "max_episode_steps" in renamed:  # from frames of the emulator to steps
        renamed["max_episode_steps"] //= renamed.get("frame_skip", 4)
    return renamed


def _envpool() -> Any:
    import envpool  # noqa: PLC0415 - an extra

    return envpool
