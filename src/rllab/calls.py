"""What a config calls by its dotted name, with arguments where it takes some: wrappers of envs, callbacks."""

from __future__ import annotations

import importlib
import inspect
from contextlib import suppress
from typing import Any

from rllab.errors import require

Call = tuple[str, dict[str, Any]]
"""A dotted name, and arguments by name."""


def check(field: str, called: list[Any], *, example: str) -> None:
    """Raise the one-line ``ValueError`` for what is neither a dotted name nor one with a mapping of arguments."""
    for each in called:
        write = f"its dotted name, or {{{example}: {{size: 4}}}} with arguments"
        require(_is_call(each), field, each, write=write)


def _is_call(called: Any) -> bool:
    if not isinstance(called, dict):
        return isinstance(called, str)
    are_calls = [isinstance(name, str) and isinstance(arguments, dict) for name, arguments in called.items()]
    return are_calls == [True] and all(isinstance(name, str) for arguments in called.values() for name in arguments)


def pairs(called: list[Any]) -> list[Call]:
    """Each with its arguments; `check` has let them through."""
    return [(each, {}) if isinstance(each, str) else next(iter(each.items())) for each in called]


def find(field: str, name: str, *, example: str) -> Any:
    """What a dotted name means; a colon may stand in the place of its last dot.

    Raises:
        ValueError: it cannot be imported; one line.
    """
    module, _, attribute = name.replace(":", ".").rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{field}: got {name!r}, which cannot be imported ({reason}); write e.g. {example}") from None


def unknown_argument(called: Any, arguments: dict[str, Any], *, first: int = 0) -> tuple[str, list[str]] | None:
    """An argument that it does not take, and those that it takes; None where there is none, or nobody can tell.

    The `first` so many are given by whoever calls it.
    """
    with suppress(TypeError, ValueError):  # written in C
        known = dict([*inspect.signature(called).parameters.items()][first:])
        takes_any = any(each.kind is each.VAR_KEYWORD for each in known.values())
        unknown = [name for name in arguments if name not in known]
        if unknown and not takes_any:
            return unknown[0], [*known]
    return None
