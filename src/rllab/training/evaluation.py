"""Evaluation: whole episodes in separate envs."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from rllab import envs
from rllab.config import EnvConfig
from rllab.envs import MAX_STEPS
from rllab.envs.sub_env import kept_globals
from rllab.random.streams import Purpose, Seed, session_seeds
from rllab.tracking.tracker import Row, known_mean

Act = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Observations ``[S, N, ...]``, and where an episode begins with them ``[S, N]``, to actions ``[S, N, ...]``."""
Watch = Callable[[int, int], None]
"""Told after each vector step how many episodes have ended, over sessions, and how many steps there were."""


LINE_PERIOD = 10.0
"""Seconds between two lines of `Progress`."""


class Progress:
    """A `Watch` that says now and then how far an evaluation is, where episodes are long."""

    def __init__(self, what: str, total: int, say: Callable[[str], None], hint: str) -> None:
        """`hint`: what a person can do who does not want to wait."""
        self.what, self.total, self.say, self.hint = what, total, say, hint
        self.said = time.monotonic()

    def __call__(self, ended: int, steps: int) -> None:
        if steps == 1:
            self.said = time.monotonic()
        if time.monotonic() - self.said >= LINE_PERIOD:
            self.said = time.monotonic()
            self.say(f"{self.what}: {ended} of {self.total} episodes after {steps:,} steps; {self.hint}")


def cut_note(cut: np.ndarray) -> str:
    """One line about episodes that were cut at `MAX_STEPS`, flags of any shape."""
    return (
        f"{int(cut.sum())} of {cut.size} episodes were cut at {MAX_STEPS:,} steps, for the env has no time limit; "
        "env.max_episode_steps sets another"
    )


class Evaluation(NamedTuple):
    """What is known of the evaluation episodes, arrays ``[S, num_episodes]``."""

    returns: np.ndarray
    lengths: np.ndarray
    cut: np.ndarray
    """Whether an episode was cut at `MAX_STEPS`."""
    infos: Mapping[str, np.ndarray] = MappingProxyType({})
    """What the env has told of them, by tag, ``info/fuel`` or ``success_rate``; nan where it has told nothing."""

    def rows(self, *, limited: bool) -> list[Row]:
        """Tags and values of each session; how many episodes were cut, unless the env is `limited` in time itself."""
        told = self.info_means()
        return [
            {
                "eval/mean_reward": float(returns.mean()),
                "eval/std_reward": float(returns.std()),
                "eval/min_reward": float(returns.min()),
                "eval/max_reward": float(returns.max()),
                "eval/mean_ep_length": float(lengths.mean()),
                **({} if limited else {"eval/num_cut": int(cut.sum())}),
                **{f"eval/{tag}": means[session] for tag, means in told.items()},
            }
            for session, (returns, lengths, cut) in enumerate(zip(self.returns, self.lengths, self.cut, strict=True))
        ]

    def info_means(self) -> dict[str, list[float]]:
        """Means of `infos` over the episodes of each session; nan where none has told anything."""
        return {tag: [known_mean(row) for row in values.tolist()] for tag, values in self.infos.items()}


class Evaluator:
    """`num_episodes` whole episodes of each session, in envs of their own.

    The N sub-envs of a session share them out evenly and beforehand: whoever takes the first episodes that end has
    more short ones than there are. Neither the training streams nor the normaliser move: seeds come from a stream of
    their own.
    """

    def __init__(
        self,
        config: EnvConfig,
        *,
        sessions: Sequence[int],
        num_episodes: int,
        num_envs: int,
        seed: int | Seed,
        purpose: Purpose = "eval",
    ) -> None:
        """Make the envs.

        Args:
            config: the task.
            sessions: which sessions play.
            num_episodes: of each session.
            num_envs: N; more than there are episodes are not made.
            seed: the run's.
            purpose: the stream that the env seeds come from.
        """
        self.sessions, self.num_episodes = sessions, num_episodes
        self.seed, self.purpose = seed, purpose
        self.stopped = False
        self.limited = envs.has_time_limit(config)
        if not self.limited:
            config = dataclasses.replace(config, max_episode_steps=MAX_STEPS)
        self.envs = envs.make(config, num_sessions=len(sessions), num_envs=min(num_envs, num_episodes))

    def run(self, act: Act, key: int, watch: Watch | None = None) -> Evaluation:
        """Play the episodes; nan where `stop` was called before they had ended.

        In an env without a time limit, where the first episode of every sub-env had to be cut, no more are played.

        Args:
            act: the policies.
            key: tells the seeds of one evaluation from those of another.
            watch: shows progress.
        """
        with kept_globals():  # an env in this process may draw from them
            return self._run(act, key, watch)

    def _run(self, act: Act, key: int, watch: Watch | None) -> Evaluation:
        num_sessions, num_envs = self.envs.shape
        seeds = [session_seeds(self.seed, session, self.purpose, num_envs, key) for session in self.sessions]
        self.envs.reset([seed for session in seeds for seed in session])
        returns = np.full((num_sessions, self.num_episodes), np.nan)
        lengths = np.zeros(returns.shape, np.int64)
        infos: dict[str, np.ndarray] = {}
        played = np.zeros(self.envs.shape, np.int64)
        num_ended = num_steps = 0
        while not self.stopped and num_ended < returns.size:
            *_, finished = self.envs.step(act(self.envs.obs, self.envs.starts))
            num_steps += 1
            if finished is not None:
                slot = finished.session, finished.env
                episode = finished.env + num_envs * played[slot]
                played[slot] += 1
                counts = episode < self.num_episodes  # a sub-env that has played its share goes on unheard
                rows = finished.session[counts], episode[counts]
                returns[rows] = finished.returns[counts]
                lengths[rows] = finished.lengths[counts]
                for tag, values in finished.infos.items():
                    infos.setdefault(tag, np.full(returns.shape, np.nan))[rows] = values[counts]
                num_ended += int(counts.sum())
            if watch:
                watch(num_ended, num_steps)
            if not self.limited and num_steps == MAX_STEPS and (lengths[:, :num_envs] == MAX_STEPS).all():
                returns, lengths = returns[:, :num_envs], lengths[:, :num_envs]  # more would tell the same
                infos = {tag: values[:, :num_envs] for tag, values in infos.items()}
                break
        return Evaluation(returns, lengths, (lengths >= MAX_STEPS) & (not self.limited), infos)

    def stop(self) -> None:
        """Leave `run` after the current step."""
        self.stopped = True

    def close(self) -> None:
        self.envs.close()
