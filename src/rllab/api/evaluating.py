"""Scores of a run's policies in whole episodes, in their own env or in another one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rllab import envs
from rllab.analysis.evaluation import describe
from rllab.api.table import Table, table
from rllab.errors import ConfigError
from rllab.text import interval_text, one_line, printable, score_text
from rllab.tracking.notebook import html_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rllab.analysis.runs import Array
    from rllab.config.schema import EnvConfig
    from rllab.play.player import Player


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What policies have scored in E whole episodes of each of S sessions, on seeds that training never saw."""

    env: str
    """Id of the env."""
    sessions: list[int]
    """Numbers of the sessions."""
    returns: Array
    """Sums of raw rewards, ``[S, E]``."""
    lengths: Array
    """Steps of the same episodes, ``[S, E]``."""
    summary: dict[str, Any]
    """Statistics with 95 % intervals of each session and over sessions, as in ``eval.json``."""

    @property
    def score(self) -> float:
        """The mean return over all sessions."""
        return float(self.returns.mean())

    @property
    def scores(self) -> Array:
        """The mean return of each session, ``[S]``."""
        scores: Array = self.returns.mean(1)
        return scores

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % bootstrap interval of `score` over sessions; None with a single session."""
        mean = self.summary["over_sessions"]["mean"]
        return None if mean["low"] is None else (mean["low"], mean["high"])

    @property
    def table(self) -> Table:
        """A row for each episode: ``session``, ``episode``, ``return``, ``length``."""
        num_sessions, num_episodes = self.returns.shape
        return table(
            {
                "session": np.repeat(self.sessions, num_episodes),
                "episode": np.tile(np.arange(num_episodes), num_sessions),
                "return": self.returns.ravel(),
                "length": self.lengths.ravel(),
            }
        )

    def __repr__(self) -> str:
        sizes = f"{self.returns.shape[1]} episodes of each of {len(self.sessions)} sessions"
        interval = interval_text(self.summary["over_sessions"]["mean"])
        return printable(f"Evaluation({self.env}: {score_text(self.score)}{interval and f' ({interval})'}, {sizes})")

    def _repr_html_(self) -> str:
        rows = [
            [str(each["session"]), *(score_text(each[name]) for name in ("min", "max", "mean_length"))]
            for each in self.summary["sessions"]
        ]
        means = [each["mean"] for each in self.summary["sessions"]]
        cells = [
            [number, score_text(mean["value"]), interval_text(mean), *others]
            for (number, *others), mean in zip(rows, means, strict=True)
        ]
        over = self.summary["over_sessions"]["mean"]
        cells += [["all", score_text(over["value"]), interval_text(over), "", "", ""]] if len(rows) > 1 else []
        return html_table(["session", "mean return", "95 % interval", "lowest", "highest", "length"], cells)


def evaluate(player: Player, sessions: Sequence[int], env: EnvConfig | None, *, episodes: int, seed: int) -> Evaluation:
    """Play whole episodes.

    Args:
        player: has the policies.
        sessions: which ones play.
        env: another one than the run's.
        episodes: of each session.
        seed: another number, other episodes.

    Raises:
        ConfigError: the env's spaces are not those of the policies, it failed, or a policy has diverged; one line.
    """
    if episodes < 1:
        raise ConfigError(f"episodes: got {episodes}; write an integer of at least 1")
    if env is not None:
        player = _moved(player, env)
    try:
        found = player.evaluate(sessions, num_episodes=episodes, seed=seed)
    except (envs.EnvError, envs.DivergedError) as error:
        raise ConfigError(f"env.id: {player.config.evaluation_env().id} cannot be played: {one_line(error)}") from error
    frames = [player.frames[session] for session in sessions]
    played = player.config.evaluation_env().id
    summary = describe(*found, sessions=sessions, frames=frames)
    return Evaluation(played, list(sessions), found.returns, found.lengths, summary)


def _moved(player: Player, env: EnvConfig) -> Player:
    """The same policies in another env, in as many sub-envs."""
    env = dataclasses.replace(env, num_envs=player.config.env.num_envs)
    try:
        info = envs.inspect(env)
    except ValueError as error:
        raise ConfigError(one_line(error)) from None
    seen, wanted = info.obs_space, player.info.obs_space
    if (type(seen), seen.shape, seen.dtype) != (type(wanted), wanted.shape, wanted.dtype):
        raise ConfigError(f"env.id: got {env.id}, whose observations are {seen}; the policy has seen {wanted}")
    if info.action_space != player.info.action_space:
        acts = player.info.actions.env_space
        raise ConfigError(f"env.id: got {env.id}, whose actions are {info.actions.env_space}; the policy's are {acts}")
    config = dataclasses.replace(player.config, env=env, eval_env={})
    return dataclasses.replace(player, config=config, info=info)
