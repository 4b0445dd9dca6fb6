"""Presets of a group side by side, for `rllab presets`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import MISSING
from rich.table import Table
from rich.text import Text

from rllab import config
from rllab.command.presets import GROUPS
from rllab.files import flat
from rllab.text import setting_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

_EMPTY = ("none", "csv")
"""Presets without a field."""
_GAP = 2
"""Spaces between two columns."""


@dataclass(frozen=True)
class Preset:
    """One preset: the values of its fields, and what they would be without it."""

    name: str
    values: dict[str, Any]
    defaults: dict[str, Any]

    def changes(self, field: str) -> bool:
        return field in self.values and self.values[field] != self.defaults.get(field)


def show_presets(group: str | None, console: Console) -> None:
    """Print the presets of a group side by side: fields down, presets across. Without a group, list all."""
    config.register()
    with initialize_config_dir(str(config.conf_dir())):
        if group is not None:
            presets = [load_preset(group, name) for name in preset_names(group) if name not in _EMPTY]
            _show_group(group, presets, console)
            return
        table = Table.grid(padding=(0, _GAP))
        for name in GROUPS:
            table.add_row(Text(name, "bold"), ", ".join(preset_names(name)))
        console.print(table)
        console.print("\nrllab presets GROUP shows a group side by side; python train.py GROUP=NAME chooses.")


def preset_names(group: str) -> list[str]:
    """Names of the presets of a group, `ppo/cartpole` those of a group inside it."""
    loader = GlobalHydra.instance().config_loader()
    names = loader.get_group_options(group, ObjectType.CONFIG)
    inner = loader.get_group_options(group, ObjectType.GROUP)
    return names + [f"{folder}/{name}" for folder in inner for name in preset_names(f"{group}/{folder}")]


def load_preset(group: str, name: str) -> Preset:
    """A preset of a group beside what its fields are without it."""

    def run(*overrides: str) -> config.RunConfig:
        return config.load(compose("config", [*overrides, "run_dir=."]))

    if group == "tracker":
        ((_, chosen),) = run(f"tracker=[{name}]").tracker.items()
        return Preset(name, asdict(chosen), asdict(type(chosen)()))
    if group != "tuned":
        chosen = getattr(run(f"{group}={name}", "tuned=none"), group)
        return Preset(name, dict(flat(asdict(chosen))), dict(flat(asdict(type(chosen)()))))
    agent, _, env = name.rpartition("/")
    choice = [f"agent={agent}", f"env={env}"] if agent else []
    tuned, plain = (asdict(run(*choice, f"tuned={option}")) for option in (name, "none"))
    return Preset(name, dict(flat(tuned)), dict(flat(plain)))


def _show_group(group: str, presets: list[Preset], console: Console) -> None:
    fields = list(dict.fromkeys(field for preset in presets for field in preset.values))
    common = [field for field in fields if _is_common(field, presets)]
    rows = [field for field in fields if any(preset.changes(field) for preset in presets)]
    if group in ("agent", "tracker"):  # each has fields of its own
        rows = [field for field in fields if field not in common]
    if group in ("meta", "env"):
        presets = [Preset("default", presets[0].defaults, presets[0].defaults), *presets]
    for columns in _that_fit([_column(preset, rows, console) for preset in presets], rows, console.width):
        table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="underline")
        table.add_column(group, no_wrap=True)
        for header, *_cells in columns:
            table.add_column(header, no_wrap=True)
        for field, *cells in zip(rows, *(cells for _header, *cells in columns), strict=True):
            table.add_row(field, *cells)
        console.print(table, "")
    marked = "*" if console.color_system is None else "bold"
    what = "the presets of its agent and env" if group == "tuned" else "the default"
    console.print(f"{marked}: differs from {what}")
    if common and group != "tuned":
        values = " ".join(f"{field}={_text(presets[0].values[field])}" for field in common)
        console.print(f"all presets: {values}")


def _is_common(field: str, presets: list[Preset]) -> bool:
    """Whether all presets have this field and none changes it."""
    if any(field not in preset.values or preset.changes(field) for preset in presets):
        return False
    return all(preset.values[field] == presets[0].values[field] for preset in presets)


def _column(preset: Preset, rows: list[str], console: Console) -> list[Text]:
    """A preset's header and cells; what it changes is bold, or has a star where there is no colour."""
    star = "*" if console.color_system is None else ""
    cells = [
        Text(_text(preset.values[field]) + star, "bold")
        if preset.changes(field)
        else Text(_text(preset.values.get(field, MISSING)))
        for field in rows
    ]
    return [Text(preset.name), *cells]


def _that_fit(columns: list[list[Text]], rows: list[str], width: int) -> Iterator[list[list[Text]]]:
    """Split the columns into as many tables as it takes to stay within the width."""
    chosen: list[list[Text]] = []
    left = room = width - max(map(len, rows), default=0) - _GAP
    for column in columns:
        need = max(map(len, column)) + _GAP
        if chosen and need > left:
            yield chosen
            chosen, left = [], room
        chosen.append(column)
        left -= need
    yield chosen


def _text(value: Any) -> str:
    """A value as a person would type it, in full."""
    if type(value) is int:
        return f"{value:_}"
    if isinstance(value, float):
        return f"{value:g}".replace("e-0", "e-")
    return "-" if value == MISSING else setting_text(value)
