"""Links in a run directory: a directory that somebody sent may hold some that lead to other files of its reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rllab.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def leads_out(path: Path, directory: Path) -> bool:
    """Whether a link on the way from `directory` to `path` leads out of it. The directory itself may be one."""
    try:
        return not path.resolve().is_relative_to(directory.resolve())
    except (OSError, RuntimeError):  # a link to itself
        return True


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
