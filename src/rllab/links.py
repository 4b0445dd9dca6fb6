"""Links in a run directory: a directory that somebody sent may hold some that lead to other files of its reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rllab.errors import ConfigError
from rllab.files import read_json

if TYPE_CHECKING:
    from pathlib import Path


def leads_out(path: Path, directory: Path) -> bool:
    """Whether a link on the way from `directory` to `path` leads out of it. The directory itself may be one."""
    try:
        return not path.resolve().is_relative_to(directory.resolve())
    except (OSError, RuntimeError):  # a link to itself
        return True


def read_json_inside(directory: Path, name: str) -> dict[str, Any]:
    """As `read_json`; empty where a link leads out of the directory, too."""
    return {} if leads_out(directory / name, directory) else read_json(directory / name)


def refuse_links(directory: Path) -> None:
    """Refuse a run directory that would be written in, or played from, through a link that leads out of it.

    Raises:
        ConfigError: there is such a link; one line.
    """
    for path in (*directory.glob("*"), *directory.glob("*/*")):  # rllab writes no deeper
        if path.is_symlink() and leads_out(path, directory):
            raise ConfigError(
                f"{directory}: {path.relative_to(directory)} is a link that leads out of the run directory, to "
                f"{path.readlink()}; put the file itself in its place, or remove it"
            )
