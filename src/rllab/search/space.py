"""What the command line of a multirun asks for: overrides that every job gets, and fields that differ between jobs."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Union, cast, get_args, get_origin

from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override, RangeSweep, Transformer
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from rllab.config.hydra_internals import create_optuna_distribution_from_override, node_type
from rllab.config.schema import fields_counting_frames
from rllab.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hydra.core.config_loader import ConfigLoader

_MAX_CHECKED = 16
"""Jobs of a grid that are checked one by one before the first starts; each takes about 0.1 s."""
_MAX_POINTS = 100_000
"""Of a grid."""
_FEWER = f"write at most {_MAX_POINTS:,}, or a number of trials that are to sample them, e.g. meta.max_trial=16"
_OF_THE_SEARCH = ("meta.max_trial", "meta.keep_trials", "meta.search_", "search", "run_dir")
"""Beginnings of the fields that must have one value for all trials."""
_FRAMES = fields_counting_frames()
"""Fields that are whole numbers although the schema lets them be written as 1e6."""


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
        """The points of the grid in Hydra's order: the field that was typed last changes fastest."""
        return [dict(zip(self.distributions, values, strict=True)) for values in itertools.product(*self._choices())]

    def check_grid(self) -> None:
        """Raise a one-line `ConfigError` if the grid has more points than anybody can wait for."""
        if (size := math.prod(map(len, self._choices()))) > _MAX_POINTS:
            raise ConfigError(f"{', '.join(self.distributions)}: got {size:,} combinations; {_FEWER}")

    def _choices(self) -> list[Sequence[Any]]:
        choices: list[Sequence[Any]] = []
        for distribution in self.distributions.values():
            assert isinstance(distribution, CategoricalDistribution)
            choices.append(distribution.choices)
        return choices

    def probes(self, *, jointly: bool = False) -> Iterator[list[str]]:
        """Overrides of the jobs to check before any starts: a small grid whole, otherwise the ends of each field.

        Args:
            jointly: try the ends of all fields in the same jobs, which are far fewer; otherwise those of one field at
                a time, while the others keep what the presets say.
        """
        ends = {name: corners(distribution) for name, distribution in self.distributions.items()}
        whole = all(isinstance(d, CategoricalDistribution) for d in self.distributions.values())
        if whole and math.prod(map(len, ends.values())) <= _MAX_CHECKED:
            yield from (self.words(point) for point in self.points())
        elif jointly:
            for index in range(max(map(len, ends.values()))):
                yield self.words({name: values[index % len(values)] for name, values in ends.items()})
        else:
            yield from (self.words({name: value}) for name, values in ends.items() for value in values)


def corners(distribution: BaseDistribution) -> list[Any]:
    """All choices, or both ends."""
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
    words = [*_params(config), *config.hydra.overrides.task]
    grid = is_grid(config)
    space = Space([], {}, {}, {})
    fixed: dict[str, str] = {}
    random.seed(config.meta.seed)  # so that shuffle(1,2,3) gives the same order when the search goes on
    for override in OverridesParser.create(loader).parse_overrides(words):
        word = str(override.input_line)
        name = override.key_or_group
        for earlier in (fixed, space.distributions, space.keys, space.texts):  # the last word counts, as in Hydra
            earlier.pop(name, None)
        if not override.is_sweep_override():
            fixed[name] = word
            continue
        text = word.partition("=")[2]
        if name.startswith(_OF_THE_SEARCH):
            raise ConfigError(f"{name}: got {text}, but all trials of a search share it; write one value")
        space.keys[name] = override.get_key_element()
        space.texts[name] = text
        if grid and override.is_interval_sweep():
            remedy = "write choices" if _is_grid_sampler(config) else "add a number of trials, e.g. meta.max_trial=16"
            raise ConfigError(f"{name}: got {text}, from which a grid cannot be made; {remedy}")
        space.distributions[name] = _choices(override, text) if grid else _distribution(override, text, config, loader)
    space.fixed.extend(fixed.values())
    return space


def _params(config: DictConfig) -> list[str]:
    """What a preset such as `search=ppo` samples, as words of the command line."""
    node = OmegaConf.select(config, "hydra.sweeper.params") or OmegaConf.create()
    params = cast("dict[str, Any]", OmegaConf.to_container(node, resolve=True))
    for name in params:
        group, dot, _ = name.partition(".")
        if dot and not name.startswith("+") and _annotation(config, name) is None:
            chosen = config.hydra.runtime.choices.get
            raise ConfigError(
                f"search={chosen('search')}: samples {name}, which {group}={chosen(group)} does not have; "
                f"write another search, or another {group}"
            )
    return [f"{name}={text if isinstance(text, str) else Transformer.str(text)}" for name, text in params.items()]


def is_grid(config: DictConfig) -> bool:
    """Whether the multirun enumerates, as Hydra's own sweeper does, rather than samples."""
    return config.meta.max_trial == 1 or _is_grid_sampler(config)


def _is_grid_sampler(config: DictConfig) -> bool:
    target = OmegaConf.select(config, "hydra.sweeper.sampler._target_") or ""
    return str(target).endswith(".GridSampler")


def _choices(override: Override, text: str) -> CategoricalDistribution:
    """The values of choices, or of a range: numbers and truth values as such, the rest as the text of an override."""
    if isinstance(value := override.value(), RangeSweep):
        _check_range(override.key_or_group, text, value)
        _check_size(override.key_or_group, text, value)
    if isinstance(override.value(), Glob) and "." in override.key_or_group:
        raise ConfigError(
            f"{override.key_or_group}: got {text}, which chooses presets, as env=glob(*) does; write values, e.g. 1,2"
        )
    choices = override.sweep_iterator(lambda x: x if isinstance(x, (int, float)) else Transformer.str(x))
    if not (listed := list(choices)):
        raise ConfigError(f"{override.key_or_group}: got {text}, which matches nothing; write glob(*)")
    return CategoricalDistribution(listed)  # type: ignore[arg-type] # neither lists nor dicts are left


def _distribution(override: Override, text: str, config: DictConfig, loader: ConfigLoader) -> BaseDistribution:
    """Optuna's distribution for one sampled field, of the field's own type."""
    name, value = override.key_or_group, override.value()
    if override.is_choice_sweep():
        return _choices(override, text)
    options = loader.get_group_options(name, ObjectType.CONFIG)
    annotation = str if options else _annotation(config, name)
    kinds = set(get_args(annotation)) if get_origin(annotation) is Union else {annotation}
    if not kinds & {int, float, Any, None}:
        example = ",".join(options[:2]) or _two_values(annotation)
        raise ConfigError(f"{name}: got {text}, but it is no number; write choices, e.g. {name}={example}")
    if isinstance(value, IntervalSweep):
        _check_interval(name, text, value)
    elif isinstance(value, RangeSweep):
        _check_range(name, text, value)
    distribution: BaseDistribution = create_optuna_distribution_from_override(override)
    if isinstance(distribution, CategoricalDistribution) or kinds & {Any, None}:
        return distribution
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    low, high, log = distribution.low, distribution.high, distribution.log
    if float in kinds and name not in _FRAMES:  # interval(0,1) of a number is every number between, not 0 or 1
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
        remedy = f"tag(log,interval({_typed(low)},{_typed(high)}))"
        raise ConfigError(f"{name}: got {text}, with the tag {min(unknown)!r}; write {remedy}, or no tag")
    if not math.isfinite(high - low):
        raise ConfigError(f"{name}: got {text}, whose ends are not finite; write two numbers, e.g. interval(0,1)")
    if low > high:
        remedy = f"interval({_typed(high)},{_typed(low)})"
        remedy = f"tag(log,{remedy})" if interval.tags else remedy
        raise ConfigError(f"{name}: got {text}, whose low is above its high; write {remedy}")
    if interval.tags and low <= 0:
        remedy = f"tag(log,interval({_typed(1 if high > 1 and high % 1 == 0 else high / 1000)},{_typed(high)}))"
        raise ConfigError(f"{name}: got {text}, but a logarithm needs a low above 0; write e.g. {remedy}")


def _check_range(name: str, text: str, values: RangeSweep) -> None:
    assert values.start is not None
    assert values.stop is not None
    if (float(values.stop) - float(values.start)) * float(values.step) <= 0:
        raise ConfigError(
            f"{name}: got {text}, which is empty; write range(low,high,step), e.g. range(1,4,1) for 1,2,3"
        )


def _check_size(name: str, text: str, values: RangeSweep) -> None:
    """Refuse a range of so many numbers that they would never be tried one by one."""
    size = abs((float(values.stop or 0) - float(values.start or 0)) / float(values.step))
    if size > _MAX_POINTS:
        raise ConfigError(f"{name}: got {text}, which has {size:,.0f} values; {_FEWER}")


def _typed(number: float) -> str:
    """A number as a person types it."""
    short = f"{number:g}".replace("e-0", "e-").replace("e+0", "e")
    return short if float(short) == number else str(number)


def _annotation(config: DictConfig, name: str) -> Any:
    """The type of a field in the schema, Any where it does not say; None if there is no such field."""
    *parents, key = name.split(".")
    node: Any = config
    for parent in parents:
        node = node.get(parent) if isinstance(node, DictConfig) and parent in node else None
    return node_type(node, key) if isinstance(node, DictConfig) else None


def _two_values(annotation: Any) -> str:
    """An example of two values, as typed, for a field of this type."""
    if get_origin(annotation) is Literal:
        return ",".join(str(value).lower() for value in get_args(annotation)[:2])
    return {bool: "true,false", list: "[64,64],[128,128]", dict: "{a:1},{a:2}"}.get(
        get_origin(annotation) or annotation, "a,b"
    )
