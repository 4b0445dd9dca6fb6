"""The final evaluation: what `best` and `last` score without exploration, at the end of training."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from rllab.analysis.statistics import Undefined
from rllab.analysis.summary import NOT_EVALUATED
from rllab.envs import DivergedError, EnvError
from rllab.host.process import stopping_on_signals
from rllab.play import player
from rllab.training.evaluation import Progress, cut_note

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rllab.analysis.summary import Greedy
    from rllab.config import RunConfig
    from rllab.play.player import Which
    from rllab.training.evaluation import Evaluator


class FinalEvaluation:
    """Scores `best` and `last` of a run as `rllab eval` does; Ctrl-C or SIGTERM skips what is left of it."""

    def __init__(self, run: Path, cfg: RunConfig, say: Callable[[str], None]) -> None:
        """`run` has the checkpoints as they stay; `say` shows a line to a person who waits."""
        self.run, self.cfg, self.say = run, cfg, say
        self.notes: dict[str, str] = {}
        """What a person should know of the scores, by their name in trial.json."""
        self.infos: dict[str, list[float]] = {}
        """What the env has told of the episodes, by ``greedy_best/success_rate`` and the like: of each session."""
        self.failure: EnvError | None = None
        """Why an env could not be played."""
        self.stopped = False
        self.evaluator: Evaluator | None = None

    def scores(self, rigorous: list[float] | None) -> Greedy:
        """Play.

        Args:
            rigorous: scores that the last evaluation of training has found, if there was one; where it had as many
                episodes, `last` is not played again.
        """
        num_episodes = self.cfg.meta.final_eval
        if not num_episodes:
            return NOT_EVALUATED
        known = rigorous is not None and self.cfg.meta.eval_episodes >= num_episodes
        with stopping_on_signals(self._stop):
            last = rigorous if rigorous and known else self._score("last", num_episodes)
            return {"best": self._score("best", num_episodes), "last": last}

    def _stop(self) -> None:
        self.stopped = True
        if self.evaluator:
            self.evaluator.stop()

    def _score(self, which: Which, num_episodes: int) -> list[float] | Undefined:
        """Mean returns of all sessions, or why there are none."""
        if not player.checkpoint_of(self.run, which).exists():
            return Undefined("no episode had finished, so that nothing was best")
        loaded = player.load(self.run, which, device=self.cfg.meta.device, trusted=True)
        sessions = range(self.cfg.meta.num_policies)
        what, hint = f"final evaluation of `{which}`", "Ctrl-C skips it, meta.final_eval=0 avoids it"
        watch = Progress(what, num_episodes * len(sessions), self.say, hint)
        with closing(loaded.evaluator(sessions, num_episodes)) as self.evaluator:
            try:
                if not self.stopped:
                    found = self.evaluator.run(loaded.act(sessions), 0, watch)
            except EnvError as error:
                self.failure = error
                return Undefined(f"the env failed in the final evaluation: {error}")
            except DivergedError as error:
                return Undefined(f"the policy had diverged: {error}")
        if self.stopped:
            return Undefined("the final evaluation was interrupted")
        if found.cut.any():
            self.notes[f"greedy_{which}.cut"] = cut_note(found.cut)
            self.say(f"final evaluation of `{which}`: {cut_note(found.cut)}")
        self.infos |= {f"greedy_{which}/{tag}": means for tag, means in found.info_means().items()}
        return [float(each) for each in found.returns.mean(1)]
