"""Evaluation: a fixed share of whole episodes for each sub-env."""

import numpy as np
import pytest

from rllab.config import EnvConfig
from rllab.envs import Finished
from rllab.training.evaluation import Evaluator


class Scripted:
    """Sub-env i of each session has episodes of i + 1 steps; their returns are 10 i, 10 i + 1, ..."""

    def __init__(self, num_sessions, num_envs):
        self.shape = num_sessions, num_envs
        self.seeds = None

    def reset(self, seeds):
        self.seeds, self.time = seeds, 0
        self.obs, self.starts = np.zeros((*self.shape, 1), np.float32), np.ones(self.shape, bool)

    def step(self, action):
        self.time += 1
        session, env = np.indices(self.shape).reshape(2, -1)
        ends = self.time % (env + 1) == 0
        session, env = session[ends], env[ends]
        returns = 10.0 * env + self.time // (env + 1) - 1
        finished = Finished(session, env, returns, env + 1, {}) if ends.any() else None
        return self.obs, *[np.zeros(self.shape)] * 3, finished

    def close(self):
        pass


@pytest.fixture
def make_evaluator():
    def make(num_episodes, num_envs, sessions=(0, 1)):
        config = EnvConfig(id="CartPole-v1")
        evaluator = Evaluator(
            config, sessions=sessions, num_episodes=num_episodes, num_envs=num_envs, seed=0, purpose="test"
        )
        evaluator.envs.close()
        evaluator.envs = Scripted(*evaluator.envs.shape)
        return evaluator

    return make


def act(obs, starts):
    return np.zeros(obs.shape[:2])


def test_short_episodes_do_not_count_more_often(make_evaluator):
    returns, lengths, cut, _ = make_evaluator(5, 3).run(act, 0)
    # sub-envs 0 and 1 play two episodes each, sub-env 2 one: the first five that end would be 0 0 0 10 20
    assert returns.tolist() == [[0, 10, 20, 1, 11]] * 2
    assert lengths.tolist() == [[1, 2, 3, 1, 2]] * 2
    assert not cut.any()


def test_no_more_sub_envs_than_episodes(make_evaluator):
    assert make_evaluator(2, 8).envs.shape == (2, 2)


def test_seeds_are_those_of_the_session_whoever_plays_beside_it(make_evaluator):
    every, one = make_evaluator(4, 4, range(3)), make_evaluator(4, 4, [2])
    for evaluator in (every, one):
        evaluator.run(act, 0)
    assert every.envs.seeds[8:] == one.envs.seeds
    one.run(act, 1)
    assert not set(every.envs.seeds) & set(one.envs.seeds)


def test_it_counts_and_can_be_stopped(make_evaluator):
    evaluator = make_evaluator(5, 3)
    counts = []

    def watch(ended, steps):
        counts.append(ended)
        if ended > 4:
            evaluator.stop()

    returns, *_ = evaluator.run(act, 0, watch)
    assert counts == [2, 6]  # after one step sub-env 0 of both sessions, after two 0 and 1 of both
    assert np.isnan(returns).sum() == 10 - 6
