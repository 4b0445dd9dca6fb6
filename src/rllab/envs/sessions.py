"""The vector env as the training loop sees it: rows cut into sessions, ``[S, N, ...]``."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rllab.envs.infos import measured
from rllab.envs.state import get_state, set_state
from rllab.envs.sub_env import SubEnvError, reason_of
from rllab.nets.parts import Packed

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv

    from rllab.buffers import Steps

# the dot products below overflow where numbers are large: that is how it is noticed
warnings.filterwarnings("ignore", "overflow encountered in dot", RuntimeWarning)

HUGE = 1e12
"""Learning sees larger rewards as this number, since squares of returns must fit into 32-bit floats; reported returns
are sums of the raw ones."""
LARGEST = 1e15
"""Agents see larger observations as this number, for the same reason."""
TOO_LARGE = 1e100
"""Larger rewards cannot be averaged and squared in 64 bits either: an env that gives one has failed."""


class EnvError(Exception):
    """An env failed, or gave what no agent can learn from. Its text is one line."""


class DivergedError(Exception):
    """Training of a session has diverged. Its text names the session and the quantity."""

    frame: int | None = None
    """The frame by which it had diverged, if that is known."""


class Finished(NamedTuple):
    """Episodes that ended in one step; arrays of equal length."""

    session: np.ndarray
    env: np.ndarray
    returns: np.ndarray
    lengths: np.ndarray
    infos: dict[str, np.ndarray]
    """What the env has told of them, by tag, ``info/fuel`` or ``success_rate``; nan where it has told nothing."""


class SessionEnvs:
    """S sessions of N sub-envs each in one `VectorEnv`; session s owns rows ``s*N .. (s+1)*N - 1``.

    Observations come as float32, or uint8 where the env has them so. ``obs`` is what the agent acts on next, and
    ``starts`` ``[S, N]`` says where an episode begins with it.
    """

    def __init__(self, envs: VectorEnv, num_sessions: int, *, seed_each_row: bool = True) -> None:
        self.vector = envs
        self.seed_each_row = seed_each_row
        self.shape = (num_sessions, envs.num_envs // num_sessions)
        self.obs_space = envs.single_observation_space
        self.num_real = self.obs_space.num_real if isinstance(self.obs_space, Packed) else 0
        self.action_space = envs.single_action_space
        self.obs: np.ndarray = np.zeros(())
        self.starts = np.ones(self.shape, np.bool_)
        self.done = ~self.starts  # of the latest step; under NEXT_STEP autoreset the next one only resets
        self.first_session = 0  # its number in the trial, for errors: a worker process has some of the sessions

    def reset(self, seeds: list[int]) -> np.ndarray:
        """Begin an episode in every sub-env; one seed each, session by session.

        Raises:
            EnvError: as for `step`.
        """
        try:
            obs, _ = self.vector.reset(seed=seeds if self.seed_each_row else seeds[0])  # type: ignore[arg-type] # our backends take a list of seeds
        except Exception as error:
            raise self._failure(error) from error
        self.obs = self._seen(self._by_session(obs))
        self.starts = np.ones(self.shape, np.bool_)
        self.done = ~self.starts
        return self.obs

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Finished | None]:
        """Act ``[S, N, ...]``: next obs, reward, terminated, truncated, ``[S, N, ...]``, and the episodes it ended.

        Raises:
            EnvError: a sub-env raised an error, its process died or hangs, or it gave nan or infinity.
            DivergedError: an action is nan or infinite; no env has seen it.
        """
        if (where := _not_finite(action)) is not None:
            raise DivergedError(f"session {self.first_session + where[0]}: its action is {action[where]}")
        num_rows = self.shape[0] * self.shape[1]
        flat_action = action.reshape(num_rows, *action.shape[2:])
        try:
            obs, reward, terminated, truncated, info = self.vector.step(flat_action)
        except Exception as error:
            raise self._failure(error) from error
        finished = None
        if "finished" in info:
            rows, returns, lengths = info["finished"]
            session, env = divmod(rows, self.shape[1])
            finished = Finished(session, env, returns, lengths, measured(info, rows, num_rows))
        self.obs = self._seen(self._by_session(obs))
        shape = self.shape
        reward = reward.reshape(shape)
        flat = reward.ravel()
        if not flat.dot(flat) <= HUGE:  # rarely: one reward may be huge, or many large
            reward = self._learnable(reward)
        terminated, truncated = terminated.reshape(shape), truncated.reshape(shape)
        self.starts, self.done = self.done, terminated | truncated
        return self.obs, reward, terminated, truncated, finished

    def took(self, steps: Steps) -> None:
        """A kernel has stepped the envs.

        Raises:
            DivergedError: an action is nan or infinite.
        """
        if (where := _not_finite(steps.action)) is not None:
            raise DivergedError(f"session {self.first_session + where[1]}: its action is {steps.action[where]}")
        done = [self.done, *(steps.terminated | steps.truncated)]
        self.obs, self.starts, self.done = steps.obs[-1], done[-2], done[-1]

    def _by_session(self, obs: np.ndarray) -> np.ndarray:
        if obs.dtype.char not in "Bf":  # neither uint8 nor float32; comparing dtypes takes longer
            with np.errstate(over="ignore"):  # `_seen` refuses infinity with an error
                obs = obs.astype(np.float32)
        return obs.reshape(*self.shape, *obs.shape[1:])

    def _seen(self, obs: np.ndarray) -> np.ndarray:
        """Observations ``[S, N, ...]`` cut to ±`LARGEST`; nan and infinity are an `EnvError`."""
        if self.num_real:  # numbers among the bytes
            end = self.num_real * 4
            obs[..., :end] = self._bounded(obs[..., :end].view(np.float32)).view(np.uint8)
            return obs
        return obs if obs.dtype == np.uint8 else self._bounded(obs)

    def _bounded(self, obs: np.ndarray) -> np.ndarray:
        flat = obs.ravel()
        if flat.dot(flat) <= LARGEST**2:
            return obs
        if (where := _not_finite(obs)) is not None:
            session, env = where[:2]
            raise EnvError(f"session {self.first_session + session}, sub-env {env}: {obs[where]} as observation")
        return obs.clip(-LARGEST, LARGEST)

    def _learnable(self, reward: np.ndarray) -> np.ndarray:
        """Rewards ``[S, N]`` cut to ±`HUGE`; one that is not finite, or beyond `TOO_LARGE`, is an `EnvError`."""
        for session, env in np.argwhere(~(abs(reward) <= TOO_LARGE)):
            value = reward[session, env]
            why = ", too large to be averaged" if np.isfinite(value) else ""
            raise EnvError(f"session {self.first_session + session}, sub-env {env}: {value} as reward{why}")
        return reward.clip(-HUGE, HUGE)

    def _failure(self, error: Exception) -> EnvError:
        where = ""
        if isinstance(error, SubEnvError):
            session, env = divmod(error.row, self.shape[1])
            where = f"session {self.first_session + session}, sub-env {env}: "
        return EnvError(where + reason_of(error))

    def state_dict(self) -> dict[str, Any]:
        """Current observation and the envs' own state, which is None where it cannot be saved."""
        return {"obs": self.obs, "starts": self.starts, "done": self.done, "envs": get_state(self.vector)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        set_state(self.vector, state["envs"])
        self.obs, self.starts, self.done = state["obs"], state["starts"], state["done"]

    def close(self) -> None:
        self.vector.close()


def _not_finite(array: np.ndarray) -> tuple[int, ...] | None:
    """Index of the first number that is nan or infinite; None if all are finite."""
    if array.dtype.kind != "f":
        return None
    flat = array.ravel()
    if math.isfinite(flat.dot(flat)):  # the quickest look at all numbers
        return None
    places = np.argwhere(~np.isfinite(array))
    return tuple(places[0].tolist()) if len(places) else None
