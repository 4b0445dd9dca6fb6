"""The private parts of Hydra, its plugins and OmegaConf that rllab uses, all of them in one place.

Nobody has promised that they stay. Each says what it is for; they were tried with hydra-core and hydra-optuna-sweeper
1.4.0rc3 and OmegaConf 2.4.1rc1. Under another version ``tests/config/test_hydra_internals.py`` says which one has moved
or changed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.execution_policy import execution_whitelist
from hydra._internal.utils import _run_hydra, create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, setup_globals
from hydra.errors import SearchPathException
from hydra.types import RunMode
from hydra.version import _UNSPECIFIED_, setbase
from omegaconf import OmegaConf

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence
    from pathlib import Path

    from hydra.core.config_loader import ConfigLoader
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.core.utils import JobStatus
    from hydra.types import TaskFunction
    from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl, create_optuna_distribution_from_override
    from omegaconf import DictConfig

__all__ = ["OptunaSweeperImpl", "create_optuna_distribution_from_override", "get_args_parser", "job_return"]
__all__ += [
    "apply_words",
    "compose",
    "config_loader",
    "node_type",
    "put_own_first",
    "returned_value",
    "run_app",
    "start_ray",
]


def run_app(
    task: TaskFunction, args: Namespace, parser: ArgumentParser, *, config_path: str, config_name: str, trusted: str
) -> None:
    """Do what a function under ``@hydra.main`` does, with arguments that are handed over.

    ``@hydra.main`` itself reads them from ``sys.argv``, so that whoever wants to complete what was typed would have to
    write into that.

    Args:
        task: the function that is run with each composed config.
        args: what `parser` has read.
        parser: that of `get_args_parser`.
        config_path: the directory of the presets.
        config_name: the config that is composed.
        trusted: a class that the config may name to be instantiated.
    """
    setbase(_UNSPECIFIED_)
    with execution_whitelist(trusted):
        _run_hydra(args=args, args_parser=parser, task_function=task, config_path=config_path, config_name=config_name)


def config_loader(presets: Path, own: Path | None = None) -> ConfigLoader:
    """What composes configs: of our presets and, before them, those of a directory of the user's own.

    Hydra's ``compose`` takes the one loader that ``GlobalHydra`` holds, and whose it is nobody knows: a notebook may
    run another Hydra app.
    """
    setup_globals()  # resolvers, as ${now:...}
    search_path = create_config_search_path(str(presets))
    if own is not None:
        if not own.is_dir():
            raise SearchPathException(f"Additional config directory '{own}' not found")
        search_path.prepend("command-line", f"file://{own}", SearchPathQuery("schema", None))
    return ConfigLoaderImpl(search_path)


def compose(loader: ConfigLoader, name: str, words: list[str]) -> DictConfig:
    """The config of this name and these words for a single run, with what Hydra has for itself in ``hydra``."""
    return loader.load_configuration(name, words, run_mode=RunMode.RUN, from_shell=False)


def apply_words(config: DictConfig, words: Sequence[str]) -> None:
    """Change fields of a config as words of a command line do: with + to add one, with ~ to remove it."""
    OmegaConf.set_struct(config, True)
    ConfigLoaderImpl._apply_overrides_to_config(OverridesParser.create().parse_overrides([*words]), config)  # noqa: SLF001


class _OwnFirst(ConfigSearchPathImpl):
    """Where presets are looked for: what is added later, by a command line or a config, comes before ``main``."""

    def append(self, provider: str, path: str, anchor: SearchPathQuery | None = None) -> None:
        if provider.startswith("hydra.searchpath"):
            self.prepend(provider, path)
        else:
            super().append(provider, path, anchor)

    def prepend(self, provider: str, path: str, anchor: SearchPathQuery | str | None = None) -> None:  # noqa: ARG002
        super().prepend(provider, path, SearchPathQuery("main", None))


def put_own_first(search_path: ConfigSearchPath) -> None:
    """Let the directories of ``--config-dir`` and ``hydra.searchpath`` come before ``main``; Hydra puts them last.

    Hydra adds them when it has made the search path, and copies that, so the object itself has to know.
    """
    search_path.__class__ = _OwnFirst


def job_return(status: JobStatus, value: Any) -> JobReturn:
    """What a job ended with, as a launcher hands it back: ``return_value`` cannot be given to its constructor."""
    return JobReturn(status=status, _return_value=value)


def returned_value(returned: JobReturn) -> Any:
    """What a job returned or, where it failed, the error: ``return_value`` raises and prints that."""
    return returned._return_value  # noqa: SLF001


def node_type(parent: DictConfig, key: str) -> Any:
    """The type of a field by the schema; None where there is no such field. What is public tells that of its value."""
    node = parent._get_node(key) if key in parent else None  # noqa: SLF001
    return node._metadata.ref_type if node is not None else None  # noqa: SLF001


def start_ray(settings: DictConfig) -> None:
    """Start Ray as Hydra's launcher for it does, which can do so in the main thread only."""
    from hydra_plugins.hydra_ray_launcher import _launcher_util  # noqa: PLC0415 - an extra

    _launcher_util.start_ray(settings)


def __getattr__(name: str) -> Any:
    """Import what belongs to the Optuna sweeper when it is asked for: most runs search nothing, and need no Optuna.

    From OptunaSweeperImpl our sweeper inherits how its settings are read; the function makes Optuna's distribution of
    an override such as ``agent.lr=interval(0,1)``.
    """
    if name in ("OptunaSweeperImpl", "create_optuna_distribution_from_override"):
        return getattr(importlib.import_module("hydra_plugins.hydra_optuna_sweeper._impl"), name)
    raise AttributeError(name)
