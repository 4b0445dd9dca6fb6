"""Which env an id means: Gymnasium's registry, packages that register their own, and the Atari games."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import re
import warnings
from typing import TYPE_CHECKING

import gymnasium
from gymnasium.envs.registration import EnvSpec, find_highest_version, get_env_id

from rllab.text import one_line

if TYPE_CHECKING:
    from rllab.config import EnvConfig


def find_spec(config: EnvConfig) -> EnvSpec:
    """The registered env that `config.id` names, with `config.max_episode_steps`.

    A package before a colon in the id is imported first, so that it can register its envs.

    Raises:
        ValueError: no such env or game, or its package cannot be imported; one line.
    """
    module, _, name = config.id.rpartition(":")
    if name.startswith("ALE/"):  # Gymnasium's pages leave the package out
        module = "ale_py"
        name = _canonical_game(config, name)
    elif config.game is not None:
        raise ValueError(
            f"env.game: got {config.game!r}, but {config.id} is no Atari game; write env=atari env.game={config.game}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Gymnasium warns of versions; the id is the user's choice
            if module:
                importlib.import_module(module)
            spec = gymnasium.spec(name)
    except ImportError as error:
        raise ValueError(
            f"env.id: got {config.id!r}, whose package cannot be imported ({error}); install it, or start where it lies"
        ) from None
    except gymnasium.error.Error:
        near = difflib.get_close_matches(name, list(gymnasium.registry), n=1, cutoff=0.6)
        hint = f"did you mean env.id={near[0]}?" if near else "write a Gymnasium id or my_pkg:MyEnv-v0"
        raise ValueError(f"env.id: got {config.id!r}, which is not registered; {hint}") from None
    limit = config.max_episode_steps
    return spec if limit is None else dataclasses.replace(spec, max_episode_steps=limit)


def registered(config: EnvConfig) -> bytes:
    """How this process has registered the env, for another one: that of a notebook's cell is known nowhere else.

    Raises:
        ValueError: its class cannot be sent; one line.
    """
    import cloudpickle  # noqa: PLC0415 - one process alone needs none

    spec = find_spec(dataclasses.replace(config, max_episode_steps=None))
    try:
        return bytes(cloudpickle.dumps(spec))
    except Exception as error:
        raise ValueError(
            f"env.id: got {config.id!r}, whose class cannot be sent to other processes ({one_line(error)}); write it "
            "in a module and env.id=my_module:MyEnv-v0, or meta.num_workers=1"
        ) from error


def register(spec: bytes) -> None:
    """Register an env of another process, `registered`, unless it is known here."""
    import cloudpickle  # noqa: PLC0415 - as above

    sent = cloudpickle.loads(spec)
    gymnasium.registry.setdefault(sent.id, sent)


def is_atari(spec: EnvSpec) -> bool:
    """Whether this is one of ALE's games, as ``ALE/Pong-v5``."""
    return spec.namespace == "ALE"


def newest(spec: EnvSpec) -> str:
    """Id of the latest version of this env."""
    return get_env_id(spec.namespace, spec.name, find_highest_version(spec.namespace, spec.name))


def _canonical_game(config: EnvConfig, name: str) -> str:
    """``ALE/space_invaders-v5 -> ALE/SpaceInvaders-v5``: a game may be spelt as people do."""
    games = _games()
    wanted, _, version = name.removeprefix("ALE/").rpartition("-")
    if config.game is not None and _squash(config.game) != _squash(wanted):
        raise ValueError(f"env.game: got {config.game!r}, but env.id is {config.id!r}; write env.game={wanted}")
    if config.game is None and wanted == "None":  # what the preset's id, ALE/${.game}-v5, is without a game
        raise ValueError("env.game: not set; write env.game=Breakout or another Atari game")
    if game := games.get(_squash(wanted)):
        return f"ALE/{game}-{version}"
    near = difflib.get_close_matches(_squash(wanted), games, n=1, cutoff=0.5)
    prefix, suffix = ("env.id=ALE/", f"-{version}") if config.game is None else ("env.game=", "")
    hint = f"did you mean {prefix}{games[near[0]]}{suffix}?" if near else f"write {prefix}Pong{suffix} or another game"
    field, got = ("env.id", config.id) if config.game is None else ("env.game", config.game)
    raise ValueError(f"{field}: got {got!r}, which is no Atari game; {hint}")


def _games() -> dict[str, str]:
    """ALE's names of games, by the name in lower case without spaces, hyphens or underscores."""
    import ale_py  # noqa: PLC0415 - it registers its games, and nothing else needs it

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # otherwise each sub-env prints a banner
    names = (spec.name for spec in gymnasium.registry.values() if is_atari(spec))
    return {_squash(name): name for name in names}


def _squash(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
