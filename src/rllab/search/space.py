"""What a multirun asks for: the words that every job gets, and what is sampled or enumerated."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Transformer
from hydra_plugins.hydra_optuna_sweeper._impl import create_optuna_distribution_from_override
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from rllab.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hydra.core.config_loader import ConfigLoader

_MAX_CHECKED = 16
"""Jobs of a grid that are checked one by one before the first starts; each takes about 0.1 s."""


@dataclass(frozen=True)
class Space:
    """The jobs of a multirun, before any is chosen."""

    fixed: list[str]
    """Words that every job gets, as they were typed."""
    distributions: dict[str, BaseDistribution]
    """What differs between jobs, by field."""
    keys: dict[str, str]
    """How each of these fields is written in an override; `+agent.x` adds what is not there."""
    texts: dict[str, str]
    """What was typed for each of these fields."""

    def words(self, params: dict[str, Any]) -> list[str]:
        """The overrides of one job."""
        return [*self.fixed, *(f"{self.keys[name]}={value}" for name, value in params.items())]

    def points(self) -> list[dict[str, Any]]:
        """The grid in the order that Hydra users expect: the last word changes fastest."""
        choices = []
        for distribution in self.distributions.values():
            assert isinstance(distribution, CategoricalDistribution)
            choices.append(distribution.choices)
        return [dict(zip(self.distributions, values, strict=True)) for values in itertools.product(*choices)]

    def probes(self, *, jointly: bool = False) -> Iterator[list[str]]:
        """Words of the jobs to check before any starts: a small grid whole, otherwise the ends of each field.

        A field's ends are tried while the others keep what the presets say, or, in far fewer jobs, `jointly`.
        """
        corners = {name: _corners(distribution) for name, distribution in self.distributions.items()}
        whole = all(isinstance(d, CategoricalDistribution) for d in self.distributions.values())
        if whole and math.prod(map(len, corners.values())) <= _MAX_CHECKED:
            yield from (self.words(point) for point in self.points())
        elif jointly:
            for index in range(max(map(len, corners.values()))):
                yield self.words({name: values[index % len(values)] for name, values in corners.items()})
        else:
            yield from (self.words({name: value}) for name, values in corners.items() for value in values)


def _corners(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    return [distribution.low, distribution.high]


def read_space(config: DictConfig, loader: ConfigLoader) -> Space:
    """Read a multirun's command line and `hydra.sweeper.params`, which the command line overrides.

    Without a number of trials or with the grid sampler, everything that differs becomes a list of choices.

    Args:
        config: the composed config of the multirun.
        loader: knows the config groups.

    Raises:
        ConfigError: what cannot be sampled or enumerated, one line.
    """
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    words = [f"{name}={text}" for name, text in params.items()] + list(config.hydra.overrides.task)
    grid = is_grid(config)
    space = Space([], {}, {}, {})
    fixed: dict[str, str] = {}
    for override in OverridesParser.create(loader).parse_overrides(words):
        word = str(override.input_line)
        name = override.key_or_group
        for earlier in (fixed, space.distributions, space.keys, space.texts):  # the last word counts, as in Hydra
            earlier.pop(name, None)
        if not override.is_sweep_override():
            fixed[name] = word
            continue
        space.keys[name] = override.get_key_element()
        space.texts[name] = word.partition("=")[2]
        if grid and override.is_interval_sweep():
            remedy = "write choices" if _is_grid_sampler(config) else "add a number of trials, e.g. meta.max_trial=16"
            raise ConfigError(f"{name}: got {space.texts[name]}, from which a grid cannot be made; {remedy}")
        space.distributions[name] = (
            CategoricalDistribution(list(override.sweep_iterator(transformer=Transformer.encode)))  # type: ignore[arg-type] # encoded
            if grid
            else _distribution(override, space.texts[name], config, loader)
        )
    space.fixed.extend(fixed.values())
    return space


def is_grid(config: DictConfig) -> bool:
    """Whether the multirun enumerates, as Hydra's own sweeper does, rather than samples."""
    return config.meta.max_trial == 1 or _is_grid_sampler(config)


def _is_grid_sampler(config: DictConfig) -> bool:
    target = OmegaConf.select(config, "hydra.sweeper.sampler._target_") or ""
    return str(target).endswith(".GridSampler")


def _distribution(override: Override, text: str, config: DictConfig, loader: ConfigLoader) -> BaseDistribution:
    """Optuna's distribution for one sampled field, of the field's own type."""
    name, value = override.key_or_group, override.value()
    if isinstance(value, IntervalSweep):
        _check_interval(name, text, value)
    try:
        distribution: BaseDistribution = create_optuna_distribution_from_override(override)
    except ValueError as error:
        raise ConfigError(f"{name}: got {text}: {error}") from None
    if isinstance(distribution, CategoricalDistribution):
        return distribution
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    kinds = {str} if loader.get_group_options(name) else _kinds(config, name)
    if kinds is None:
        return distribution
    if not kinds & {int, float}:
        raise ConfigError(f"{name}: got {text}, but it is no number; write choices, e.g. {name}=a,b")
    low, high, log = distribution.low, distribution.high, distribution.log
    if float in kinds:  # interval(0,1) of a number is every number between, not 0 or 1
        interval = isinstance(value, IntervalSweep)
        return FloatDistribution(float(low), float(high), log=log) if interval else distribution
    if isinstance(distribution, FloatDistribution):
        if low != int(low) or high != int(high) or distribution.step is not None:
            raise ConfigError(f"{name}: got {text}, but it is an integer; write whole numbers")
        return IntDistribution(int(low), int(high), log=log)
    return distribution


def _check_interval(name: str, text: str, interval: IntervalSweep) -> None:
    low, high = interval.start, interval.end
    assert low is not None
    assert high is not None
    if unknown := set(interval.tags) - {"log"}:
        raise ConfigError(f"{name}: got {text}, with the tag {min(unknown)!r}; write tag(log,interval({low},{high}))")
    if low > high:
        raise ConfigError(f"{name}: got {text}, whose low is above its high; write interval({high},{low})")
    if "log" in interval.tags and low <= 0:
        raise ConfigError(f"{name}: got {text}, but a logarithm needs numbers above 0; write e.g. 1e-5 for the low")


def _kinds(config: DictConfig, name: str) -> set[Any] | None:
    """The types that a field may have by the schema, int and float among them; None where no schema says."""
    *parents, key = name.split(".")
    node: Any = config
    for parent in parents:
        node = node.get(parent) if isinstance(node, DictConfig) and parent in node else None
    child = node._get_node(key) if isinstance(node, DictConfig) and key in node else None  # noqa: SLF001 - keeps the type
    annotation = child._metadata.ref_type if child is not None else Any  # noqa: SLF001 - the public way resolves it
    if annotation is Any:
        return None
    if get_origin(annotation) is Union:
        return set(get_args(annotation))
    return {str} if get_origin(annotation) is Literal else {annotation}
