"""Evaluation: whole episodes in separate envs."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rllab import envs
from rllab.algorithms import Algorithm
from rllab.config import EnvConfig
from rllab.functional.streams import Purpose, Seed, session_seeds

Act = Callable[[np.ndarray], np.ndarray]
"""Observations ``[S, N, ...]`` to actions ``[S, N, ...]``."""


def greedy(algorithm: Algorithm) -> Act:
    """How an algorithm acts without exploring."""
    return lambda obs: algorithm.act(obs, explore=False)[0]


class Evaluation(NamedTuple):
    """Returns and lengths of the evaluation episodes, ``[S, num_episodes]`` each."""

    returns: np.ndarray
    lengths: np.ndarray


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
        self.envs = envs.make(config, num_sessions=len(sessions), num_envs=min(num_envs, num_episodes))

    def run(self, act: Act, key: int, watch: Callable[[int], None] | None = None) -> Evaluation:
        """Play the episodes; nan where `stop` was called before they had ended.

        Args:
            act: the policies.
            key: tells the seeds of one evaluation from those of another.
            watch: told how many episodes have ended, over sessions.
        """
        num_sessions, num_envs = self.envs.shape
        seeds = [session_seeds(self.seed, session, self.purpose, num_envs, key) for session in self.sessions]
        obs = self.envs.reset([seed for session in seeds for seed in session])
        returns = np.full((num_sessions, self.num_episodes), np.nan)
        lengths = np.zeros(returns.shape, np.int64)
        played = np.zeros(self.envs.shape, np.int64)
        while not self.stopped and np.isnan(returns).any():
            obs, _, _, _, finished = self.envs.step(act(obs))
            if finished is None:
                continue
            slot = finished.session, finished.env
            episode = finished.env + num_envs * played[slot]
            played[slot] += 1
            counts = episode < self.num_episodes  # a sub-env that has played its share goes on unheard
            rows = finished.session[counts], episode[counts]
            returns[rows] = finished.returns[counts]
            lengths[rows] = finished.lengths[counts]
            if watch:
                watch(int(np.isfinite(returns).sum()))
        return Evaluation(returns, lengths)

    def stop(self) -> None:
        """Leave `run` after the current step."""
        self.stopped = True

    def close(self) -> None:
        self.envs.close()
