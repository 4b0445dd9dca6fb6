"""A run as an object: what it scored, how it got there, and the policies that it has trained."""

from __future__ import annotations

import base64
import math
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rllab.analysis import shelf
from rllab.analysis.runs import read_run
from rllab.analysis.summary import trial_summary
from rllab.api.table import Table, table
from rllab.errors import ConfigError
from rllab.files import value_at
from rllab.links import read_json_inside
from rllab.text import printable, score_text
from rllab.tracking.notebook import html_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rllab import analysis
    from rllab.analysis.plots import Picture
    from rllab.analysis.runs import Array
    from rllab.api.evaluating import Evaluation
    from rllab.api.policy import Policy
    from rllab.callbacks import Callback, Training
    from rllab.config.schema import RunConfig
    from rllab.play.player import Player, Which


class Run:
    """A run directory, of a run that has ended or is still going on. Everything is read when it is asked for.

    `train` returns one, `load_run` and `find_runs` find those that there are. A notebook shows it as a table of its
    sessions with their learning curves.

    Attributes:
        path: its directory, absolute.
    """

    def __init__(self, path: str | Path, *, trust: bool = False) -> None:
        """Of this directory; `trust` as in `load_run`."""
        self.path = Path(path).absolute()
        self._trust = trust

    @property
    def config(self) -> RunConfig:
        """The config that it was trained with, every field of it.

        Raises:
            ConfigError: it cannot be read, or names a package and is somebody else's.
        """
        from rllab.play import player  # noqa: PLC0415 - curves and scores need no torch

        return player.read_config(self.path, trusted=self._trust)

    @property
    def state(self) -> Literal["running", "finished", "stopped", "failed", "unknown"]:
        """What has become of it."""
        return shelf.look(self.path).state

    @property
    def summary(self) -> dict[str, Any]:
        """The content of ``trial.json``: statistics of each session and over sessions, with reasons for what is None.

        Raises:
            ConfigError: the directory cannot be read.
        """
        found = read_json_inside(self.path, "trial.json")
        return found if "sessions" in found else trial_summary(self._read())

    @property
    def score(self) -> float:
        """The mean over sessions of `scores`: what a search maximises. nan before an episode has finished."""
        return _number(value_at(self.summary, "final_eval", "mean", "value"))

    @property
    def scores(self) -> Array:
        """The latest score of each session, ``[S]``: its evaluation, or its last 100 training episodes.

        nan where no episode has finished.
        """
        return np.array([_number(session["final_eval"]) for session in self.summary["sessions"]])

    def curves(self, which: Literal["train", "eval"] = "train") -> Table:
        """What the sessions were like at each checkpoint.

        Args:
            which: log checkpoints (``train.csv``), with mean returns and losses, or evaluation checkpoints
                (``eval.csv``), with scores. docs/run_directory.md explains the columns.

        Returns:
            A row for each checkpoint of each session, beginning with the columns ``session`` and ``frame``: a pandas
            DataFrame, or a structured numpy array where pandas is not installed. What does not exist is nan.

        Raises:
            ConfigError: the directory cannot be read.
        """
        if which not in ("train", "eval"):
            raise ConfigError(f"which: got {which!r}; write train or eval")
        sessions = self._read().sessions
        parts = [session.train if which == "train" else session.eval for session in sessions]
        lengths = [len(part["frame"]) for part in parts]
        columns = {"session": np.repeat([session.index for session in sessions], lengths)}
        for name in dict.fromkeys(["frame", *(name for part in parts for name in part)]):
            cells = [part.get(name, np.full(length, math.nan)) for part, length in zip(parts, lengths, strict=True)]
            columns[name] = np.concatenate(cells)
        return table(columns | {"frame": columns["frame"].astype(np.int64)})

    def plot(self) -> Picture:
        """The learning curve of each session, their mean and its 95 % interval.

        Returns:
            A matplotlib Figure, which a notebook shows; ``savefig("curve.png")`` writes it.

        Raises:
            ConfigError: the directory cannot be read.
        """
        from rllab.analysis import plots  # noqa: PLC0415 - matplotlib takes its time

        return plots.curve_of(self._read())

    def policy(self, session: int | None = None, *, which: Which = "best", explore: bool = False) -> Policy:
        """A trained policy; given an observation of the env, it gives an action.

        Args:
            session: which one; by default the one that scored best while it trained.
            which: ``best``, the policy at its best score, or ``last``.
            explore: act as in training; otherwise greedily.

        Returns:
            A callable from an observation of the Gymnasium env to an action of it.

        Raises:
            ConfigError: no such session or checkpoint, or the run is somebody else's and names a package.
        """
        from rllab.api.policy import Policy  # noqa: PLC0415 - torch

        player = self._player(which, explore=explore)
        return Policy(player, player.best_session if session is None else self._sessions(player, session)[0])

    def evaluate(
        self,
        *env: str,
        episodes: int = 100,
        session: int | None = None,
        which: Which = "best",
        explore: bool = False,
        seed: int = 0,
        config_dir: str | Path | None = None,
    ) -> Evaluation:
        """Score the policies in whole episodes on seeds that training never saw. Nothing is written.

        Args:
            env: words for another env, whose spaces are the same: ``"env=my_pendulum"``, ``"+env.kwargs.g=1.62"``;
                fields alone change the env of the run's own evaluations. By default it is that one.
            episodes: of each session.
            session: only this one; by default all of them.
            which: ``best`` or ``last``.
            explore: act as in training; otherwise greedily.
            seed: another number, other episodes.
            config_dir: where presets of your own are, for `env`.

        Returns:
            Returns and lengths of the episodes, scores and their intervals.

        Raises:
            ConfigError: no such session or checkpoint, an env with other spaces, or one that fails.
        """
        from rllab.api import evaluating, threads  # noqa: PLC0415 - torch
        from rllab.config.composing import changed_env  # noqa: PLC0415 - Hydra

        player = self._player(which, explore=explore)
        other = changed_env(player.config.evaluation_env(), env, config_dir) if env else None
        with threads.kept(player.config.meta.num_threads):
            return evaluating.evaluate(player, self._sessions(player, session), other, episodes=episodes, seed=seed)

    def resume(
        self,
        *,
        max_frame: float | None = None,
        callbacks: Sequence[Callback | Callable[[Training], None]] = (),
        verbose: bool = True,
    ) -> Run:
        """Go on with a run that was stopped, to the same numbers as if it had not been; see `train`.

        Args:
            max_frame: a longer budget, of each session.
            callbacks: those that the run was trained with, in the same order, so that each goes on with what it knew.
            verbose: show progress.

        Returns:
            The run itself.

        Raises:
            ConfigError: nothing can go on from there, or one of the errors of `train`.
            KeyboardInterrupt: it was stopped again, and saved.
        """
        from rllab.api.training import train  # noqa: PLC0415 - it needs this class
        from rllab.text import hydra_word  # noqa: PLC0415

        longer = [] if max_frame is None else [f"env.max_frame={max_frame}"]
        words = [hydra_word("meta.resume", str(self.path)), *longer]
        return train(*words, callbacks=callbacks, verbose=verbose, trust=self._trust)

    def _player(self, which: Which, *, explore: bool) -> Player:
        from rllab.play import player  # noqa: PLC0415 - torch

        if which not in ("best", "last"):
            raise ConfigError(f"which: got {which!r}; write best or last")
        return player.load(self.path, which, explore=explore, trusted=self._trust)

    def _sessions(self, player: Player, session: int | None) -> Sequence[int]:
        every = range(player.config.meta.num_policies)
        if session is not None and session not in every:
            raise ConfigError(f"session: got {session}, but {self.path} has sessions 0 to {every[-1]}")
        return every if session is None else [session]

    def _read(self) -> analysis.runs.Run:
        try:
            return read_run(self.path)
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def __repr__(self) -> str:
        entry = shelf.look(self.path)
        score = score_text(entry.score)
        return printable(f"Run({entry.agent} on {entry.env}: {score}, {entry.state}, {str(self.path)!r})")

    def _repr_html_(self) -> str:
        title = f"<code>{escape(repr(self))}</code>"
        try:
            sessions, picture = self.summary["sessions"], base64.b64encode(self.plot()._repr_png_()).decode()
        except ConfigError:  # it has only just begun
            return title
        names = ("final_return", "final_eval", "greedy_best")
        rows = [
            [
                each["session"],
                *(score_text(each[name]) for name in names),
                "-" if each["solved_frame"] is None else f"{each['solved_frame']:,}",
            ]
            for each in sessions
        ]
        table = html_table(["session", "mean return", "score", "greedy best", "solved at frame"], rows)
        return f'{title}{table}<img src="data:image/png;base64,{picture}" width="640" alt="learning curve">'


def load_run(path: str | Path, *, trust: bool = False) -> Run:
    """A run that there is already, wherever it was trained.

    Args:
        path: its directory.
        trust: import the packages that its config names, although another user or another machine wrote it. Only the
            policies, `Run.config` and a resume need them; scores and curves do not.

    Returns:
        The run.

    Raises:
        ConfigError: no run is there.
    """
    if shelf.is_study(Path(path)):
        raise ConfigError(f"{path}: a study, which has several runs; write rllab.load_study({str(path)!r})")
    if not shelf.is_run(Path(path)):
        raise ConfigError(f"{path}: no run directory; rllab.find_runs() has those below this folder")
    return Run(path, trust=trust)


def find_runs(folder: str | Path = "outputs") -> list[Run]:
    """All runs at or below a folder, newest first; the trials of a study are in `Study.runs`.

    Returns:
        The runs; none where there is no such folder.
    """
    return [Run(entry.path) for entry in shelf.find(Path(folder)) if entry.kind == "run"]


def _number(found: Any) -> float:
    """A number of trial.json, in which what does not exist is null."""
    return float(found) if isinstance(found, int | float) else math.nan
