"""Composing a config from the words of the command line, and training it."""

from __future__ import annotations

import dataclasses
import itertools
import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllab.api import threads
from rllab.api.run import Run
from rllab.config import composing
from rllab.config.composing import Composed
from rllab.config.schema import RunConfig
from rllab.errors import ConfigError
from rllab.host.process import as_typed
from rllab.text import hydra_word
from rllab.training import trial

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rllab.callbacks import Callback, Training

_lock = threading.Lock()
_given: set[Path] = set()
"""Directories of this process's runs: two that begin within a second would have the same one."""


def compose(*words: str, config_dir: str | Path | None = None, **agent: Any) -> RunConfig:
    """The config of a run, composed and checked as on the command line.

    It depends on the words and the presets alone, and touches nothing of Hydra's: another Hydra app may be running.

    Args:
        words: ``"env=pendulum"``, ``"meta=quick_dev"``, ``"agent.lr=1e-3"``: see ``rllab-train --help``.
        config_dir: presets of your own, which come before rllab's, as ``--config-dir``.
        agent: fields of the agent: ``lr=1e-3`` is ``"agent.lr=1e-3"``.

    Returns:
        Frozen dataclasses, ``config.agent.lr``; ``dataclasses.replace`` makes others of them.

    Raises:
        ConfigError: bad input; one line that names the field, what it got and what to write instead.
    """
    return composing.compose([*words, *_as_words(agent)], config_dir).config


def train(
    *what: str | RunConfig,
    run_dir: str | Path | None = None,
    config_dir: str | Path | None = None,
    callbacks: Sequence[Callback | Callable[[Training], None]] = (),
    verbose: bool = True,
    trust: bool = False,
    **agent: Any,
) -> Run:
    """Train, and wait for the end.

    Ctrl-C, or the stop button of a notebook, saves the state and raises ``KeyboardInterrupt``; `Run.resume` goes on. In
    a thread other than the main one nothing is done about signals.

    Args:
        what: the words of `compose`, or one config that it has made. Given words, the run also writes down the presets
            of your own, and the command line that trains the same.
        run_dir: where the results go. By default the config's ``run_dir``, ``outputs/<date>/<time>_...`` below the
            working directory, with a number behind it where there is such a run already.
        config_dir: as in `compose`.
        callbacks: objects, or functions of one argument, that are told of the run and may stop it, after those that its
            config names: see `Callback`.
        verbose: show progress: a live table in a notebook and on a terminal, lines elsewhere.
        trust: of a run to resume (``"meta.resume=..."``) that somebody else wrote: import the packages that it names.
        agent: as in `compose`.

    Returns:
        The run, with its scores, curves and policies.

    Raises:
        ConfigError: bad input, before anything is made; or the line that ends a run which has failed: its env raised,
            it diverged, the disk is full.
        KeyboardInterrupt: it was stopped, and saved.
        SystemExit: SIGTERM, after it was saved.
    """
    words = [*(word for word in what if isinstance(word, str)), *_as_words(agent)]
    composed, command = _composed(what, words, config_dir)
    cfg = composed.config
    if cfg.meta.resume is None:
        asked = run_dir is not None or any(word.startswith("run_dir=") for word in words)
        path = Path(cfg.run_dir if run_dir is None else run_dir).absolute()
        cfg = dataclasses.replace(cfg, run_dir=str(path if asked else _fresh(path)))
    elif run_dir is not None:
        raise ConfigError(f"run_dir: got {str(run_dir)!r} for a run that goes on in its own directory; leave it out")
    run = Run(cfg.meta.resume or cfg.run_dir, trust=trust)
    with as_typed(command), threads.kept(cfg.meta.num_threads):
        try:
            trial.run(
                cfg,
                trusted=trust,
                max_frame=composed.max_frame,
                presets=composed.presets,
                callbacks=callbacks,
                quiet=not verbose,
            )
        except SystemExit as stop:
            if stop.code != 128 + signal.SIGINT:
                raise
            raise KeyboardInterrupt(f"saved; go on with rllab.load_run({str(run.path)!r}).resume()") from None
    return run


def _composed(
    what: Sequence[str | RunConfig], words: list[str], config_dir: str | Path | None
) -> tuple[Composed, list[str] | None]:
    """What is to be trained, and the command line that trains the same, if there is one."""
    configs = [each for each in what if not isinstance(each, str)]
    if not configs:
        folder = [] if config_dir is None else ["--config-dir", str(Path(config_dir).absolute())]
        return composing.compose(words, config_dir), ["rllab-train", *folder, *words]
    if words or config_dir is not None or len(configs) > 1 or not isinstance(configs[0], RunConfig):
        raise ConfigError(
            f"train: got {', '.join(type(each).__name__ for each in what)}; write words, or one RunConfig"
        )
    return Composed(configs[0], presets=[], max_frame=None), None


def _as_words(agent: dict[str, Any]) -> list[str]:
    """``{"lr": 0.1} -> ["agent.lr=0.1"]``."""
    return [
        hydra_word(f"agent.{name}", value)
        if isinstance(value, str)
        else f"agent.{name}={json.dumps(value, default=_plain)}"
        for name, value in agent.items()
    ]


def _plain(value: Any) -> Any:
    """A number of numpy's as one of Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise ConfigError(f"got {value!r}, which no config can hold; write a number, a text, a list or None")


def _fresh(path: Path) -> Path:
    """This path, or the first with a number behind it where nothing is."""
    with _lock:
        names = itertools.chain([path], (path.with_name(f"{path.name}_{number}") for number in itertools.count(2)))
        fresh = next(each for each in names if each not in _given and not each.exists())
        _given.add(fresh)
    return fresh
