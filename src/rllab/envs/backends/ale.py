"""Atari games through ALE's own vector env: preprocessed frames, stepped by threads in C++."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import VectorEnv

from rllab.envs.backends.contract import Backend, Look, arguments
from rllab.envs.backends.seeds import row_seeds
from rllab.envs.registry import is_atari
from rllab.envs.single import unknown_argument
from rllab.errors import require
from rllab.host.process import num_cpus

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

    from rllab.config import EnvConfig

_SCREEN = {"img_height": 210, "img_width": 160, "grayscale": False, "stack_num": 1}
_FRAMES_PER_SECOND = 60
"""Frames that the Atari 2600 shows in a second."""
_OURS = {
    "reward_clipping": "env.clip_reward=true",
    "episodic_life": "env.life_loss_terminal=true",
    "life_loss_info": "env.life_loss_terminal=true",
    "autoreset_mode": "nothing: it is NEXT_STEP",
    "batch_size": "nothing: all sub-envs step together",
    "num_threads": "env.num_threads",
    "mode": "env.backend=sync, which gives the frames as they are",
    "difficulty": "env.backend=sync, which gives the frames as they are",
    "obs_type": "env.backend=sync, which gives the frames as they are",
}
"""Arguments that ALE or Gymnasium know and this backend does not take, and what to write instead."""


class Ale(Backend):
    """ALE's own vector env."""

    name = "ale"

    def suits(self, spec: EnvSpec, config: EnvConfig) -> bool:  # noqa: ARG002
        return is_atari(spec)

    def check(self, spec: EnvSpec, config: EnvConfig, num_sessions: int) -> None:  # noqa: ARG002
        if not is_atari(spec):
            raise ValueError(f"env.backend: got 'ale', which does not know {spec.id}; write env.backend=auto")
        check_kwargs(config.kwargs)

    def look(self, spec: EnvSpec, config: EnvConfig) -> Look:
        try:
            env = AtariEnvs(spec, 1, num_threads=1, **config.kwargs)
        except TypeError as error:
            raise unknown_argument(spec, config, error) from None
        env.close()
        return Look(env.single_observation_space, env.single_action_space, tuple(env.metadata["render_modes"]), ())

    def make(self, spec: EnvSpec, config: EnvConfig, num_rows: int) -> VectorEnv[Any, Any, Any]:
        num_threads, kwargs = config.num_threads or num_cpus(), limited_kwargs(spec, config)
        return AtariEnvs(spec, num_rows, num_threads=num_threads, **kwargs)

    def code(self, spec: EnvSpec, config: EnvConfig) -> tuple[list[str], str]:
        kwargs = {"reward_clipping": False} | _sticky(spec) | limited_kwargs(spec, config)
        words = ", ".join([f'"{spec.kwargs["game"]}"', "num_envs=1", *arguments(kwargs)])
        return ["from ale_py.vector_env import AtariVectorEnv"], f"env = AtariVectorEnv({words})"


def limited_kwargs(spec: EnvSpec, config: EnvConfig) -> dict[str, Any]:
    """`env.kwargs`, with `env.max_episode_steps` among them as ALE counts: in frames of the emulator."""
    if config.max_episode_steps is None:
        return config.kwargs
    frameskip = config.kwargs.get("frameskip", spec.kwargs["frameskip"])
    return config.kwargs | {"max_num_frames_per_episode": config.max_episode_steps * frameskip}


def _sticky(spec: EnvSpec) -> dict[str, float]:
    """How often the emulator repeats an action, as Gymnasium registers the game; ALE's own default is 0."""
    return {"repeat_action_probability": spec.kwargs["repeat_action_probability"]}


def check_kwargs(kwargs: dict[str, Any]) -> None:
    """Refuse arguments that ALE would refuse without an explanation, hang on, or let change the scores unnoticed.

    Raises:
        ValueError: the first of them; one line.
    """
    for name in kwargs.keys() & _OURS.keys():
        raise ValueError(f"env.kwargs.{name}: got {kwargs[name]!r}, which rllab does itself; write {_OURS[name]}")
    sticky = kwargs.get("repeat_action_probability", 0.0)
    number = isinstance(sticky, (int, float)) and 0 <= sticky <= 1
    require(number, "env.kwargs.repeat_action_probability", sticky, write="a number from 0 to 1, e.g. 0.25")
    for name, least in {"frameskip": 1, "stack_num": 1, "img_height": 1, "img_width": 1, "noop_max": 0}.items():
        value = kwargs.get(name, least)
        whole = isinstance(value, int) and value >= least
        require(whole, f"env.kwargs.{name}", value, write=f"an integer of at least {least}")


class AtariEnvs(VectorEnv):
    """ALE's vector env of one game: obs ``[rows, 4, 84, 84]`` uint8, raw rewards, ``info["lives"]`` ``[rows]``.

    The defaults are those of ``ALE/...-v5``, sticky actions among them, with the usual preprocessing on top. Row i
    draws no-ops and sticky actions from a generator of its own.
    """

    def __init__(
        self, spec: EnvSpec, num_envs: int, *, num_threads: int, render_mode: str | None = None, **kwargs: Any
    ) -> None:
        rows = {"game": spec.kwargs["game"], "num_envs": num_envs, "num_threads": num_threads}
        settings: dict[str, Any] = {**rows, "reward_clipping": False, **_sticky(spec), **kwargs}
        self.games = AtariVectorEnv(**settings)
        # ALE's vector env cannot draw; a second one in colour, with the same seeds and actions, plays the same game
        self.twin = AtariVectorEnv(**settings | _SCREEN) if render_mode else None
        self.screens: np.ndarray | None = None  # [rows, 1, 210, 160, 3]
        self.render_mode = render_mode
        self.num_envs = num_envs
        fps = _FRAMES_PER_SECOND / kwargs.get("frameskip", spec.kwargs["frameskip"])
        self.metadata = self.games.metadata | {"render_modes": ["rgb_array"], "render_fps": fps}
        self.observation_space, self.action_space = self.games.observation_space, self.games.action_space
        self.single_observation_space = self.games.single_observation_space
        self.single_action_space = self.games.single_action_space

    def reset(
        self, *, seed: list[int] | int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a game in every row. `seed` is one for each row, or an integer to which the row is added."""
        seeds = np.array(row_seeds(seed, self.num_envs))
        if self.twin is not None:
            self.screens = self.twin.reset(seed=seeds, options=options)[0]
        return self.games.reset(seed=seeds, options=options)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        if self.twin is not None:
            self.screens = self.twin.step(actions)[0]
        obs, reward, terminated, truncated, info = self.games.step(actions)
        return obs, reward.astype(np.float32), terminated, truncated, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The screen of each row, ``[210, 160, 3]`` bytes; None if no `render_mode` was given."""
        return None if self.screens is None else tuple(self.screens[:, -1])
