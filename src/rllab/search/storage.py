"""Where a study is kept: SQLite in its directory by default, or a journal file or a database by URL."""

from __future__ import annotations

import logging
import re
import time
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import ArgumentError, IntegrityError, ProgrammingError, SQLAlchemyError

from rllab.errors import ConfigError
from rllab.search.patience import Patience, patient

_LOCKED = 60
"""Seconds that a process waits for others to let go of an SQLite file."""
_SERVER = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2}
"""Seconds after which a database server counts as unreachable, also where it vanishes amid a query."""
_ATTEMPTS, _PAUSE = 10, 0.2
"""Attempts to make tables that other processes may make at the same time, and seconds between two."""
_FIELD = "hydra.sweeper.storage"
_FILES = ("sqlite", "journal")
"""Schemes of URLs that name a file."""

_NAMES_A_FILE = bytes.fromhex("d9d505f920a163d7")
"""The end of a journal of SQLite that names another file: "Rollback Journal Format" in its documentation."""

optuna.logging.set_verbosity(optuna.logging.WARNING)
logging.getLogger("optuna.storages._rdb.storage").setLevel(logging.ERROR)  # of each statement that is not answered
warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


def resolve_url(url: str | None, directory: Path) -> str:
    """The URL as every process of the search can use it, from any working directory.

    Raises:
        ConfigError: it names nothing that several processes can use.
    """
    if url is None:
        return f"sqlite:///{quote(str((directory / 'study.db').resolve()))}"
    scheme, _, rest = url.partition("://")
    if scheme in _FILES and not rest.startswith("//"):
        name = rest.removeprefix("/")
        if name in ("", ":memory:"):
            raise ConfigError(f"{_FIELD}: got {url!r}, which no other process can see; write {scheme}:///study.db")
        if scheme == "journal":
            return f"journal:///{Path(name).resolve()}"
        path, mark, options = name.partition("?")
        return f"sqlite:///{quote(str(Path(unquote(path)).resolve()))}{mark}{options}"
    if scheme in ("postgresql", "postgres"):
        return f"postgresql+psycopg://{rest}"
    return url


def _file_of(url: str) -> Path:
    """The file that a URL of `_FILES` names; SQLAlchemy reads %20 as a space."""
    scheme, _, path = url.partition(":///")
    return Path(unquote(path.partition("?")[0]) if scheme == "sqlite" else path)


def open_storage(url: str, *, create: bool = False, patience: Patience | None = None) -> BaseStorage:
    """Connect to a storage whose URL `resolve_url` gave.

    Args:
        url: ``sqlite:////path``, ``journal:////path``, ``postgresql+psycopg://...`` or another one of SQLAlchemy's.
        create: make what is not there yet; whoever does so may have misspelt it, and is told at once.
        patience: with which it is asked; without, the first call that is not answered is an error.

    Raises:
        ConfigError: it cannot be used.
    """
    try:
        if patience is None:
            return _connect(url, create=create)
        storage = _connect(url, create=True) if create else patience.ask(lambda: _connect(url, create=False))
        return patient(storage, patience)
    except (SQLAlchemyError, StorageInternalError, ImportError, OSError, RuntimeError, ValueError) as error:
        raise ConfigError(f"{_FIELD}: got {public(url)!r}, {_why(error, is_file=url.startswith(_FILES))}") from None


def has_storage(url: str) -> bool:
    """Whether there is something to open: looking into an SQLite file or a journal would make it."""
    return not url.startswith(_FILES) or _file_of(url).exists()


def _connect(url: str, *, create: bool) -> BaseStorage:
    scheme, path = url.partition("://")[0], _file_of(url)
    if create and scheme in _FILES:
        path.parent.mkdir(parents=True, exist_ok=True)
    if scheme == "sqlite":
        _check_journal(path)
    if scheme == "journal":
        return JournalStorage(JournalFileBackend(str(path)))
    arguments: dict[str, Any] = {}
    if scheme == "sqlite":
        arguments = {"connect_args": {"timeout": _LOCKED}}
    elif scheme.startswith("postgresql"):
        arguments = {"connect_args": _SERVER, "pool_pre_ping": True}
    if create:
        return _with_tables(url, arguments)
    return RDBStorage(url, arguments, skip_compatibility_check=True, skip_table_creation=True)


def _check_journal(database: Path) -> None:
    """Refuse what an interrupted transaction over several databases leaves, which rllab never makes.

    It names a file, which SQLite deletes: in a study that somebody sent that may be any file of its reader.
    """
    journal = database.with_name(f"{database.name}-journal")
    if journal.is_file() and journal.read_bytes().endswith(_NAMES_A_FILE):
        raise ValueError(f"{journal.name} beside it would make SQLite delete another file")


def _with_tables(url: str, arguments: dict[str, Any]) -> RDBStorage:
    """Connect, and make the tables where there are none.

    Where another process makes them at the same moment the database raises an error: then it is tried again.
    """
    for left in reversed(range(_ATTEMPTS)):
        try:
            return RDBStorage(url, arguments)
        except SQLAlchemyError as error:
            clash = isinstance(error, (IntegrityError, ProgrammingError)) or "already exists" in str(error)
            if not (clash and left):
                raise
            time.sleep(_PAUSE)
    raise AssertionError


def note(storage: BaseStorage, trial_id: int, **attributes: object) -> None:
    """Write attributes of a trial: `owner`, `attempt`, `begun`, `seconds`, `lost`, `unbegun`, `frame`, `reason`."""
    for name, value in attributes.items():
        storage.set_trial_user_attr(trial_id, name, value)


def public(url: str) -> str:
    """The URL as a person types it, without its password."""
    if url.startswith(_FILES):
        return url
    return re.sub(r"^(.*?:/+[^:@/]*):.*@", r"\1:***@", url.replace("+psycopg:", ":", 1))


def _why(error: Exception, *, is_file: bool) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, ImportError):
        remedy = "pip install 'rllab[postgresql]'" if cause.name == "psycopg" else "install it"
        return f"whose driver is missing ({cause}); {remedy}"
    if isinstance(error, ArgumentError):
        return "which is no storage; write sqlite:///study.db, journal:///study.log or postgresql://user@host/name"
    text = str(getattr(cause, "orig", None) or cause).strip()
    reason = re.sub(r"^\[Errno \d+\] ", "", text.partition("\n")[0])[:200]
    remedy = "write another file" if is_file else "start it, or leave the field out to use SQLite"
    return f"which cannot be {'used' if is_file else 'reached'} ({reason}); {remedy}"
