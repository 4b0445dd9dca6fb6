"""rllab: reinforcement-learning experiments in one line.

From Python: `rllab.train("env=cartpole", "meta=quick_dev")` trains what the same words train on the command line. What
``__all__`` lists is what a program may rely on; docs/python.md shows it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rllab.api.comparing import Comparison, compare
    from rllab.api.evaluating import Evaluation
    from rllab.api.policy import Policy
    from rllab.api.run import Run, find_runs, load_run
    from rllab.api.study import Study, load_study, run_search
    from rllab.api.training import compose, train
    from rllab.callbacks import Callback, EarlyStopping, Video
    from rllab.config.schema import RunConfig
    from rllab.errors import ConfigError

    __version__: str

_ROOMS = {
    "api.training": ("compose", "train"),
    "api.run": ("Run", "find_runs", "load_run"),
    "api.policy": ("Policy",),
    "api.evaluating": ("Evaluation",),
    "api.comparing": ("Comparison", "compare"),
    "api.study": ("Study", "load_study", "run_search"),
    "callbacks": ("Callback", "EarlyStopping", "Video"),
    "config.schema": ("RunConfig",),
    "errors": ("ConfigError",),
}
_HOMES = {name: f"rllab.{room}" for room, names in _ROOMS.items() for name in names}
__all__ = [
    "Callback",
    "Comparison",
    "ConfigError",
    "EarlyStopping",
    "Evaluation",
    "Policy",
    "Run",
    "RunConfig",
    "Study",
    "Video",
    "__version__",
    "compare",
    "compose",
    "find_runs",
    "load_run",
    "load_study",
    "run_search",
    "train",
]


if not TYPE_CHECKING:  # for which there would be no misspelt name any more

    def __getattr__(name: str) -> Any:
        """Import what is asked for: the command line imports this package too, and TAB must be quick."""
        if name in _HOMES:
            return getattr(importlib.import_module(_HOMES[name]), name)
        if name == "__version__":
            return importlib.import_module("importlib.metadata").version("rllab")
        raise AttributeError(f"module 'rllab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
