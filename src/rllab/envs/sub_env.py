"""One sub-env, the same for `sync` and `async`: what it gives is of its spaces, or it fails with one line."""

from __future__ import annotations

import contextlib
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import gymnasium
import gymnasium.spaces as gs
import numpy as np
import torch

from rllab.nets.parts import flat_obs, flat_space
from rllab.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

SUCCESS = "is_success"
"""Where many envs say at the end of an episode whether it has reached its goal."""
_STEP = ("obs", "reward", "terminated", "truncated", "info")


class SubEnvError(Exception):
    """One sub-env failed: its row in the vector env, and why."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(row, reason)
        self.row = row
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class OutputError(Exception):
    """An env gave something that Gymnasium's interface or its own space does not allow. One line."""


def reason_of(error: Exception) -> str:
    """One line about an exception of a sub-env: with its type, unless it is one of ours."""
    named = isinstance(error, (SubEnvError, OutputError))
    return one_line(error if named else f"{type(error).__name__}: {error}")


class SubEnv(gymnasium.Wrapper):
    """The outermost wrapper of an env: flat observations of its space's dtype, a float as reward, and few infos.

    `reset` with a seed seeds the generators that are global in a process as well (numpy's, Python's, torch's): an env
    that draws from them repeats itself, and where sub-envs have processes of their own they differ.
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], row: int, kept: tuple[str, ...] = (), metrics: tuple[str, ...] = ()
    ) -> None:
        """Wrap an env.

        Args:
            env: with all other wrappers.
            row: its number in the vector env, for errors.
            kept: names in the infos that somebody needs. Others may change their type and shape as they like.
            metrics: names of numbers that are tracked where the env tells them.
        """
        super().__init__(env)
        self.row, self.kept, self.metrics = row, kept, metrics
        self.raw_space = env.observation_space
        flat = self.raw_space if has_axes(self.raw_space) else flat_space(self.raw_space)
        assert isinstance(flat, gs.Box)
        self.observation_space = self.flat_space = flat
        # Gymnasium's vector env hands a number on where the space wants an array without axes
        self.is_scalar_box = isinstance(env.action_space, gs.Box) and env.action_space.shape == ()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode.

        Raises:
            SubEnvError: the env raised an error, or what it gave is not of its interface or its space.
        """
        if seed is not None:
            seed_globals(seed)
        try:
            returned = self.env.reset(seed=seed, options=options)
            obs, info = _parts(returned, "reset", ("obs", "info"))
            return self._flat(obs), self._infos(info)
        except Exception as error:
            raise SubEnvError(self.row, reason_of(error)) from error

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Act.

        Raises:
            SubEnvError: as for `reset`.
        """
        try:
            returned = self.env.step(np.asarray(action) if self.is_scalar_box else action)
            obs, reward, terminated, truncated, info = _parts(returned, "step", _STEP)
            reward, terminated, truncated = _numbers(reward, terminated, truncated)
            infos = self._infos(info)
            if self.metrics or terminated or truncated:
                infos |= self._measured(info, ended=terminated or truncated)
            return self._flat(obs), reward, terminated, truncated, infos
        except Exception as error:
            raise SubEnvError(self.row, reason_of(error)) from error

    def _flat(self, obs: Any) -> np.ndarray:
        """The observation as the vector env stores it: an array of the flat space's shape and dtype."""
        space = self.flat_space
        if type(obs) is np.ndarray and obs.dtype == space.dtype and obs.shape == space.shape:
            return obs
        obs = fitted(obs, self.raw_space)
        if self.raw_space is not space:
            return flat_obs(self.raw_space, space, obs)
        return np.asarray(obs, space.dtype)

    def _infos(self, info: Any) -> dict[str, Any]:
        return {name: info[name] for name in self.kept} if self.kept else {}

    def _measured(self, info: Any, *, ended: bool) -> dict[str, float]:
        """Numbers that are tracked; whether an episode was a success is one of them, asked for or not."""
        if not isinstance(info, dict):
            return {}
        found = {name: _number(name, info[name]) for name in self.metrics if name in info}
        if ended and SUCCESS in info:
            with contextlib.suppress(OutputError):  # it may be something else by that name
                found[SUCCESS] = _number(SUCCESS, info[SUCCESS])
        return found


def has_axes(space: gs.Space[Any]) -> bool:
    """Whether observations are arrays with axes, which an agent sees as they are; others are flattened."""
    return isinstance(space, gs.Box) and space.shape != ()


def _parts(returned: Any, method: str, names: tuple[str, ...]) -> tuple[Any, ...]:
    if not isinstance(returned, tuple) or len(returned) != len(names):
        wanted = f"{len(names)} values: {', '.join(names)}"
        raise OutputError(f"{method} gave {_described(returned)}; Gymnasium's gives {wanted}")
    return returned


def _number(name: str, value: Any) -> float:
    with contextlib.suppress(TypeError, ValueError):
        if not isinstance(value, (str, bytes)):
            return float(value)
    raise OutputError(f"{_described(value)} as info[{name!r}], which env.info_metrics tracks: no number")


def _numbers(reward: Any, terminated: Any, truncated: Any) -> tuple[float, bool, bool]:
    with contextlib.suppress(TypeError, ValueError):
        if not isinstance(reward, (str, bytes)) and terminated in (0, 1) and truncated in (0, 1):
            return float(reward), bool(terminated), bool(truncated)
    ends = f"{_described(terminated)} as terminated, {_described(truncated)} as truncated"
    raise OutputError(f"{_described(reward)} as reward, {ends}: no number and two truth values")


def fitted(obs: Any, space: gs.Space[Any], name: str = "observation") -> Any:
    """An observation in the dtype of its space; a cast must not change it, but for the precision of real numbers.

    Raises:
        OutputError: it is not of this space, bounds apart.
    """
    if isinstance(space, gs.Dict):
        if not isinstance(obs, dict) or not space.spaces.keys() <= obs.keys():
            raise OutputError(f"{_described(obs)} as {name}, whose space has the keys {', '.join(space.spaces)}")
        return {key: fitted(obs[key], each, f"{name}[{key!r}]") for key, each in space.spaces.items()}
    if isinstance(space, gs.Tuple):
        if not isinstance(obs, (tuple, list)) or len(obs) != len(space.spaces):
            raise OutputError(f"{_described(obs)} as {name}, whose space has {len(space.spaces)} parts")
        pairs = enumerate(zip(obs, space.spaces, strict=True))
        return tuple(fitted(part, each, f"{name}[{index}]") for index, (part, each) in pairs)
    if isinstance(space, gs.Box):
        return _fitted_box(obs, space, name)
    if not space.contains(obs):
        raise OutputError(f"{_described(obs)} as {name}, which is not in {space}")
    return obs


def _fitted_box(obs: Any, space: gs.Box[Any], name: str) -> np.ndarray:
    try:
        array = np.asarray(obs)
        real = array if array.dtype.kind != "c" else None  # a cast would drop the imaginary part
        with np.errstate(over="ignore", invalid="ignore"):  # `SessionEnvs` refuses infinity, for all backends
            cast = np.asarray(real).astype(space.dtype)
    except (TypeError, ValueError):
        raise OutputError(f"{_described(obs)} as {name}, which is no array of numbers") from None
    if array.shape != space.shape:
        raise OutputError(f"{_described(obs)} as {name}, of shape {array.shape}, whose space has {space.shape}")
    exact = np.issubdtype(space.dtype, np.floating) and array.dtype.kind in "fiub"
    if not exact and not np.array_equal(cast, array):
        raise OutputError(f"{_described(obs)} as {name}, which does not fit {space.dtype}, the dtype of its space")
    return cast


def _described(value: Any) -> str:
    """A value as Python writes it, cut to 60 characters."""
    text = one_line(repr(value))
    return text if len(text) <= 60 else f"{text[:60]}..."


def seed_globals(seed: int) -> None:
    """Seed the generators that are global in this process."""
    np.random.seed(seed)  # noqa: NPY002 - the one that envs use which draw from the global generator
    random.seed(seed)
    torch.manual_seed(seed)


def global_state() -> dict[str, Any]:
    """The state of the generators that are global in this process, as plain data."""
    numpy = np.random.get_state(legacy=False)  # noqa: NPY002 - as above
    version, integers, gauss = random.getstate()
    return {
        "numpy": numpy | {"state": {"key": numpy["state"]["key"].astype(np.int64), "pos": numpy["state"]["pos"]}},
        "python": {"version": version, "integers": np.array(integers, np.int64), "gauss": gauss},
        "torch": torch.random.get_rng_state(),
    }


def global_bytes() -> tuple[bytes, ...]:
    """The same state as bytes, to be compared."""
    state = global_state()
    numpy, python = state["numpy"], state["python"]
    return (
        numpy["state"]["key"].tobytes(),
        repr((numpy["state"]["pos"], numpy["has_gauss"], python["gauss"])).encode(),
        python["integers"].tobytes(),
        state["torch"].numpy().tobytes(),
    )


def set_global_state(state: dict[str, Any]) -> None:
    """Restore what `global_state` gave."""
    python, numpy = state["python"], state["numpy"]
    key = np.asarray(numpy["state"]["key"]).astype(np.uint32)
    np.random.set_state(numpy | {"state": {"key": key, "pos": numpy["state"]["pos"]}})  # noqa: NPY002 - as above
    random.setstate((python["version"], tuple(python["integers"].tolist()), python["gauss"]))
    torch.random.set_rng_state(state["torch"])


@contextmanager
def kept_globals() -> Iterator[None]:
    """Put the process's global generators back to their present state afterwards."""
    state = global_state()
    try:
        yield
    finally:
        set_global_state(state)
