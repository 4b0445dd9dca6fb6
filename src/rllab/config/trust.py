"""Whose config it is. One that this user wrote on this machine may name any package; another's is data until trusted.

A run signs its config with a key that never leaves the machine. What is signed is the content, so that a run keeps its
trust where it is moved or renamed, and loses it where it is edited.
"""

from __future__ import annotations

import hmac
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import gymnasium

from rllab.files import write_text
from rllab.nets.cnn import LAYOUTS
from rllab.nets.images import AXES
from rllab.text import printable

_OWN_ENVS = ("gymnasium.", "ale_py.", "rllab.")
"""Packages whose envs need no trust."""
_OWN_AGENT = r"[^:]*|rllab\.algorithms(\.\w+)+:\w+"
_OWN_NETWORK = rf"auto|mlp|({'|'.join(LAYOUTS)})(:({'|'.join(AXES)}))?|rllab\.nets(\.\w+)+:\w+"
_OWN_WRAPPER = r"(gymnasium\.wrappers|rllab\.envs)(\.[a-z]\w*)*[.:][A-Z]\w*"
_OWN_CALLBACK = r"rllab\.callbacks[.:][A-Z]\w*"
_WORD = r"[\w +-]*"
"""An argument of an env that is neither a path nor the name of a module in a package."""


def sign(path: Path) -> None:
    """Write beside a file that this user wrote it; nothing where this user has no key and can make none."""
    if key := _key(make=True):
        write_text(_signature(path), _digest(key, path.read_bytes()) + "\n")


def is_own(path: Path, content: bytes) -> bool:
    """Whether this user has signed the file with this content on this machine."""
    key = _key()
    try:
        return key is not None and hmac.compare_digest(
            _signature(path).read_bytes().strip(), _digest(key, content).encode()
        )
    except OSError:
        return False


def refusal(names: list[str]) -> str:
    """What is wrong with a file that is somebody else's, where `executed` found these."""
    return (
        f"not written by you on this machine, or edited since; it would execute or read "
        f"{', '.join(map(printable, names))}; add --trust if you trust whoever wrote it"
    )


def executed(config: Any) -> list[str]:
    """What a run with this config executes, reads or tells others: ``["agent.network=my_pkg.nets:Net"]``.

    What rllab and Gymnasium have themselves is not meant.

    Args:
        config: plain data, as read from a file; what is not of the right type is an error elsewhere.
    """
    agent = _section(config, "agent")
    named = [("agent.name", name) for name in _texts(agent.get("name")) if not re.fullmatch(_OWN_AGENT, name)]
    named += [("agent.network", name) for name in _texts(agent.get("network")) if not re.fullmatch(_OWN_NETWORK, name)]
    named += _of_trackers(_section(config, "tracker"))
    for section in ("env", "eval_env"):
        env = _section(config, section)
        named += [(f"{section}.id", str(env.get("id")))] if _is_foreign(env.get("id")) else []
        named += [
            (f"{section}.wrappers", name)
            for name in _calls(env.get("wrappers"))
            if not re.fullmatch(_OWN_WRAPPER, name)
        ]
        named += [(f"{section}.kwargs", x) for x in _texts([env.get("kwargs")]) if not re.fullmatch(_WORD, x)]
    called = config.get("callbacks") if isinstance(config, Mapping) else None
    named += [("callbacks", name) for name in _calls(called) if not re.fullmatch(_OWN_CALLBACK, name)]
    return [f"{field}={name}" for field, name in named]


def _of_trackers(trackers: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Those that import a package of their author's, or write elsewhere than into the run directory."""
    for key, section in trackers.items():
        name, mode = map(section.get, ("name", "mode")) if isinstance(section, Mapping) else (section, None)
        if name != "tensorboard" and (name, mode) != ("wandb", "offline"):
            yield f"tracker.{key}", str(name)


def _calls(called: Any) -> Iterator[str]:
    """Names of what is called, and texts among the arguments: a wrapper may write what it is given a name for."""
    for each in called if isinstance(called, list) else [called]:
        for name, given in each.items() if isinstance(each, Mapping) else [(each, None)]:
            yield from _texts([name])
            yield from _texts([*given.values()] if isinstance(given, Mapping) else given)


def find_packages_here() -> None:
    """Let packages of the current directory be imported: what a user's own config names may lie there.

    Nobody else needs that: where a library is not installed, one of its name that lies here must not take its place.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def _is_foreign(env_id: Any) -> bool:
    """Whether an env comes from a package other than `_OWN_ENVS`. No package is imported to find out."""
    module, _, name = str(env_id).rpartition(":")
    if module:
        return f"{module}." not in _OWN_ENVS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions
            spec = gymnasium.spec(name)
    except gymnasium.error.Error:  # nor will anybody else find it
        return False
    made_by = [spec.entry_point, spec.vector_entry_point]
    return any(entry is not None and not str(entry).startswith(_OWN_ENVS) for entry in made_by)


def _section(config: Any, name: str) -> Mapping[Any, Any]:
    found = config.get(name) if isinstance(config, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _texts(value: Any) -> Iterator[str]:
    """All that is neither a number nor nothing in nested data, keys below the first level included."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts([*inner, *inner.values()] if isinstance(inner, Mapping) else inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts([*inner, *inner.values()] if isinstance(inner, Mapping) else inner)
    elif value is not None and not isinstance(value, bool | int | float):
        yield str(value)


def _signature(path: Path) -> Path:
    return path.with_name(f"{path.name}.hmac")


def _digest(key: bytes, content: bytes) -> str:
    return hmac.digest(key, content, "sha256").hex()


def _key(*, make: bool = False) -> bytes | None:
    """This user's secret; None if there is none, or one that others could know."""
    folder = os.environ.get("XDG_DATA_HOME", "")
    if not Path(folder).is_absolute():  # the current directory may be somebody else's
        folder = "~/.local/share"
    try:
        path = Path(folder).expanduser() / "rllab" / "key"
        if make and not path.exists():
            _make_key(path)
        status = path.stat()
        key = path.read_bytes()
    except (OSError, RuntimeError):  # no home, or one that cannot be written
        return None
    return key if len(key) == 32 and status.st_uid == os.getuid() and not status.st_mode & 0o077 else None


def _make_key(path: Path) -> None:
    """Make it whole at once: another process may look for it at the same moment, or make another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent) as file:  # readable by this user alone
        file.write(os.urandom(32))
        file.flush()
        with suppress(FileExistsError):
            path.hardlink_to(file.name)
