"""Callbacks: what a user's own code is told of a run, and what it may do there. docs/callbacks.md shows how."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rllab.errors import require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from rllab.config import RunConfig
    from rllab.play.player import Player
    from rllab.tracking.tracker import Episode


class Training:
    """A run while it trains, as callbacks see it."""

    config: RunConfig
    path: Path
    """The run directory."""
    frame: int
    """Frames of each session."""
    scores: list[float]
    """Of each session: the score as it is now, nan where there is none yet."""
    best_scores: list[float]
    """Of each session: its highest score, -inf where there is none yet."""
    rows: list[dict[str, float]]
    """What is about to be written at this checkpoint, by column: a row for each session."""
    stopped: str | None
    """Why a callback has stopped the run; None if none has."""

    def __init__(
        self,
        config: RunConfig,
        path: Path,
        *,
        set_values: Callable[[Mapping[str, float]], None],
        player: Callable[[], Player],
        show_video: Callable[[str, Path, int], None],
    ) -> None:
        """`set_values`, `player` and `show_video` are what the trial does where it is asked to."""
        self.config, self.path = config, path
        self.frame = 0
        self.scores = [math.nan] * config.meta.num_policies
        self.best_scores = [-math.inf] * config.meta.num_policies
        self.rows = []
        self.stopped = None
        self._set_values, self._player, self._show_video = set_values, player, show_video

    @property
    def score(self) -> float:
        """The mean over sessions; nan as long as one of them has none."""
        return sum(self.scores) / len(self.scores)

    def stop(self, why: str) -> None:
        """End the run at this checkpoint, as if its budget were used up; `why` is said and written down."""
        self.stopped = self.stopped or why

    def log(self, name: str, value: float | Sequence[float]) -> None:
        """Add a column to the rows of this checkpoint, `my/number`: in CSV files and all trackers.

        Args:
            name: of the column.
            value: of all sessions, or one of each.

        Raises:
            ValueError: not at a checkpoint, or not a value for each session.
        """
        values = [value] * len(self.rows) if isinstance(value, (int, float)) else [*value]
        if not self.rows or len(values) != len(self.rows):
            raise ValueError(f"log({name!r}): got {len(values)} values for {len(self.rows)} rows of a checkpoint")
        for row, each in zip(self.rows, values, strict=True):
            row[name] = float(each)

    def set(self, field: str, value: float) -> None:
        """Let a coefficient of the agent have this value from now on, whatever its schedule says: ``agent.lr``.

        Raises:
            ConfigError: the agent has no such coefficient, or is trained by Hogwild's workers.
        """
        self._set_values({field.removeprefix("agent."): float(value)})

    def player(self) -> Player:
        """The policies as they are now: `Player.act`, `Player.evaluate`."""
        return self._player()

    def show_video(self, name: str, path: Path) -> None:
        """Hand a film, an MP4 or GIF file that stays where it is, to the trackers."""
        self._show_video(name, path, self.frame)


class Callback:
    """Derive from it, and write the methods that are wanted; each is told of the run.

    What an instance knows goes on with a resumed run if `state_dict` gives it and `load_state_dict` takes it.
    """

    def check(self, config: RunConfig) -> None:
        """Raise a one-line ``ValueError`` if it cannot work in such a run. Comes before anything is made."""

    def on_start(self, training: Training) -> None:
        """Training begins, or goes on."""

    def on_episode(self, training: Training, session: int, episode: Episode) -> None:
        """An episode of training has ended; told just before `on_log` of the checkpoint that it belongs to.

        With Hogwild, the number of its worker takes the place of the session's.
        """

    def on_log(self, training: Training) -> None:
        """A log checkpoint (`meta.log_frequency`)."""

    def on_eval(self, training: Training) -> None:
        """An evaluation checkpoint (`meta.eval_frequency`)."""

    def on_end(self, training: Training) -> None:
        """Training has ended: its budget is used up, or a callback, a search or Ctrl-C has stopped it."""

    def state_dict(self) -> dict[str, Any]:
        """Plain data: what an exact resume needs."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take in what `state_dict` gave."""


class EarlyStopping(Callback):
    """Ends a run that has reached a score, or whose score does not rise any more.

    The score is the mean over sessions, looked at where there is a new one: at evaluation checkpoints with
    `meta.rigorous_eval`, at log checkpoints otherwise.
    """

    def __init__(self, score: float | None = None, patience: float | None = None, min_delta: float = 0.0) -> None:
        """Stop at `score`, or when it has not risen for `patience` frames by more than `min_delta`.

        Raises:
            ValueError: neither is given, or `patience` is not above 0.
        """
        require(score is not None or patience is not None, "EarlyStopping", score, write="score=475 or patience=1e5")
        require(patience is None or patience > 0, "EarlyStopping.patience", patience, write="frames, e.g. 1e5")
        require(min_delta >= 0, "EarlyStopping.min_delta", min_delta, write="a number of at least 0")
        self.score, self.patience, self.min_delta = score, patience, min_delta
        self.best, self.risen_at = -math.inf, 0

    def on_log(self, training: Training) -> None:
        if training.config.meta.scored_at == "log":
            self._look(training)

    def on_eval(self, training: Training) -> None:
        if training.config.meta.scored_at == "eval":
            self._look(training)

    def _look(self, training: Training) -> None:
        score = training.score
        if score > self.best + self.min_delta:
            self.best, self.risen_at = score, training.frame
        if self.score is not None and score >= self.score:
            training.stop(f"the score is {score:.4g}, EarlyStopping.score={self.score:g}")
        elif self.patience is not None and training.frame - self.risen_at >= self.patience:
            training.stop(f"no score above {self.best:.4g} since frame {self.risen_at:,}")

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "risen_at": self.risen_at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.risen_at = float(state["best"]), state["risen_at"]


class Video(Callback):
    """Films a greedy episode at every nth evaluation checkpoint: `videos/` in the run directory, and in trackers."""

    def __init__(self, every: int = 1, session: int = 0) -> None:
        """Film `session` at every `every`-th evaluation checkpoint.

        Raises:
            ValueError: `every` is not an integer of at least 1.
        """
        require(isinstance(every, int) and every >= 1, "Video.every", every, write="an integer of at least 1")
        self.every, self.session, self.num_seen = every, session, 0

    def check(self, config: RunConfig) -> None:
        from rllab.play import show  # noqa: PLC0415 - films are rare

        count = config.meta.num_policies
        require(0 <= self.session < count, "Video.session", self.session, write=f"a number from 0 to {count - 1}")
        show.check_film(config)

    def on_eval(self, training: Training) -> None:
        from rllab.play import show  # noqa: PLC0415 - as above

        self.num_seen += 1
        if self.num_seen % self.every == 0:
            path = training.path / "videos" / f"session_{self.session}_frame_{training.frame:09d}.mp4"
            for _episode in show.on_film(training.player(), self.session, path, num_episodes=1, seed=training.frame):
                pass
            training.show_video(f"video/session_{self.session}", path)

    def state_dict(self) -> dict[str, Any]:
        return {"num_seen": self.num_seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.num_seen = state["num_seen"]
