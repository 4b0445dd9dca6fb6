"""The border where Hydra's config becomes plain frozen dataclasses; everything behind it knows nothing of Hydra."""

from __future__ import annotations

import dataclasses
import functools
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rllab import algorithms
from rllab.config import hydra_internals, trust
from rllab.config.explain import expected, explain
from rllab.config.schema import EVAL_ENV_FIELDS, EnvConfig, RunConfig
from rllab.errors import ConfigError
from rllab.files import conf_dir, value_at, write_text
from rllab.text import escape_interpolations, setting_text
from rllab.tracking import trackers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hydra.conf import HydraConf
    from hydra.core.config_loader import ConfigLoader
    from hydra.core.config_search_path import ConfigSearchPath

_ANY_ENV = ("gymnasium", "atari")
"""Presets that leave open which env it is."""
_MALFORMED = (ValueError, TypeError, OSError, RecursionError)
"""What a file that `save` has not written raises beside errors of YAML and of OmegaConf."""


def complete(words: list[str], *, has_env: bool = False) -> list[str]:
    """The words of a command line, as Hydra wants them.

    Where only ``env.id`` says which env it is, unless the config `has_env`, with ``env=gymnasium``: the default preset
    knows a budget, a threshold and more of another one. ``+experiment=`` is what people write where a group of that
    name is their own alone. ``tracker=a,b`` is both, ``tracker=[a,b]``, with -m too: nobody sweeps over trackers.
    """
    words = [word.removeprefix("+") if word.startswith("+experiment=") else word for word in words]
    names = {word.partition("=")[0] for word in words}
    words = [_both(word) if word.startswith("tracker=") else word for word in words]
    return [*words, "env=gymnasium"] if "env.id" in names and "env" not in names and not has_env else words


def _both(word: str) -> str:
    names = word.removeprefix("tracker=").removeprefix("[").removesuffix("]")
    return f"tracker=[{'csv' if names in ('', 'none', 'null') else names}]"


@functools.cache  # Hydra keeps it for as long as this process lives
def register() -> None:
    """Make the schema known to Hydra: `schema`, for an agent `schema_ppo`, for a tracker `schema_tracker_wandb`."""
    Plugins.instance().register(OwnPresetsFirst)
    OmegaConf.register_resolver("chosen", _chosen, replace=True)
    store = ConfigStore.instance()
    store.store(name="schema", node=structured(RunConfig), replace=True)
    for name, algorithm in algorithms.load_all().items():
        store.store(name=f"schema_{name}", node=structured(algorithm.Config), replace=True)
    for name in trackers.names():
        config_class = trackers.find(name, field="tracker").Config
        store.store(name=f"schema_tracker_{name}", node=structured(config_class), replace=True)


def _chosen(group: str, *, _root_: DictConfig) -> str:
    """The resolver: Hydra's part of the config has the choices, or where that was taken out, Hydra's global."""
    hydra = _root_.hydra if "hydra" in _root_ else HydraConfig.get()
    return chosen(group, _root_, hydra.runtime.choices)


def chosen(group: str, config: DictConfig, choices: Mapping[str, Any]) -> str:
    """What directories and studies call the agent or the env: its preset.

    Where there is none, as in `best.yaml`, or one for any env, it is what the config names: ``ALE-Pong-v5``.
    """
    name = choices.get(group)
    if name and name not in _ANY_ENV:
        return str(name)
    text = str(OmegaConf.select(config, "agent.name" if group == "agent" else "env.id"))
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-") or str(name)


class OwnPresetsFirst(SearchPathPlugin):
    """A preset in a directory of the user's own takes the place of rllab's of the same name."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        main = [place.path for place in search_path.get_path() if place.provider == "main"]
        if main and str(main[0]).removeprefix("file://") == str(conf_dir()):  # not where that is the user's own already
            hydra_internals.put_own_first(search_path)


def own_directories(hydra: HydraConf) -> list[Path]:
    """Those of --config-dir and of hydra.searchpath."""
    sources = hydra.runtime.config_sources
    return [Path(s.path) for s in sources if s.provider.startswith(("command-line", "hydra.searchpath"))]


def own_presets(hydra: HydraConf, loader: ConfigLoader, words: Iterable[str] | None = None) -> list[str]:
    """The files of `own_directories` that a config was made of.

    Args:
        hydra: of the config.
        loader: has composed it.
        words: of its command line, Hydra's own aside; by default those that `hydra` knows.
    """
    if not (own := own_directories(hydra)):
        return []
    words = [*hydra.overrides.hydra, *(hydra.overrides.task if words is None else words)]
    parts = loader.compute_defaults_list(hydra.job.config_name, words, hydra.mode or RunMode.RUN).defaults
    files = [[folder / f"{part.config_path}.yaml" for folder in own] for part in parts]
    return [str(path) for each in files for path in [path for path in each if path.is_file()][:1]]


def structured(cls: type) -> DictConfig:
    """Structured config of a frozen dataclass that can be merged into (OmegaConf marks it read-only)."""
    node = OmegaConf.structured(cls)

    def unlock(container: DictConfig) -> None:
        OmegaConf.set_readonly(container, None)
        for key in container:
            if not OmegaConf.is_missing(container, key) and isinstance(child := container[key], DictConfig):
                unlock(child)

    unlock(node)
    assert isinstance(node, DictConfig)
    return node


@functools.cache  # half of the time of `load`, of which a search makes many
def _run_schema(agent: type) -> DictConfig:
    """Structured config of a run whose agent has these fields."""
    schema = structured(RunConfig)
    schema.agent = structured(agent)
    return schema


def load(config: DictConfig) -> RunConfig:
    """Check a composed config and turn it into frozen dataclasses.

    Raises:
        ConfigError: one line that names the field, what it got and what to write instead.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True)
        return _typed(plain, fields=OmegaConf.get_type(config, "agent"))
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(explain(error)) from error


def _typed(plain: Any, fields: type | None = None) -> RunConfig:
    """A run of this content, in which no text is an interpolation. `fields` is the schema that its agent had."""
    agent = plain.get("agent") if isinstance(plain, dict) else None
    name = agent.get("name") if isinstance(agent, dict) else None
    if not isinstance(name, str):
        raise ConfigError("agent.name: not set; write it in the preset, e.g. name: ppo")
    agent_class = _config_class(name)
    if dataclasses.is_dataclass(fields) and fields is not agent_class:
        raise ConfigError(f"agent.name: got {name!r} with the fields of another; write agent={name}")
    for section, schema in (("env", EnvConfig), ("agent", agent_class)):
        _check_items(section, schema, plain.get(section))
    _check_eval_env(plain.get("eval_env"))
    tracked = {"tracker": _tracker_schemas(plain.get("tracker"))}
    run = OmegaConf.to_object(OmegaConf.merge(_run_schema(agent_class), tracked, escaped(plain)))
    assert isinstance(run, RunConfig)
    return run


def _tracker_schemas(sections: Any) -> dict[str, DictConfig]:
    """Structured configs of the trackers that a run has, by name."""
    schemas = {}
    for key, section in sections.items() if isinstance(sections, dict) else ():
        if not isinstance(section, dict):
            raise ConfigError(
                f"tracker.{key}: got {section!r}; begin a preset of your own with # @package tracker.<its name>"
            )
        if not isinstance(name := section.get("name"), str):
            raise ConfigError(f"tracker.{key}.name: not set; choose it as tracker=[{key}], and others beside it")
        schemas[key] = structured(trackers.find(name, field=f"tracker.{key}.name").Config)
    return schemas


def _check_eval_env(differing: Any) -> None:
    """Refuse fields that the env of evaluations cannot have of its own, and wrong types."""
    hints = get_type_hints(EnvConfig, include_extras=True)
    schema = dataclasses.make_dataclass("EvalEnvConfig", [(name, hints[name]) for name in EVAL_ENV_FIELDS])
    OmegaConf.merge({"eval_env": OmegaConf.structured(schema)}, {"eval_env": escaped(differing or {})})


def _check_items(section: str, schema: type, fields: Any) -> None:
    """Refuse a list or a mapping inside of a list of numbers or texts, which OmegaConf would let through."""
    for name, hint in get_type_hints(schema).items():
        items = value_at(fields, name, kind=list) or []
        wanted = next((kind for kind in (hint, *get_args(hint)) if get_origin(kind) is list), None)
        if wanted and get_args(wanted)[0] in (int, float, str) and any(isinstance(x, (dict, list)) for x in items):
            raise ConfigError(f"{section}.{name}: got {setting_text(items)}; write {expected(hint)}")


def escaped(node: Any) -> Any:
    """The same content, in which OmegaConf resolves nothing."""
    if isinstance(node, dict):
        return {key: escaped(value) for key, value in node.items()}
    if isinstance(node, list):
        return [escaped(value) for value in node]
    return escape_interpolations(node) if isinstance(node, str) else node


def _config_class(name: str) -> type:
    algorithm = algorithms.find(name)
    if not dataclasses.is_dataclass(getattr(algorithm, "Config", None)):
        raise ConfigError(f"agent.name: got {name!r}, which has no dataclass Config; write it as PPO does")
    return algorithm.Config


def load_file(path: Path, *, trusted: bool = False, own: RunConfig | None = None) -> RunConfig:
    """The config that an earlier run saved with `save`. It is data: nothing in it is resolved.

    Args:
        path: of the file.
        trusted: import the packages that it names, whoever wrote it; otherwise only if this user did.
        own: a config of this user; what it names is trusted too.

    Raises:
        ConfigError: it cannot be read, or it is somebody else's and would import or read something; one line.
    """
    try:
        content = path.read_bytes()
        plain = OmegaConf.to_container(OmegaConf.load(io.StringIO(content.decode())))
        if names := trust.executed(plain):
            known = trust.executed(dataclasses.asdict(own)) if own else []
            _check_trust(names, trusted=trusted or set(names) <= set(known) or trust.is_own(path, content))
            trust.find_packages_here()
        return _typed(plain)
    except (ConfigError, yaml.YAMLError, OmegaConfBaseException, *_MALFORMED) as error:
        raise ConfigError(f"{path}: {explain(error)}") from error


def _check_trust(names: list[str], *, trusted: bool) -> None:
    if not trusted:
        raise ConfigError(trust.refusal(names))


def save(config: RunConfig, path: Path) -> None:
    """Write the resolved config as YAML that `load_file` reads back, and sign it."""
    write_text(path, OmegaConf.to_yaml(OmegaConf.create(OmegaConf.to_container(OmegaConf.structured(config)))))
    trust.sign(path)
