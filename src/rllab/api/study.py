"""Searches: starting one, and reading what it has found."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllab.analysis import shelf
from rllab.api.run import Run
from rllab.api.table import Table, table
from rllab.errors import ConfigError
from rllab.text import hydra_word, printable, score_text, setting_text
from rllab.tracking.notebook import html_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rllab.config.schema import RunConfig
    from rllab.search.trials import TrialRow

_SHOWN = 10
"""Trials that a notebook shows."""


class Study:
    """The directory of a search or a grid, which has ended or is still going on. All is read when it is asked for.

    `run_search` returns one, `load_study` finds one that there is. A notebook shows it as a table of its best trials.

    Attributes:
        path: its directory, absolute.
    """

    def __init__(self, path: str | Path) -> None:
        """Of this directory."""
        self.path = Path(path).absolute()

    @property
    def trials(self) -> Table:
        """A row for each trial: ``trial``, ``state``, ``score``, ``frames``, ``seconds``, what was searched, and why.

        The last column is ``reason``: why a trial ended early. What a trial does not have is nan, or an empty text.

        Raises:
            ConfigError: the study cannot be read, or its storage is elsewhere.
        """
        rows = self._rows()
        fields = dict.fromkeys(field for row in rows for field in row.params)
        return table(
            {
                "trial": [row.index for row in rows],
                "state": [row.state for row in rows],
                "score": [row.value for row in rows],
                "frames": [row.frame for row in rows],
                "seconds": [row.seconds for row in rows],
                **{field: [row.params.get(field, math.nan) for row in rows] for field in fields},
                "reason": [row.reason for row in rows],
            }
        )

    @property
    def importances(self) -> dict[str, float]:
        """How much each searched field matters, by its name; empty where there are too few trials to say so."""
        return self._read()[1]

    @property
    def best(self) -> Run:
        """The run of the complete trial with the highest score.

        Raises:
            ConfigError: no trial is complete yet, or the study cannot be read.
        """
        return Run(self.path / str(self._best().index))

    @property
    def best_params(self) -> dict[str, Any]:
        """What was searched, as the best trial has it: ``{"agent.lr": 0.001}``.

        Raises:
            ConfigError: no trial is complete yet, or the study cannot be read.
        """
        return dict(self._best().params)

    @property
    def runs(self) -> list[Run]:
        """The runs of all trials that have begun to train, in the order of their numbers."""
        return [Run(path) for path in shelf.trial_directories(self.path)]

    def best_config(self, *words: str, trust: bool = False) -> RunConfig:
        """The config of the best trial, to be trained on seeds that the search has not seen, as ``-cn best`` does.

        Args:
            words: how it is to be run: ``"meta=standard"``, ``"env.max_frame=1e6"``.
            trust: import and read what ``best.yaml`` names, although another user or another machine wrote it.

        Returns:
            A config for `rllab.train`.

        Raises:
            ConfigError: there is no ``best.yaml`` yet, it is somebody else's, or bad input.
        """
        from rllab.command import best  # noqa: PLC0415 - reading tables needs no Hydra
        from rllab.config.composing import compose  # noqa: PLC0415
        from rllab.search.report import BEST  # noqa: PLC0415

        if not (self.path / BEST).is_file():
            raise ConfigError(f"{self.path / BEST}: not there: no trial is complete, or the search has not ended")
        best.check(Path(BEST), str(self.path), None, [*words], trusted=trust)
        return compose(words, self.path, name="best").config

    def _best(self) -> TrialRow:
        from rllab.search.trials import best_row  # noqa: PLC0415 - Optuna takes a second

        if (row := best_row(self._rows())) is None:
            raise ConfigError(f"{self.path}: no trial is complete yet; Study.trials has those that there are")
        return row

    def _rows(self) -> list[TrialRow]:
        return self._read()[0]

    def _read(self) -> tuple[list[TrialRow], dict[str, float]]:
        from rllab.search.reading import read_study  # noqa: PLC0415 - as above

        try:
            return read_study(self.path)
        except ValueError as error:
            raise ConfigError(f"{self.path}: {error}") from None

    def __repr__(self) -> str:
        entry = shelf.look(self.path)
        best = score_text(entry.score)
        return printable(
            f"Study({entry.trials} trials of {entry.agent} on {entry.env}: best {best}, {str(self.path)!r})"
        )

    def _repr_html_(self) -> str:
        from rllab.search.trials import ranked, short_name  # noqa: PLC0415 - as above

        rows = ranked(self._rows())
        fields = list(dict.fromkeys(field for row in rows for field in row.params))
        cells = [
            [
                *(str(row.index), row.state, score_text(row.value), f"{row.frame:,}"),
                *(setting_text(row.params.get(field, "")) for field in fields),
            ]
            for row in rows[:_SHOWN]
        ]
        return html_table(["trial", "state", "score", "frames", *map(short_name, fields)], cells)


def load_study(path: str | Path) -> Study:
    """A search or a grid that there is already.

    Args:
        path: its directory.

    Returns:
        The study.

    Raises:
        ConfigError: none is there.
    """
    if not shelf.is_study(Path(path)):
        raise ConfigError(f"{path}: no study; write the directory of a search, e.g. multirun/ppo_cartpole_3fa9c1")
    return Study(path)


def run_search(
    *words: str,
    directory: str | Path | None = None,
    config_dir: str | Path | None = None,
    verbose: bool = True,
) -> Study:
    """Search, and wait for the end; called again with the same words, it goes on where it was stopped.

    It is the command line ``rllab-train -m``, in a process of its own, and each trial has one too: envs and agents that
    are searched must lie in packages. Ctrl-C, or the stop button of a notebook, stops it in a tidy way; so does the end
    of this process.

    Args:
        words: as for `compose`, and what is searched: ``"search=ppo"``, ``"agent.lr=1e-3,3e-4"``,
            ``"agent.lr=tag(log,interval(1e-5,1e-2))"``.
        directory: of the study; by default ``multirun/<name of the search>`` below the working directory.
        config_dir: presets of your own.
        verbose: show progress, line by line.

    Returns:
        The study.

    Raises:
        ConfigError: bad input, too many trials that failed, or a storage that does not answer; one line.
        KeyboardInterrupt: it was stopped, and what was trained is saved.
    """
    if options := [word for word in words if word.startswith("-")]:
        raise ConfigError(f"{options[0]}: no option of the command line can stand here; write words as field=value")
    options += [] if config_dir is None else ["--config-dir", str(Path(config_dir).absolute())]
    place = [] if directory is None else [hydra_word("hydra.sweep.dir", str(Path(directory).absolute()))]
    here = Path.cwd()
    with tempfile.TemporaryFile("w+") as errors:
        code, path = _wait(_start(["-m", *options, *words, *place], errors), verbose=verbose)
        errors.seek(0)
        said = errors.read().splitlines()
    if code == 128 + signal.SIGINT:
        raise KeyboardInterrupt("the search was stopped, and saved; the same call goes on")
    if code or path is None:
        last = next((line for line in reversed(said) if line.startswith("error: ")), f"exit code {code}: {said[-1:]}")
        raise ConfigError(last.removeprefix("error: "))
    return Study(here / path)


def _start(words: Sequence[str], errors: Any) -> subprocess.Popen[str]:
    """Start the command line, with the packages that this process finds, and apart from Ctrl-C of this terminal."""
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "rllab.api.search_process", *words],
        stdin=subprocess.PIPE,  # as long as this end is open, we are there
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        # a notebook's kernel has FORCE_COLOR=1, for which rich would draw a table
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "FORCE_COLOR": ""},
        start_new_session=True,
    )


def _wait(search: subprocess.Popen[str], *, verbose: bool) -> tuple[int, str | None]:
    """Show what it says; returns its exit code and the directory that it writes."""
    path = None
    assert search.stdout is not None
    while True:
        try:
            for line in search.stdout:
                if begun := re.match(r"search .* -> (.+)", line):
                    path = begun[1]
                if verbose:
                    print(line, end="", flush=True)  # noqa: T201 - a person waits
            return search.wait(), path
        except KeyboardInterrupt:
            search.send_signal(signal.SIGINT)  # a second one ends it at once
        except BaseException:
            search.kill()
            raise
