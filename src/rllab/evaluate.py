"""Rigorous evaluation: whole greedy episodes in envs of their own."""

from typing import NamedTuple

import numpy as np

from rllab import envs
from rllab.algorithms import Algorithm
from rllab.config import EnvConfig
from rllab.functional.streams import Seed, session_seeds


class Evaluation(NamedTuple):
    """Returns and lengths of the evaluation episodes, ``[S, num_episodes]`` each."""

    returns: np.ndarray
    lengths: np.ndarray


class Evaluator:
    """`num_episodes` separate envs per session, one whole greedy episode each.

    Neither the training streams nor the normaliser move: seeds come from a stream of their own, told apart by frame.
    """

    def __init__(self, config: EnvConfig, *, num_sessions: int, num_episodes: int, seed: int | Seed) -> None:
        self.envs = envs.make(config, num_sessions=num_sessions, num_envs=num_episodes)
        self.seed = seed

    def run(self, algorithm: Algorithm, frame: int) -> Evaluation:
        """Play the episodes with the policies as they are now."""
        num_sessions, num_episodes = self.envs.shape
        seeds = [session_seeds(self.seed, session, "eval", num_episodes, frame) for session in range(num_sessions)]
        obs = self.envs.reset([seed for session in seeds for seed in session])
        returns = np.full(self.envs.shape, np.nan)
        lengths = np.zeros(self.envs.shape, np.int64)
        while np.isnan(returns).any():
            action, _ = algorithm.act(obs, explore=False)
            obs, _, _, _, finished = self.envs.step(action)
            if finished is not None:
                first = np.isnan(returns[finished.session, finished.env])  # later episodes of an env do not count
                rows = finished.session[first], finished.env[first]
                returns[rows] = finished.returns[first]
                lengths[rows] = finished.lengths[first]
        return Evaluation(returns, lengths)

    def close(self) -> None:
        self.envs.close()
