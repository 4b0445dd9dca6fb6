"""What is asked of a backend: everything that depends on how sub-envs are vectorised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import gymnasium
import gymnasium.spaces as gs

from rllab.envs.single import layers, make_one

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec
    from gymnasium.vector import VectorEnv

    from rllab.config import Backend as BackendName
    from rllab.config import EnvConfig


class Look(NamedTuple):
    """What one sub-env shows before there is a vector env."""

    obs_space: gs.Space[Any]
    """Observations as the env gives them."""
    action_space: gs.Space[Any]
    """Actions as the env takes them."""
    render_modes: tuple[str, ...]
    """How it can be drawn."""
    notes: tuple[str, ...]
    """What a person should know of the env, one sentence each."""


class Backend:
    """One way to step many sub-envs as one Gymnasium `VectorEnv`; it holds no state of its own.

    A subclass answers `make`, and whatever else differs from sub-envs that Gymnasium makes one by one.
    """

    name: ClassVar[BackendName]
    """The value of `env.backend` that asks for it."""
    takes_wrappers = False
    """Whether `env.wrappers` can be put around each sub-env."""
    gives_infos = True
    """Whether what it steps tells the infos that the env tells in Gymnasium."""
    gains_from_workers = False
    """Whether `meta.num_workers=auto` may take several processes, since that was measured to be faster."""

    def is_installed(self) -> bool:
        """Whether its packages are there."""
        return True

    def suits(self, spec: EnvSpec, config: EnvConfig) -> bool:  # noqa: ARG002
        """Whether `env.backend=auto` may take it: it means the same env and keeps sessions independent."""
        return False

    def check(self, spec: EnvSpec, config: EnvConfig, num_sessions: int) -> None:
        """Check that this backend can make the env, so configured, for that many sessions.

        Raises:
            ValueError: it cannot; one line.
        """

    def look(self, spec: EnvSpec, config: EnvConfig) -> Look:
        """Make one sub-env, look at it, and close it.

        Raises:
            ValueError: it cannot be made; one line.
        """
        env = make_one(spec, config)
        notes = [
            f"returns are sums of what {type(layer).__name__} makes of the rewards"
            for layer in layers(env)
            if isinstance(layer, gymnasium.RewardWrapper)
        ]
        env.close()
        modes = tuple(env.metadata.get("render_modes", ()))
        return Look(env.observation_space, env.action_space, modes, tuple(notes))

    def make(self, spec: EnvSpec, config: EnvConfig, num_rows: int) -> VectorEnv[Any, Any, Any]:
        """`num_rows` sub-envs in one vector env with NEXT_STEP autoreset, each with a seed of its own.

        Raises:
            ValueError: they cannot be made; one line.
        """
        raise NotImplementedError

    def seeds_each_row(self, spec: EnvSpec) -> bool:  # noqa: ARG002
        """Whether `reset` of the vector env takes a seed for each row; otherwise it takes one for all."""
        return True

    def counterpart(self, spec: EnvSpec) -> Backend:  # noqa: ARG002
        """The backend that takes the place of this one where the task is to be drawn, or to be made without rllab."""
        return self

    def code(self, spec: EnvSpec, config: EnvConfig) -> tuple[list[str], str]:  # noqa: ARG002
        """Imports, and the line of Python that makes a vector env of one sub-env as `env`, without rllab."""
        calls = [(name.replace(":", "."), given) for name, given in config.wrapper_calls]
        made = [f"functools.partial({', '.join([name, *arguments(x)])})" if x else name for name, x in calls]
        options = [f"wrappers=[{', '.join(made)}]"] if made else []
        words = ['vectorization_mode="sync"', *options, *arguments(limited_kwargs(config))]
        imports = ["import gymnasium", *(f"import {name.rpartition('.')[0]}" for name, _ in calls)]
        imports += ["import functools"] if any(given for _, given in calls) else []
        return imports, f'env = gymnasium.make_vec("{config.id}", num_envs=1, {", ".join(words)})'


def limited_kwargs(config: EnvConfig) -> dict[str, Any]:
    """`env.kwargs`, with `env.max_episode_steps` among them if it is set."""
    return config.kwargs | ({} if config.max_episode_steps is None else {"max_episode_steps": config.max_episode_steps})


def arguments(kwargs: dict[str, Any]) -> list[str]:
    """Keyword arguments as they are written in Python: ``["a=1", "b='x'"]``."""
    return [f"{name}={value!r}" for name, value in kwargs.items()]
