"""Episode statistics, means of metrics, rates: everything a log checkpoint reports."""

from __future__ import annotations

import math
import time
from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rllab.algorithms import Metrics

WINDOW = 100
"""Number of latest episodes whose mean return is the score."""
_PENDING = 64
"""Updates after which metrics are stacked into one tensor: many small tensors would fragment the heap."""
Row = dict[str, float]


class Episode(NamedTuple):
    """An episode that has ended."""

    frame: int
    """At which it ended."""
    value: float
    """Its return."""
    length: int
    infos: Mapping[str, float] = MappingProxyType({})
    """What the env has told of it, by tag."""


class Tracker:
    """Collects what happens between two log checkpoints, per session.

    Metrics stay on the device until `rows`, which fetches them in one transfer.
    """

    def __init__(self, num_sessions: int) -> None:
        self.num_sessions = num_sessions
        self.returns: list[deque[float]] = [deque(maxlen=WINDOW) for _ in range(num_sessions)]
        self.lengths: list[deque[int]] = [deque(maxlen=WINDOW) for _ in range(num_sessions)]
        self.ended: list[deque[int]] = [deque(maxlen=WINDOW) for _ in range(num_sessions)]  # frames at which they ended
        self.infos: list[dict[str, deque[float]]] = [{} for _ in range(num_sessions)]  # by tag; nan: told nothing
        self.num_episodes = [0] * num_sessions
        self.ending: list[int] = []  # sessions whose episodes the latest step ended
        self.num_unreset = [0] * num_sessions  # episodes that no reset row followed, because a run was resumed
        self.num_updates = 0
        self.fresh: list[tuple[int, Episode]] | None = None  # session and episode, since the last `rows`; if wanted
        self.seconds = dict.fromkeys(("env", "act", "update", "log"), 0.0)
        self.elapsed_before = 0.0
        self.started = time.perf_counter()
        self._metrics: list[Metrics] = []
        self._names: list[str] = []  # names of the metrics that are tensors
        self._stacked: list[Tensor] = []  # values of earlier updates, [updates, names, S]
        self._latest: dict[str, list[float]] = {}
        self._mark = (0, 0.0)

    def start(self, taken: int) -> None:
        """Training begins or goes on now, after `taken` frames of each session in this process."""
        self.started = time.perf_counter()
        self._mark = (taken, self.elapsed)

    @property
    def elapsed(self) -> float:
        """Seconds of training, those before a resume included."""
        return self.elapsed_before + time.perf_counter() - self.started

    def episodes(
        self,
        ended: list[tuple[int, int, float, int]],
        frame: int,
        num_envs: int,
        num_steps: int,
        infos: Mapping[str, Sequence[float]] = MappingProxyType({}),
    ) -> None:
        """Take in the episodes that ended in `num_steps` vector steps of `num_envs` sub-envs after `frame`.

        `ended` has step, session, return and length of each, and `infos` by tag what the env has told of each.
        """
        self.ending = [session for step, session, *_ in ended if step == num_steps - 1]
        for index, (step, session, value, length) in enumerate(ended):
            self.returns[session].append(value)
            self.lengths[session].append(length)
            self.ended[session].append(frame + step * num_envs)
            self.num_episodes[session] += 1
            known = self.infos[session]
            for tag in (*known, *(tag for tag in infos if tag not in known)):
                told = infos[tag][index] if tag in infos else math.nan
                known.setdefault(tag, deque(maxlen=WINDOW)).append(told)
            if self.fresh is not None:
                by_tag = {tag: values[index] for tag, values in infos.items()}
                self.fresh.append((session, Episode(frame + step * num_envs, value, length, by_tag)))

    def restart(self) -> None:
        """A resumed run begins all episodes anew, so no reset row follows those that had just ended."""
        self.num_unreset = [a + b for a, b in zip(self.num_unreset, self.num_ending(), strict=True)]
        self.ending = []

    def num_resets(self) -> list[int]:
        """Rows so far that only reset a sub-env, for each session: one follows each episode, in the next step."""
        counts = zip(self.num_episodes, self.num_ending(), self.num_unreset, strict=True)
        return [episodes - ending - unreset for episodes, ending, unreset in counts]

    def num_ending(self) -> list[int]:
        """Episodes of each session that ended in the latest step."""
        return [self.ending.count(session) for session in range(self.num_sessions)]

    def metrics(self, metrics: Metrics) -> None:
        """Take in the metrics of one update."""
        if metrics:
            names = [name for name, x in metrics.items() if isinstance(x, Tensor)]
            if names != self._names:  # metrics may be added once a policy learns: their means begin here
                self._names, self._metrics, self._stacked = names, [], []
            self._metrics.append(metrics)
            if len(self._metrics) == _PENDING:
                self._stack()

    def _stack(self) -> None:
        """Stack the tensors of the pending updates into one, and keep the latest of metrics that are plain numbers."""
        if not self._metrics:
            return
        numbers = {name: x for name, x in self._metrics[-1].items() if not isinstance(x, Tensor)}
        for name, value in numbers.items():
            self._latest[name] = [value] * self.num_sessions if isinstance(value, (int, float)) else list(value)
        columns = [torch.stack([m[name] for m in self._metrics]) for name in self._names]  # type: ignore[misc]
        if columns:
            self._stacked.append(torch.stack(columns, 1))
        self._metrics = []

    def mean_returns(self) -> list[float]:
        """Mean return of each session's last 100 finished episodes; nan while none has finished."""
        return [_mean(returns) for returns in self.returns]

    def last_episodes(self, session: int) -> list[Episode]:
        """The last 100 episodes, oldest first."""
        infos: list[dict[str, float]] = [{} for _ in self.ended[session]]
        for tag, values in self.infos[session].items():  # an env may begin to tell later
            for known, value in zip(reversed(infos), reversed(values), strict=False):
                known[tag] = value
        return list(map(Episode, self.ended[session], self.returns[session], self.lengths[session], infos))

    def rows(self, frame: int, taken: int | None = None) -> list[Row]:
        """One row of tags and values for each session; a new interval for rates and means begins.

        Args:
            frame: of the log checkpoint.
            taken: frames of a session that were taken in this process, if `frame` counts those of other workers too.
        """
        elapsed, taken = self.elapsed, frame if taken is None else taken
        rate = (taken - self._mark[0]) * self.num_sessions / max(elapsed - self._mark[1], 1e-9)
        self._mark = (taken, elapsed)
        total = max(sum(self.seconds.values()), 1e-9)
        num_resets = self.num_resets()
        shared = {"time/fps": rate} | {f"time/{name}_share": s / total for name, s in self.seconds.items()}
        trained = self._fetch()
        rows = []
        for session, mean_return in enumerate(self.mean_returns()):
            row = {
                "frame": frame,
                "elapsed_s": elapsed,
                "rollout/ep_rew_mean": mean_return,
                "rollout/ep_len_mean": _mean(self.lengths[session]),
                **{f"rollout/{tag}": known_mean(values) for tag, values in self.infos[session].items()},
                "rollout/num_episodes": self.num_episodes[session],
                "rollout/env_steps": taken - num_resets[session],
            }
            rows.append(row | {name: values[session] for name, values in trained.items()} | shared)
        return rows

    def _fetch(self) -> dict[str, list[float]]:
        """Metrics by name, a value for each session: means since the last call, or the values known then."""
        self._stack()
        if self._stacked:
            means = torch.cat(self._stacked).float().mean(0).tolist()
            self._latest |= dict(zip(self._names, means, strict=True))
            self._stacked = []
        return self._latest

    def state_dict(self) -> dict[str, Any]:
        """Latest episodes, counters, pending metrics and the seconds so far."""
        self._stack()
        return {
            "returns": [list(r) for r in self.returns],
            "lengths": [list(n) for n in self.lengths],
            "ended": [list(n) for n in self.ended],
            "infos": [{tag: list(values) for tag, values in infos.items()} for infos in self.infos],
            "fresh": self.fresh and [[session, *episode] for session, episode in self.fresh],
            "num_episodes": self.num_episodes,
            "num_ending": self.num_ending(),
            "num_unreset": self.num_unreset,
            "elapsed": self.elapsed,
            "names": self._names,
            "stacked": self._stacked,
            "latest": self._latest,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for session in range(self.num_sessions):
            self.returns[session].extend(state["returns"][session])
            self.lengths[session].extend(state["lengths"][session])
            self.ended[session].extend(state["ended"][session])
        for infos, saved in zip(self.infos, state.get("infos", []), strict=False):  # older checkpoints have none
            infos |= {tag: deque(values, maxlen=WINDOW) for tag, values in saved.items()}
        if self.fresh is not None and (fresh := state.get("fresh")):
            self.fresh = [(session, Episode(*episode)) for session, *episode in fresh]
        self.num_episodes = state["num_episodes"]
        self.num_unreset = state.get("num_unreset", self.num_unreset)  # checkpoints of older versions have neither
        num_ending = state.get("num_ending", [0] * self.num_sessions)
        self.ending = [session for session, count in enumerate(num_ending) for _ in range(count)]
        self.elapsed_before = state["elapsed"]
        self._names = state["names"]
        self._stacked = state["stacked"]
        self._latest = state["latest"]


def _mean(values: deque[float] | deque[int]) -> float:
    return sum(values) / len(values) if values else math.nan


def known_mean(values: Iterable[float]) -> float:
    """Mean of those that are numbers; nan without any."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
