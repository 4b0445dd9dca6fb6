"""Gymnasium's classic-control envs, vectorised in C++, with a reset generator of its own for every sub-env."""

from __future__ import annotations

import ctypes as c
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rllab.kernels.addresses import address, addresses
from rllab.kernels.build import load

if TYPE_CHECKING:
    import gymnasium.spaces as gs

_UNLIMITED = 2**31 - 1
_STATE_SIZE = 4


class Rows(c.Structure):
    """The sub-envs as `classic_control.cpp` has them."""

    _fields_ = (
        *((name, c.c_int) for name in ("kind", "max_steps", "obs_size")),
        ("option", c.c_double),
        *((name, c.c_void_p) for name in ("state", "steps", "ended", "draw", "generator")),
    )
    held: tuple[Any, ...]
    """What the addresses are of."""


class ClassicControlVectorEnv(VectorEnv[Any, Any, Any]):
    """CartPole, Acrobot, Pendulum or MountainCar, step by step as Gymnasium's in a `SyncVectorEnv` with NEXT_STEP.

    Observations are Gymnasium's up to rounding (sine and cosine are those of the C library), rewards and ends too.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012 - Gymnasium's way

    def __init__(
        self,
        num_envs: int,
        *,
        kind: int,
        option: float,
        max_episode_steps: int | None,
        obs_space: gs.Space[Any],
        action_space: gs.Space[Any],
    ) -> None:
        """Make room for `num_envs`.

        Args:
            num_envs: sub-envs.
            kind: number of the env in `classic_control.cpp`.
            option: the one argument of its constructor that changes the dynamics.
            max_episode_steps: steps after which an episode is truncated.
            obs_space: of one.
            action_space: of one.

        Raises:
            NoKernelError: it cannot be compiled here.
        """
        self.library = load("classic_control")
        self.num_envs = num_envs
        self.kind, self.option, self.max_steps = kind, option, max_episode_steps or _UNLIMITED
        self.single_observation_space, self.single_action_space = obs_space, action_space
        self.observation_space, self.action_space = (batch_space(s, num_envs) for s in (obs_space, action_space))
        self.state = np.zeros((num_envs, _STATE_SIZE))
        self.steps = np.zeros(num_envs, np.int64)
        self.ended = np.zeros(num_envs, np.bool_)
        self.generators: list[np.random.Generator] = []

    def check_state(self, saved: dict[str, Any]) -> None:
        """Refuse a saved state of other shapes: the kernels write where it lies, and do not look how long it is.

        Raises:
            ValueError: it is not that of such envs.
        """
        numbers = all(saved[name] == getattr(self, name) for name in ("num_envs", "kind", "option", "max_steps"))
        arrays = all(
            isinstance(saved[name], np.ndarray) and saved[name].dtype == held.dtype and saved[name].shape == held.shape
            for name, held in (("state", self.state), ("steps", self.steps), ("ended", self.ended))
        )
        if not (numbers and arrays and len(saved["generators"]) == self.num_envs):
            raise ValueError("the state of the envs is that of others")

    @property
    def rows(self) -> Rows:
        """The sub-envs for a kernel; addresses are found anew after a state was restored."""
        rows: Rows | None = self.__dict__.get("_rows")
        if rows is None or rows.held[0] is not self.state:
            interfaces = [generator.bit_generator.ctypes for generator in self.generators]
            draw = np.array([c.cast(each.next_double, c.c_void_p).value for each in interfaces], np.uint64)
            places = np.array([each.state_address for each in interfaces], np.uint64)
            held = (self.state, self.steps, self.ended, draw, places)
            assert self.single_observation_space.shape is not None
            numbers = (self.kind, self.max_steps, self.single_observation_space.shape[0], self.option)
            rows = self._rows = Rows(*numbers, *addresses(held))
            rows.held = (*held, self.generators)
        return rows

    @property
    def step_rows(self) -> int:
        """Address of the function that steps them."""
        return c.cast(self.library.step_rows, c.c_void_p).value  # type: ignore[return-value]

    def reset(
        self,
        *,
        seed: list[int] | int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002 - as nobody in rllab resets with any
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Reset all sub-envs. `seed`: one for each, or an integer to which the row is added, as in `SyncVectorEnv`."""
        if isinstance(seed, int):
            seed = [seed + i for i in range(self.num_envs)]
        if seed is not None or not self.generators:
            seeds: list[int] | list[None] = [None] * self.num_envs if seed is None else seed
            self.generators = [np_random(s)[0] for s in seeds]
            self.__dict__.pop("_rows", None)
        obs = self._empty_obs()
        for row in range(self.num_envs):
            self.library.reset_row(c.byref(self.rows), c.c_long(row), c.c_void_p(address(obs)))
        return obs, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One step of every sub-env; rows that finished in the last one are reset instead."""
        action = np.ascontiguousarray(action)
        obs, reward = self._empty_obs(), np.empty(self.num_envs)
        terminated, truncated = np.empty((2, self.num_envs), np.bool_)
        places = [c.c_void_p(address(array)) for array in (action, obs, reward, terminated, truncated)]
        self.library.step_rows(c.byref(self.rows), c.c_long(0), c.c_long(self.num_envs), *places)
        return obs, reward, terminated, truncated, {}

    def _empty_obs(self) -> np.ndarray:
        assert self.single_observation_space.shape is not None
        return np.empty((self.num_envs, *self.single_observation_space.shape), np.float32)
