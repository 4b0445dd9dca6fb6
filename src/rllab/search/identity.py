"""What tells one search from another: the same command continues its study, another command must not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from rllab.config.loading import chosen
from rllab.config.schema import Changes, fields_unchanging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omegaconf import DictConfig

    from rllab.search.space import Space

_FREE = fields_unchanging(Changes.SEARCH)
"""What may change from one start to the next."""
_SHOWN = 4
"""The most differences that an error names."""


def describe(config: DictConfig, space: Space) -> dict[str, Any]:
    """All that makes this search: every field of the jobs, with what is sampled as it was typed, and the sampler."""
    described = dict(flat(config)) | space.texts
    sampler = OmegaConf.to_container(config.hydra.sweeper.sampler, resolve=True)
    assert isinstance(sampler, dict)
    return described | {f"hydra.sweeper.sampler.{key!s}": value for key, value in sampler.items()}


def study_name(config: DictConfig, space: Space, described: dict[str, Any]) -> str:
    """``ppo_cartpole_3fa9c1``: agent and env where they are not searched, and a digest of everything."""
    choices = config.hydra.runtime.choices
    searched = {field.split(".")[0] for field in space.texts if field in ("agent", "env", "env.id", "env.game")}
    groups = [group for group in ("agent", "env") if group in choices and group not in searched]
    parts = [chosen(group, config, choices) for group in groups]
    digest = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()
    return "_".join([*parts, digest[:6]])


def differences(there: dict[str, Any], here: dict[str, Any]) -> str:
    """One line that names the fields in which two searches differ, with both values; the first few of many."""
    names = [name for name in sorted(there | here) if there.get(name) != here.get(name)]
    shown = [f"{name} is {_text(there.get(name))} there and {_text(here.get(name))} here" for name in names[:_SHOWN]]
    return "; ".join([*shown, *([f"and {more} more"] if (more := len(names) - _SHOWN) > 0 else [])])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def flat(node: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Full names and values of the fields of a config that may not change from one start to the next."""
    for key in map(str, node):
        name = prefix + key
        if name == "hydra" or name in _FREE:  # it must not even be resolved: a directory's name may hold the time
            continue
        value = node[key]
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{name}.")
        else:
            yield name, OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
