"""The training loop: the only one of the project. It knows no concrete algorithm."""

from collections.abc import Callable, Iterable, Sequence
from time import perf_counter as now
from typing import NamedTuple

from rllab.algorithms import Algorithm
from rllab.functional.schedules import is_due
from rllab.tracking.tracker import Tracker
from rllab.training.walk import Walk


class Clock:
    """Frames of one session: vector steps times its sub-envs. The only clock; every x axis is `frame`.

    Rows that only reset a sub-env count too, so that all sessions and sub-envs have one clock; how many steps were
    real is `rollout/env_steps`.
    """

    def __init__(self, num_envs: int, max_frame: int) -> None:
        self.num_envs = num_envs
        self.max_frame = max_frame
        self.step = 0
        self.frame = 0
        self.frame_before = 0  # the latest step
        self.stopped = False

    def tick(self, num_steps: int = 1) -> None:
        """Vector steps were taken."""
        self.step += num_steps
        self.frame_before, self.frame = self.frame + (num_steps - 1) * self.num_envs, self._frame()

    def steps_to_next(self, periods: Iterable[int]) -> int:
        """Vector steps until one of these periods of frames, or the budget, is completed."""
        ends = [self.max_frame, *(period * (self.frame // period + 1) for period in periods)]
        return -((self.frame - min(ends)) // self.num_envs)

    def _frame(self) -> int:
        return self.taken

    @property
    def taken(self) -> int:
        """Frames of a session that were taken here."""
        return self.step * self.num_envs

    def restore(self, step: int, frame: int) -> None:
        """Go on at these vector steps and frames."""
        self.step = step
        self.frame = self.frame_before = frame

    @property
    def finished(self) -> bool:
        """Whether the budget is used up."""
        return self.frame >= self.max_frame

    def due(self, period: int) -> bool:
        """Whether the latest step completed a period, or the budget; nothing is due at frame 0."""
        return self.frame > 0 and (is_due(period, self.frame_before, self.frame) or self.finished)

    def stop(self) -> None:
        """Leave the loop after the current step."""
        self.stopped = True


class Event(NamedTuple):
    """Something that happens every `period` frames, and at the end."""

    period: int
    fire: Callable[[], None]


def train(walk: Walk, algorithm: Algorithm, tracker: Tracker, events: Sequence[Event], clock: Clock) -> None:
    """Act, step, store, learn, until the budget is used up or the clock is stopped."""
    shares, periods = tracker.seconds, [event.period for event in events]
    while not (clock.finished or clock.stopped):
        until_update = algorithm.rollout_steps - clock.step % algorithm.rollout_steps
        walked = walk(min(until_update, clock.steps_to_next(periods)))
        start = now()
        tracker.episodes(walked.ended, clock.frame, clock.num_envs, walked.num_steps, walked.infos)
        clock.tick(walked.num_steps)
        if clock.step % algorithm.rollout_steps == 0:
            tracker.metrics(algorithm.update(walk.buffer, clock.frame))
        updated = now()
        shares["act"] += walked.act_seconds
        shares["env"] += walked.env_seconds
        shares["update"] += updated - start + walked.store_seconds
        for event in events:
            if clock.due(event.period):
                event.fire()
        shares["log"] += now() - updated
