"""The training loop: the only one of the project. It knows no concrete algorithm."""

from collections.abc import Callable, Sequence
from time import perf_counter as now
from typing import NamedTuple

from rllab.algorithms import Algorithm
from rllab.buffers import Buffer
from rllab.envs import SessionEnvs
from rllab.tracking.tracker import Tracker


class Clock:
    """Frames of one session: vector steps times its sub-envs. The only clock; every x axis is `frame`."""

    def __init__(self, num_envs: int, max_frame: int) -> None:
        self.num_envs = num_envs
        self.max_frame = max_frame
        self.step = 0
        self.stopped = False

    @property
    def frame(self) -> int:
        return self.step * self.num_envs

    @property
    def finished(self) -> bool:
        """Whether the budget is used up."""
        return self.frame >= self.max_frame

    def due(self, period: int) -> bool:
        """Whether the latest step completed a period, or the budget; nothing is due at frame 0."""
        frame = self.frame
        return frame > 0 and (frame // period > (frame - self.num_envs) // period or self.finished)

    def stop(self) -> None:
        """Leave the loop after the current step."""
        self.stopped = True


class Event(NamedTuple):
    """Something that happens every `period` frames, and at the end."""

    period: int
    fire: Callable[[], None]


def train(
    envs: SessionEnvs,
    algorithm: Algorithm,
    buffer: Buffer,
    tracker: Tracker,
    events: Sequence[Event],
    clock: Clock,
) -> None:
    """Act, step, store, learn, until the budget is used up or the clock is stopped."""
    obs = envs.obs
    shares = tracker.seconds
    while not (clock.finished or clock.stopped):
        start = now()
        action, extras = algorithm.act(obs, explore=True)
        acted = now()
        next_obs, reward, terminated, truncated, finished = envs.step(action)
        stepped = now()
        buffer.add(obs, action, reward, terminated, truncated, next_obs, extras)
        if finished is not None:
            tracker.episodes(finished)
        obs = next_obs
        clock.step += 1
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
