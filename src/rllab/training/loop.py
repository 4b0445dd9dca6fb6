"""The training loop: the only one of the project. It knows no concrete algorithm."""

from collections.abc import Callable, Sequence
from time import perf_counter as now
from typing import NamedTuple

from rllab.algorithms import Acting
from rllab.buffers import Buffer
from rllab.envs import SessionEnvs
from rllab.functional.schedules import is_due
from rllab.tracking.tracker import Tracker


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

    def tick(self) -> None:
        """One vector step was taken."""
        self.step += 1
        self.frame_before, self.frame = self.frame, self._frame()

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


def train(
    envs: SessionEnvs,
    acting: Acting,
    buffer: Buffer,
    tracker: Tracker,
    events: Sequence[Event],
    clock: Clock,
) -> None:
    """Act, step, store, learn, until the budget is used up or the clock is stopped."""
    obs, algorithm = envs.obs, acting.algorithm
    shares = tracker.seconds
    while not (clock.finished or clock.stopped):
        start = now()
        action, extras = acting.step(obs, envs.starts)
        acted = now()
        next_obs, reward, terminated, truncated, finished = envs.step(action)
        stepped = now()
        buffer.add(obs, action, reward, terminated, truncated, next_obs, extras)
        tracker.ending = None if finished is None else finished.session
        if finished is not None:
            tracker.episodes(finished, clock.frame)
        obs = next_obs
        clock.tick()
        if clock.step % algorithm.rollout_steps == 0:
            tracker.metrics(algorithm.update(buffer, clock.frame))
        updated = now()
        shares["act"] += acted - start
        shares["env"] += stepped - acted
        shares["update"] += updated - stepped
        for event in events:
            if clock.due(event.period):
                event.fire()
        shares["log"] += now() - updated
