"""Trackers: one file each, and how one is found by name.

A tracker shows a run somewhere else than in its own tables; `contract` says what it is given. One of a user's own
package is named in full, ``name: my_pkg.my_module:MyTracker``.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from rllab.tracking.trackers.contract import RunTracker, Scalars, TrackedRun, means_first

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RunTracker", "Scalars", "TrackedRun", "check", "find", "means_first", "names"]

_OTHERS = ("contract", "deliver")
"""Modules here that are no tracker."""


def names() -> list[str]:
    """Trackers that ship with rllab: the modules of this package."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in _OTHERS)


def find(name: str, *, field: str) -> type[RunTracker]:
    """The tracker of this name, or of this ``package.module:Class``. `field` is where the name was written.

    Raises:
        ValueError: there is none; the text says which are near.
    """
    got = f"{field}: got {name!r}"
    if ":" not in name and name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"write one of {', '.join(names())}, or package.module:Class"
        raise ValueError(f"{got}, which is no tracker; {hint}")
    module_name, _, class_name = name.partition(":") if ":" in name else (f"{__name__}.{name}", "", "")
    try:
        module = importlib.import_module(module_name)
        found = getattr(module, class_name) if class_name else _only(module)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{got} ({error}); write package.module:Class of a tracker") from None
    if not dataclasses.is_dataclass(getattr(found, "Config", None)):
        raise ValueError(f"{got}, which has no dataclass Config; write it as docs/trackers.md does")
    return found  # type: ignore[no-any-return]


def _only(module: Any) -> Any:
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    return next(each for each in classes if each.__module__ == module.__name__ and issubclass(each, RunTracker))


def check(trackers: Mapping[str, Any]) -> None:
    """Raise a one-line ``ValueError`` if one of these cannot be had here, before anything starts.

    Args:
        trackers: the Config of each by its name.
    """
    for name, config in trackers.items():
        find(config.name, field=f"tracker.{name}.name").check(config)
