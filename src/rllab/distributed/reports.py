"""What workers report at their checkpoints, until all have reached the same one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rllab.config import RunConfig
    from rllab.training.sessions import CheckpointKind, CheckpointReport


class Reports:
    """The reports of each worker that not all others have answered with theirs."""

    def __init__(self, cfg: RunConfig, num_workers: int) -> None:
        self.cfg = cfg
        self.waiting: list[list[CheckpointReport]] = [[] for _ in range(num_workers)]

    def take(self) -> list[CheckpointReport]:
        """One report of each worker, of the oldest checkpoint that all have reached; nothing if there is none.

        What a worker has reported of this kind up to there waits no more.
        """
        reached = [parts for kind in ("eval", "log") if (parts := self._next(kind))]
        oldest = min(reached, key=lambda parts: min(part.frame for part in parts), default=[])
        for waiting, part in zip(self.waiting, oldest, strict=False):
            waiting[:] = [other for other in waiting if other.kind != part.kind or other.frame > part.frame]
        return oldest

    def _next(self, kind: CheckpointKind) -> list[CheckpointReport]:
        """What each worker reports at the next checkpoint of this kind; nothing if not all have reached it.

        Workers that share a policy have one count of frames, so one of them may see it pass several periods at once
        and skip a checkpoint. What the others report of that one is left out then: they say more at the next.
        """
        by_period = [{self._period(each): each for each in waiting if each.kind == kind} for waiting in self.waiting]
        common = set.intersection(*map(set, by_period))
        return [reports[min(common)] for reports in by_period] if common else []

    def _period(self, report: CheckpointReport) -> float:
        """Number of the period that this checkpoint ends; infinity at the end of the budget."""
        if report.frame >= self.cfg.env.max_frame:
            return math.inf
        meta = self.cfg.meta
        return report.frame // (meta.log_frequency if report.kind == "log" else meta.eval_frequency)
