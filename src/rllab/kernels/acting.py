"""From observations to actions in one call, and whole rollouts where the envs are in C++ too."""

from __future__ import annotations

import ctypes as c
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from rllab.buffers import Steps
from rllab.kernels import threads
from rllab.kernels.addresses import address, addresses
from rllab.kernels.arguments import layers, normaliser
from rllab.kernels.build import load

if TYPE_CHECKING:
    from torch import nn

    from rllab.envs.actions import ActionMap
    from rllab.envs.classic_control import ClassicControlVectorEnv
    from rllab.nets.normalize import RunningNorm

Choice = Literal["largest", "epsilon_greedy", "real"]
"""By the largest of outputs and noise, at random with the probability `level`, or outputs and noise themselves."""
_CHOICES = {"largest": 0, "epsilon_greedy": 1, "real": 2}
_SIZES = ("sessions", "envs", "obs_size", "outputs", "first_output", "num_actions", "num_layers", "choice")
_GIVEN = ("obs", "action", "reward", "terminated", "truncated")
_ENDED = ("num_ended", "ended_at", "ended_lengths", "ended_returns", "env_seconds")


class _Actor(c.Structure):
    _fields_ = (
        *((name, c.c_int) for name in (*_SIZES, "quantiles")),
        *((name, c.c_void_p) for name in ("layers", "mean", "var")),
        ("clip", c.c_float),
    )


class _Draws(c.Structure):
    _fields_ = (("noise", c.c_void_p), ("width", c.c_int), ("level", c.c_void_p))


class _Scale(c.Structure):
    _fields_ = tuple((name, c.c_void_p) for name in ("offset", "scale", "agent_low", "agent_high", "low", "high"))


class _Steps(c.Structure):
    _fields_ = (
        ("steps", c.c_int),
        *((name, c.c_void_p) for name in ("scale", "rows", "step_rows", "returns", "lengths", "was_done")),
        *((name, c.c_void_p) for name in (*_GIVEN, *_ENDED)),
    )


class Collected(NamedTuple):
    """What came of many steps in one call."""

    steps: Steps
    ended: list[tuple[int, int, float, int]]
    """Step, session, return and length of the episodes that ended, in the order of time."""
    env_seconds: float
    """How long it was in the envs."""


class Actor:
    """How S sessions act, on the networks' own parameters."""

    def __init__(
        self,
        *modules: nn.Module,
        choice: Choice,
        num_actions: int,
        norm: RunningNorm | None = None,
        first_output: int = 0,
        quantiles: int = 1,
    ) -> None:
        """Act by networks in a row.

        Args:
            modules: MLPs.
            choice: how outputs become actions.
            num_actions: choices, or real numbers in an action.
            norm: of observations.
            first_output: that of the first action.
            quantiles: outputs of each action, which stand for their mean.

        Raises:
            NoKernelError: no kernel is made for such networks, or none can be compiled here.
        """
        self.layers = layers(*modules)
        self.choice, self.num_actions = choice, num_actions
        self.actor = _Actor(
            *(0, 0, self.layers[0].inputs, self.layers[-1].outputs, first_output, num_actions),
            *(len(self.layers), _CHOICES[choice], quantiles, c.addressof(self.layers), *normaliser(norm)),
        )
        self.library = load("acting")

    def act(self, obs: np.ndarray, noise: np.ndarray | None, level: float = 0.0) -> np.ndarray:
        """Actions ``[S, N]`` or ``[S, N, n]`` for observations ``[S, N, ...]``, with noise ``[S, N, width]`` if any."""
        if noise is None:
            noise = np.zeros((*obs.shape[:2], self.num_actions), np.float32)
        obs, noise = np.ascontiguousarray(obs, np.float32), np.ascontiguousarray(noise)
        action = self._actions(obs.shape[:2])
        self.actor.sessions, self.actor.envs = obs.shape[:2]
        chance = c.c_double(level)
        draws = _Draws(address(noise), noise.shape[-1], c.addressof(chance))
        self.library.act(c.byref(self.actor), c.byref(draws), c.c_void_p(address(obs)), c.c_void_p(address(action)))
        return action

    def _actions(self, shape: tuple[int, ...]) -> np.ndarray:
        """Room for actions."""
        return np.empty((*shape, self.num_actions), np.float32) if self.choice == "real" else np.empty(shape, np.int64)

    def collect(
        self,
        obs: np.ndarray,
        envs: ClassicControlVectorEnv,
        actions: ActionMap,
        noise: np.ndarray,
        level: np.ndarray | None,
        returns: np.ndarray,
        lengths: np.ndarray,
        was_done: np.ndarray,
    ) -> Collected:
        """As many steps as there is noise, ``[steps, S, N, width]``.

        Args:
            obs: ``[S, N, ...]``, the present ones.
            envs: S * N of them.
            actions: from the agent's actions to those of the env.
            noise: see `act`.
            level: ``[steps]``.
            returns: of the present episodes, ``[S * N]``; changed, as the following are.
            lengths: of the present episodes, ``[S * N]``.
            was_done: where the latest step ended an episode, ``[S * N]``.
        """
        num_steps, num_sessions, num_envs = noise.shape[:3]
        shape = num_steps, num_sessions, num_envs
        seen = np.empty((num_steps + 1, *obs.shape), np.float32)
        seen[0] = obs
        action, reward = self._actions(shape), np.empty(shape, np.float32)
        terminated, truncated = np.empty((2, *shape), np.bool_)
        most = num_sessions, num_steps * num_envs
        num_ended, env_seconds = np.zeros(num_sessions, np.int64), np.zeros(num_sessions)
        ended_at, ended_lengths, ended_returns = *np.empty((2, *most), np.int64), np.empty(most)
        scale = None
        if actions.bounds is not None:
            bounds = [x.astype(np.float32) for x in (actions.offset, actions.scale, *actions.bounds)]
            scale = _Scale(*addresses(bounds))
        self.actor.sessions, self.actor.envs = num_sessions, num_envs
        noise = np.ascontiguousarray(noise)
        draws = _Draws(address(noise), noise.shape[-1], None if level is None else address(level))
        call = _Steps(
            *(num_steps, None if scale is None else c.addressof(scale), c.addressof(envs.rows), envs.step_rows),
            *addresses([returns, lengths, was_done, seen, action, reward, terminated, truncated]),
            *addresses([num_ended, ended_at, ended_lengths, ended_returns, env_seconds]),
        )
        num_threads = threads.number(num_sessions)
        self.library.collect(c.byref(self.actor), c.byref(draws), c.byref(call), num_threads)
        ended = _in_time(num_ended, ended_at, ended_lengths, ended_returns, num_envs)
        steps = Steps(seen, action, reward, terminated, truncated)
        return Collected(steps, ended, float(env_seconds.sum()) / num_threads)


def _in_time(
    num_ended: np.ndarray, places: np.ndarray, lengths: np.ndarray, returns: np.ndarray, num_envs: int
) -> list[tuple[int, int, float, int]]:
    """See `Collected.ended`; arrays are ``[S, most]``, in the order of time for each session."""
    found = []
    for session, count in enumerate(num_ended.tolist()):
        arrays = [array[session, :count].tolist() for array in (places, returns, lengths)]
        found += [(place // num_envs, session, value, length) for place, value, length in zip(*arrays, strict=True)]
    return sorted(found, key=lambda episode: episode[:2])
