"""What `-cn best` may bring: the `best.yaml` of a study, which somebody else may have made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from rllab import config
from rllab.config import trust
from rllab.errors import ConfigError

_SECTIONS = ("defaults", "env", "agent", "eval_env", "callbacks", "meta")
"""What the `best.yaml` of a search holds; whatever these sections name has to be trusted."""


def check(name: Path, added: str | None, instead: str | None, words: list[str], *, trusted: bool) -> None:
    """Refuse what it must not bring, and words that it would win over.

    Args:
        name: of the file.
        added: the directory of --config-dir, which comes beside that of the presets.
        instead: the directory of --config-path, which takes the place of that.
        words: of the command line.
        trusted: whether its author is, whatever it brings.

    Raises:
        ConfigError: the first of them, one line.
    """
    _check_whole(words)
    if trusted:
        return
    for folder in filter(None, (added, instead)):
        _check_best(Path(folder) / name, added=folder == added)
        _check_beside(Path(folder), Path(folder) / name)


def _check_best(path: Path, *, added: bool) -> None:
    """Refuse `best.yaml` of a study that somebody else made, unless it says only what `write_best` writes.

    Hydra imports the packages of its searchpath, and the classes that handle its logs. Any other config that -cn names
    is this user's own program. `added` is whether the directory comes beside that of the presets, or in its place.
    """
    content = path.read_bytes() if path.is_file() else b""
    if not content or trust.is_own(path, content):
        return
    found = yaml.safe_load(content)
    fields = found if isinstance(found, dict) else {}
    named = [f"{name}={fields[name]}" for name in fields if name not in _SECTIONS]
    named += [f"defaults={choice}" for choice in fields.get("defaults") or [] if not _is_ours(choice)]
    # a resolver reads what it likes, as ${oc.env:SECRET}
    named += re.findall(r"@package.*|\$\{.*", content.decode(errors="replace"))
    named += trust.executed(fields) if added else [f"-cp {path.parent}"]
    if named:
        raise ConfigError(f"{path}: {trust.refusal(named)}")


def _check_whole(words: list[str]) -> None:
    """Refuse words that choose what `best.yaml` holds whole: its own fields would win over those of a preset."""
    for word in words:
        field = word.lstrip("+").partition("=")[0]
        if field in ("env", "agent", "tuned", "env.id", "agent.name"):
            raise ConfigError(
                f"{word}: best.yaml holds env and agent whole; leave it out, change single fields such as "
                "env.max_frame=1e6, or keep its agent part as tuned/<agent>/<env>.yaml and train without -cn best"
            )


def _check_beside(folder: Path, best: Path) -> None:
    """Refuse presets beside a `best.yaml`, which would come before rllab's; its signature says nothing of them.

    Only directories of trials, whose names are numbers, hold YAML files as well: no preset has such a name.
    """
    if not best.is_file():
        return
    others = [other for other in folder.iterdir() if other != best and not other.name.isdecimal()]
    inside = [file for other in others for file in [other, *other.rglob("*")]]
    if found := [file for file in inside if file.suffix == ".yaml" or (file.is_symlink() and file.is_dir())]:
        raise ConfigError(
            f"{best}: beside it lies {found[0].relative_to(folder)}, which could take the place of a preset; move "
            "best.yaml into a directory of its own, or add --trust if you trust whoever wrote both"
        )


def _is_ours(choice: Any) -> bool:
    """Whether an entry of a defaults list chooses a preset that lies beside the others."""
    if not isinstance(choice, dict):
        return choice in ("config", "_self_")
    chosen = [(str(group).removeprefix("override "), str(name)) for group, name in choice.items() if name is not None]
    return all(
        re.fullmatch(r"\w+", group) and ".." not in name and (config.conf_dir() / group / f"{name}.yaml").is_file()
        for group, name in chosen
    )
