"""What TAB offers after `python train.py`, read from the files of presets and fields: imports would take seconds."""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from rllab.files import conf_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

_GROUPS = {"meta": "standard", "env": "cartpole", "agent": "ppo"}
_GROUPS |= {"eval_env": "same", "tuned": "none", "search": "", "experiment": "", "tracker": "tensorboard"}
"""Groups of presets, and which is chosen where the command line names none."""
_SCHEMA = {"meta": "MetaConfig", "env": "EnvConfig"}
_HYDRAS = ("hydra", "+", "~", "-")


def offers(line: str) -> list[str] | None:
    """What the last word of a command line may become; None for what only Hydra itself knows, or can say is wrong."""
    try:
        return _offers(line)
    except (yaml.YAMLError, OSError, ValueError, TypeError, AttributeError):
        return None


def _offers(line: str) -> list[str] | None:
    words = line.split()
    word = "" if line.endswith(" ") else words[-1]
    if word.startswith(_HYDRAS):
        return None
    folders = [conf_dir()]
    folders += [Path(b) for a, b in pairwise(words) if a in ("-cd", "--config-dir")]
    group, equals, _ = word.partition("=")
    if equals:
        before = word[: word.rfind(",") + 1] or f"{group}="  # of several, as tracker=csv,wandb
        found = {f"{before}{path.stem}" for folder in folders for path in folder.glob(f"{group}/**/*.yaml")}
    else:
        chosen = _GROUPS | dict(each.split("=", 1) for each in words if "=" in each)
        chosen["env"] = "gymnasium" if "env.id" in chosen and "env=" not in line else chosen["env"]
        fields = [f"{part}.{name}" for part in ("meta", "env", "agent") for name in _fields(part, chosen, folders)]
        for name in chosen["tracker"].strip("[]").split(","):
            fields += [f"tracker.{name}.{field}" for field in _preset_fields("tracker", name, folders)]
        found = {f"{name}=" for name in (*_GROUPS, "callbacks", "run_dir")}
        found |= {_next_level(name, word) for name in fields}
    return sorted(each for each in found if each.startswith(word))


def _next_level(name: str, word: str) -> str:
    """``meta.search_resources.cpu`` for ``meta.sea`` is ``meta.search_resources.``."""
    end = name.find(".", len(word))
    return f"{name}=" if end < 0 else name[: end + 1]


def _fields(section: str, chosen: dict[str, str], folders: list[Path]) -> Iterator[str]:
    if section in _SCHEMA:
        yield from _class_fields("rllab.config.schema", _SCHEMA[section])
    yield from _preset_fields(section, chosen[section], folders)


def _preset_fields(group: str, name: str, folders: list[Path]) -> Iterator[str]:
    """The fields that a preset sets, and those of the presets and the schema below it."""
    for path in (folder / group / f"{name}.yaml" for folder in folders):
        content = yaml.safe_load(path.read_bytes()) if path.is_file() else None
        for below in (content or {}).pop("defaults", []):
            if str(below).startswith("/schema_"):
                name = below.removeprefix("/schema_").partition("@")[0]
                room = "tracking.trackers" if group == "tracker" else "algorithms"
                yield from _class_fields(f"rllab.{room}.{name.removeprefix('tracker_')}", "")
            elif below != "_self_":
                yield from _preset_fields(group, str(below), folders)
        yield from _leaves(content or {})


def _leaves(content: dict[str, Any]) -> Iterator[str]:
    for key, value in content.items():
        yield from (f"{key}.{inner}" for inner in _leaves(value)) if isinstance(value, dict) else (str(key),)


def _class_fields(module: str, name: str) -> Iterator[str]:
    """Fields of a dataclass by its source; without a name those of the one that is called ...Config."""
    tree = ast.parse((Path(__file__).parents[1] / f"{module.replace('.', '/')}.py").read_bytes())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef) and node.decorator_list}
    origin = {each.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for each in node.names}
    own = classes[name or next(found for found in classes if found.endswith("Config"))]
    for base in (ast.unparse(base) for base in own.bases):
        yield from _class_fields(origin.get(base) or module, base)
    for node in own.body:
        if isinstance(node, ast.AnnAssign):
            field = ast.unparse(node.target)
            inner = [n.id for n in ast.walk(node.annotation) if isinstance(n, ast.Name) and n.id in classes]
            yield from (f"{field}.{each}" for each in _class_fields(module, inner[0])) if inner else (field,)
