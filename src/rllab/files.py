"""Files that others may read at any moment: nobody sees half of one, also after a power cut."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_T = TypeVar("_T")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole: at every moment there is either the old one or the new one, on the disk too.

    It is written under a name that nobody knows, so that no link which lies there is followed, nor one at `path`.

    Raises:
        OSError: it cannot be written; the old one is still there.
    """
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # a write knows no name, and nobody knows the temporary one
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Bring the names of the files in a directory to the disk, where the system can."""
    with suppress(OSError):  # some file systems, and Windows, know no such thing
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_temporaries(directory: Path) -> None:
    """Remove what processes that were killed in `write_bytes` have left; nobody else may be writing there."""
    for left in directory.glob(".*.tmp"):
        left.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, as `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write an object, whole.

    Raises:
        ValueError: it holds nan or infinity, which JSON does not know.
    """
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty if there is no such file, or half of one."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def value_at(tree: Any, *keys: str | int, kind: type[_T] = object) -> _T | None:  # type: ignore[assignment]
    """The value at this path of keys in nested data, as read from a file; None if there is none of this kind."""
    for key in keys:
        try:
            tree = tree[key]
        except (LookupError, TypeError):
            return None
    return tree if isinstance(tree, kind) else None


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``{"agent": {"lr": 1}}`` as ``("agent.lr", 1)``; an empty mapping is a value."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def conf_dir() -> Path:
    """The presets: ``conf/`` inside the installed package, otherwise beside ``src/`` in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"
