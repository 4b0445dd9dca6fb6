"""Where a study is kept: SQLite in its directory by default, or a journal file or a database by URL."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from rllab.config import ConfigError

_PATIENCE = 60
"""Seconds that a process waits for others to let go of an SQLite file."""
_CONNECT = 5
"""Seconds after which a database server counts as unreachable."""

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


def resolve_url(url: str | None, directory: Path) -> str:
    """The URL as every process of the search can use it, from any working directory."""
    if url is None:
        return f"sqlite:///{(directory / 'study.db').resolve()}"
    scheme, _, rest = url.partition("://")
    if scheme in ("sqlite", "journal") and not rest.startswith("//"):
        return f"{scheme}:///{Path(rest.removeprefix('/')).resolve()}"
    if scheme in ("postgresql", "postgres"):
        return f"postgresql+psycopg://{rest}"
    return url


def open_storage(url: str, *, create: bool = False) -> BaseStorage:
    """Connect to a storage whose URL `resolve_url` gave.

    Args:
        url: ``sqlite:////path``, ``journal:////path``, ``postgresql+psycopg://...`` or another one of SQLAlchemy's.
        create: make the tables where there are none; several processes that do this at once get in each other's way.

    Raises:
        ConfigError: it cannot be reached.
    """
    scheme, _, rest = url.partition("://")
    path = Path(rest.removeprefix("/"))
    if create and scheme in ("sqlite", "journal"):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if scheme == "journal":
            return JournalStorage(JournalFileBackend(str(path)))
        arguments: dict[str, Any] = {}
        if scheme == "sqlite":
            arguments = {"connect_args": {"timeout": _PATIENCE}}
        elif scheme.startswith("postgresql"):
            arguments = {"connect_args": {"connect_timeout": _CONNECT}, "pool_pre_ping": True}
        return RDBStorage(url, arguments, skip_compatibility_check=not create, skip_table_creation=not create)
    except (SQLAlchemyError, ArgumentError, NoSuchModuleError, ImportError, OSError, RuntimeError, ValueError) as error:
        raise ConfigError(f"hydra.sweeper.storage: got {public(url)!r}, {_why(error)}") from None


def public(url: str) -> str:
    """The URL without its password."""
    try:
        return url if url.startswith("journal:") else make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url


def _why(error: Exception) -> str:
    if isinstance(error, ImportError):
        cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
        extra = "pip install 'rllab[postgresql]'" if "psycopg" in str(cause) else "install its driver"
        return f"whose driver is not installed; {extra}"
    if isinstance(error, (ArgumentError, NoSuchModuleError)):
        return "which is no storage; write sqlite:///study.db, journal:///study.log or postgresql://user@host/name"
    original = getattr(error, "orig", None) or error.__cause__ or error
    reason = " ".join(str(getattr(original, "orig", None) or original).split())
    return f"which cannot be reached ({reason[:200]}); start it, or leave the field out to use SQLite"
