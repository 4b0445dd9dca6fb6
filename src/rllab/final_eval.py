"""The final evaluation: what `best` and `last` score without exploration, at the end of training."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from rllab import player
from rllab.analysis.statistics import Undefined
from rllab.analysis.summary import NOT_EVALUATED
from rllab.process import stopping_on_signals

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rllab.analysis.summary import Greedy
    from rllab.config import RunConfig
    from rllab.player import Which

_LINE_PERIOD = 10.0
"""Seconds between two lines that say how far it is."""


def evaluate_checkpoints(run: Path, cfg: RunConfig, rigorous: list[float] | None, say: Callable[[str], None]) -> Greedy:
    """Score `best` and `last` as `rllab eval` does; Ctrl-C skips what is left of it.

    Args:
        run: the run directory, with the checkpoints as they stay.
        cfg: its config.
        rigorous: what a rigorous evaluation has just found for `last`, if there was one: it is not done again where
            it had as many episodes.
        say: shows a line to a person who waits.
    """
    num_episodes = cfg.meta.final_eval
    if not num_episodes:
        return NOT_EVALUATED
    known = rigorous is not None and (cfg.meta.rigorous_eval or 0) >= num_episodes
    last = rigorous if rigorous and known else _score(run, "last", cfg, num_episodes, say)
    return {"best": _score(run, "best", cfg, num_episodes, say), "last": last}


def _score(
    run: Path, which: Which, cfg: RunConfig, num_episodes: int, say: Callable[[str], None]
) -> list[float] | Undefined:
    """Mean returns of all sessions, or why there are none."""
    if not player.checkpoint_of(run, which).exists():
        return Undefined("no episode had finished, so that nothing was best")
    loaded = player.load(run, which, device=cfg.meta.device)
    sessions = range(cfg.meta.num_policies)
    watch = _Watch(f"final evaluation of `{which}`", num_episodes * len(sessions), say)
    with closing(loaded.evaluator(sessions, num_episodes)) as evaluator, stopping_on_signals(evaluator.stop):
        returns = evaluator.run(loaded.act(sessions), 0, watch).returns  # [S, num_episodes]
    if evaluator.stopped:
        return Undefined("the final evaluation was interrupted")
    return [float(each) for each in returns.mean(1)]


class _Watch:
    """Says now and then how far it is, where episodes are long."""

    def __init__(self, what: str, total: int, say: Callable[[str], None]) -> None:
        self.what, self.total, self.say = what, total, say
        self.said = time.monotonic()

    def __call__(self, ended: int) -> None:
        if time.monotonic() - self.said > _LINE_PERIOD:
            self.said = time.monotonic()
            self.say(f"{self.what}: {ended} of {self.total} episodes; Ctrl-C skips it, meta.final_eval=0 avoids it")
