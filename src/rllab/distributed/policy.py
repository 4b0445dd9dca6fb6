"""The policy that Hogwild's workers share, as their parent holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rllab.distributed import hogwild, merge
from rllab.functional.finite import not_finite
from rllab.training import initial
from rllab.training.best import Best

if TYPE_CHECKING:
    from rllab.config import RunConfig
    from rllab.envs import EnvInfo
    from rllab.training.sessions import CheckpointReport


class SharedPolicy:
    """An algorithm in shared memory that only watches, and keeps the policy that scored best."""

    def __init__(self, cfg: RunConfig, info: EnvInfo) -> None:
        self.meta = cfg.meta
        self.algorithm = cfg.make_algorithm(info.obs_space, info.action_space, 1, cfg.meta.seed)
        self.block = hogwild.share(self.algorithm)
        self.best = Best(1)

    def load(self, state: dict[str, Any] | None, best: dict[str, Any] | None) -> None:
        """Go on from what was saved, or begin with what `meta.init_from` names."""
        if state is not None:
            self.algorithm.load_state_dict(state)
        elif origin := initial.read(self.meta):
            origin.give(self.algorithm, range(1))
        if best is not None:
            self.best.load_state_dict(best)

    def checkpoint(self, parts: list[CheckpointReport]) -> CheckpointReport:
        """What the workers say, as one; the policy is looked at as it is now."""
        found = merge.of_one_policy(parts, evaluated=self.meta.evaluates)
        scored = found.kind == self.meta.scored_at
        if scored and not_finite(self.algorithm.state_dict(), 1) is None:  # a worker that sees it diverge says so soon
            self.best.keep(found.scores, found.frame, self.algorithm)
        return found._replace(best_scores=self.best.scores)
