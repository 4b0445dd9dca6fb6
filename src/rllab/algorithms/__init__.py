"""Algorithms: one file each, and how one is found by name.

A new algorithm is one file here (its Config, its class, its loss) and one YAML in ``conf/agent/``; `contract` says what
it must have. An algorithm of a user's own package is named in full, ``name: my_pkg.my_module:MyAlgorithm``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import importlib
import pkgutil
from typing import Any

from rllab.algorithms.contract import Acted, Acting, Algorithm, Metrics, Task
from rllab.errors import UnfitError

__all__ = ["Acted", "Acting", "Algorithm", "Metrics", "Task", "check", "find", "fitting", "load_all", "names"]


def names() -> list[str]:
    """Algorithms that ship with rllab: the modules of this package."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.ispkg and m.name != "contract")


def find(name: str) -> type[Algorithm]:
    """The algorithm of this name, or of this ``package.module:Class``.

    Raises:
        ValueError: there is none; the text says which are near.
    """
    if ":" in name:
        module_name, _, class_name = name.partition(":")
        try:
            algorithm = getattr(importlib.import_module(module_name), class_name)
        except (ImportError, AttributeError) as error:
            raise ValueError(
                f"agent.name: got {name!r} ({error}); write package.module:Class of an algorithm"
            ) from None
        return algorithm  # type: ignore[no-any-return]
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"write one of {', '.join(names())}"
        raise ValueError(f"agent.name: got {name!r}, which is no algorithm; {hint}")
    module = importlib.import_module(f"{__name__}.{name}")
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__ and hasattr(value, "Config")
    )


def check(config: Any, task: Task, *, shown: str) -> None:
    """Raise a one-line ``ValueError`` if this config of an agent cannot learn here.

    `shown` is the env's own action space, in words.
    """
    try:
        _check(find(config.name), config, task, shown)
    except UnfitError as error:
        able = [f"agent={name}" for name in fitting(task)]
        write = f"write one that fits: {', '.join(able)}" if able else "no agent fits"
        raise ValueError(f"agent: got {config.name!r}, which {error}; {write}") from None


def fitting(task: Task) -> list[str]:
    """Agents that can learn here, `random` among them, without any settings and given frames enough."""
    able, task = [], dataclasses.replace(task, max_frame=2**62)
    for name, algorithm in load_all().items():
        with contextlib.suppress(ValueError):
            _check(algorithm, algorithm.Config(), task, "")
            able.append(name)
    return able


def _check(algorithm: type[Algorithm], config: Any, task: Task, shown: str) -> None:
    kinds = getattr(algorithm, "action_spaces", None)
    if kinds is not None and not isinstance(task.action_space, kinds):
        raise UnfitError(f"cannot act in {shown}")
    algorithm.check(config, task)


def load_all() -> dict[str, type[Algorithm]]:
    """All algorithms that ship with rllab, by name."""
    return {name: find(name) for name in names()}
