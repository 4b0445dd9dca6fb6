"""A config from the words of a command line, without the command line: of Hydra's globals none is read or changed."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf, open_dict

from rllab.config import hydra_internals, loading, words
from rllab.config.explain import explain, is_bad_input
from rllab.errors import ConfigError
from rllab.files import conf_dir

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rllab.config.schema import EnvConfig, RunConfig


@dataclass(frozen=True)
class Composed:
    """What the words of one run mean."""

    config: RunConfig
    presets: list[str]
    """Files of the user's own that it was made of."""
    max_frame: int | None
    """The budget that is typed beside `meta.resume`, if one is."""


def compose(typed: Sequence[str], config_dir: str | Path | None = None, *, name: str = "config") -> Composed:
    """Compose and check the config of one run.

    Args:
        typed: words as on the command line: ``env=pendulum``, ``agent.lr=1e-3``.
        config_dir: presets of the user's own, as ``--config-dir``.
        name: what is composed, as ``--config-name``.

    Raises:
        ConfigError: bad input; one line, that of the command line.
    """
    loading.register()
    with _explained():
        _refuse_options(typed)
        words.check(typed)
        folder = None if config_dir is None else Path(config_dir).absolute()
        loader = hydra_internals.config_loader(conf_dir(), folder)
        cfg = hydra_internals.compose(loader, name, loading.complete([*typed]) if name == "config" else [*typed])
        hydra = cfg.hydra
        cfg.run_dir = cfg.run_dir if hydra.run.dir == "." else hydra.run.dir  # resolved while the choices are there
        with open_dict(cfg):
            del cfg["hydra"]
        run = words.load(cfg, hydra, loader)
        words.check_single(run, hydra)
        presets = [] if run.meta.resume else loading.own_presets(hydra, loader)
        return Composed(run, presets, words.longer(run, hydra))


def changed_env(own: EnvConfig, typed: Sequence[str], config_dir: str | Path | None = None) -> EnvConfig:
    """Another env than a run's own: that of a preset or an id, or its own with some fields changed.

    Args:
        own: that of the run.
        typed: words about the env: ``env=pendulum``, or ``env.kwargs.g=1.62``.
        config_dir: as in `compose`.

    Raises:
        ConfigError: bad input; one line.
    """
    for word in typed:
        if not word.lstrip("+~").startswith(("env=", "env.")):
            raise ConfigError(f"{word}: says nothing of an env; write env=..., or fields of it as env.kwargs.g=1.62")
    if any(word.startswith(("env=", "env.id=")) for word in typed):
        return compose(typed, config_dir).config.env
    cfg = OmegaConf.create({"env": loading.structured(type(own))})
    with _explained():
        cfg.env = OmegaConf.merge(cfg.env, loading.escaped(dataclasses.asdict(own)))
        hydra_internals.apply_words(cfg, typed)
        env: EnvConfig = OmegaConf.to_object(cfg.env)  # type: ignore[assignment] # as `structured` has made it
    return env


@contextmanager
def _explained() -> Iterator[None]:
    """Make a `ConfigError` of whatever is raised where the input is at fault."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        if not (is_bad_input(error) or isinstance(error, ValueError)):
            raise
        raise ConfigError(explain(error)) from error


def _refuse_options(typed: Sequence[str]) -> None:
    for word in typed:
        if word.startswith("-"):
            raise ConfigError(f"{word}: no option of the command line can stand here; write words as field=value")
