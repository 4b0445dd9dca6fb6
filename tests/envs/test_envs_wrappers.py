from typing import ClassVar

import gymnasium.spaces as gs
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rllab.envs.sessions import SessionEnvs
from rllab.envs.wrappers import ClipReward, LifeLossTerminal, TrackReward

BINARY = gs.Discrete(2)


class Scripted(VectorEnv):
    """Plays back rewards `[T, rows]` and ends `[T, rows]`: "." goes on, "T" terminates, "t" truncates."""

    metadata: ClassVar = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, rewards, ends, action_space=BINARY, obs_dtype=np.float64):
        self.rewards, self.ends = np.array(rewards, np.float64), np.array([list(row) for row in ends])
        self.num_envs = self.rewards.shape[1]
        self.single_observation_space = gs.Box(0, 255, (1,), obs_dtype)
        self.single_action_space = action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(action_space, self.num_envs)
        self.actions = []

    def _obs(self):
        rows = np.arange(self.num_envs).reshape(-1, 1)
        return (10 * self.t + rows).astype(self.single_observation_space.dtype)

    def reset(self, *, seed=None, options=None):
        self.t, self.seed = 0, seed
        return self._obs(), {}

    def step(self, actions):
        self.actions.append(np.array(actions))
        t, self.t = self.t, self.t + 1
        return self._obs(), self.rewards[t], self.ends[t] == "T", self.ends[t] == "t", {}


NOTHING = np.zeros(2, int)


def test_track_reward_of_episodes_with_reset_rows_between_them():
    # row 0: 1 + 2 = 3 in 2 steps; a reset row (its 50 is no reward); 4 + 8 + 16 = 28 in 3 steps
    # row 1: -1 in 1 step; a reset row; then 0.5 each, still running
    rewards = [[1, -1], [2, 50], [50, 0.5], [4, 0.5], [8, 0.5], [16, 0.5]]
    env = TrackReward(Scripted(rewards, [".T", "t.", "..", "..", "..", "T."]))
    env.reset()
    finished = [env.step(NOTHING)[-1].get("finished") for _ in range(6)]
    assert [f is not None for f in finished] == [True, True, False, False, False, True]
    assert [x.tolist() for x in finished[0]] == [[1], [-1.0], [1]]
    assert [x.tolist() for x in finished[1]] == [[0], [3.0], [2]]
    assert [x.tolist() for x in finished[5]] == [[0], [28.0], [3]]
    assert env.returns[1] == 2.0
    assert env.lengths[1] == 4


def test_track_reward_of_episodes_that_end_together_and_follow_at_once():
    # row 0 ends in steps 0 and 2, one step each with a reset row between; row 1 ends in step 0, then goes on
    env = TrackReward(Scripted([[1, 2], [9, 9], [3, 4], [9, 5]], ["Tt", "..", "T.", "T."]))
    env.reset()
    finished = [env.step(NOTHING)[-1].get("finished") for _ in range(3)]
    assert [x.tolist() for x in finished[0]] == [[0, 1], [1.0, 2.0], [1, 1]]
    assert finished[1] is None
    assert [x.tolist() for x in finished[2]] == [[0], [3.0], [1]]


def test_track_reward_keeps_what_it_reported_and_forgets_on_reset():
    env = TrackReward(Scripted([[1, 1], [1, 1], [1, 1]], ["T.", "..", ".."]))
    env.reset()
    _, returns, lengths = env.step(NOTHING)[-1]["finished"]
    env.step(NOTHING)
    assert (returns.tolist(), lengths.tolist()) == ([1.0], [1])  # not a view of the running sums
    env.reset()
    assert env.returns.tolist() == [0.0, 0.0]
    env.step(NOTHING)
    assert env.lengths.tolist() == [1, 1]


def test_reset_right_after_an_end_counts_the_first_step():
    env = TrackReward(Scripted([[5, 5], [5, 5]], ["TT", ".."]))
    env.reset()
    env.step(NOTHING)
    env.reset()  # all rows were finished, but the next step is no reset row
    env.step(NOTHING)
    assert env.returns.tolist() == [5.0, 5.0]


def test_session_envs_cut_rows_into_sessions():
    # 6 rows are 3 sessions of 2 envs: row 3 is session 1, env 1; row 4 is session 2, env 0
    scripted = Scripted([[0, 1, 2, 3, 4, 5]] * 2, ["......", "...Tt."])
    envs = SessionEnvs(TrackReward(scripted), 3)
    assert envs.shape == (3, 2)
    obs = envs.reset([5, 6, 7, 8, 9, 10])
    assert scripted.seed == [5, 6, 7, 8, 9, 10]
    assert obs.dtype == np.float32
    assert obs[..., 0].tolist() == [[0, 1], [2, 3], [4, 5]]
    actions = np.arange(6).reshape(3, 2)
    obs, reward, terminated, truncated, finished = envs.step(actions)
    assert scripted.actions[0].tolist() == [0, 1, 2, 3, 4, 5]
    assert obs[..., 0].tolist() == [[10, 11], [12, 13], [14, 15]]
    assert envs.obs is obs
    assert reward.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert finished is None
    _, _, terminated, truncated, finished = envs.step(actions)
    assert terminated.tolist() == [[False, False], [False, True], [False, False]]
    assert truncated.tolist() == [[False, False], [False, False], [True, False]]
    assert finished.session.tolist() == [1, 2]
    assert finished.env.tolist() == [1, 0]
    assert finished.returns.tolist() == [6.0, 8.0]
    assert finished.lengths.tolist() == [2, 2]


def test_session_envs_keep_bytes_and_shape_vector_actions():
    box = gs.Box(-np.inf, np.inf, (2,), np.float32)
    scripted = Scripted([[0, 0]], [".."], action_space=box, obs_dtype=np.uint8)
    envs = SessionEnvs(TrackReward(scripted), 2)
    assert envs.reset([0, 1]).dtype == np.uint8
    envs.step(np.array([[[1.0, 2.0]], [[3.0, 4.0]]]))  # [S, N, 2]
    assert scripted.actions[0].tolist() == [[1, 2], [3, 4]]


class WithLives(Scripted):
    """Scripted lives as well, `[T + 1, rows]`."""

    lives = np.array([[3, 1], [2, 1], [2, 0], [3, 1], [4, 1]])

    def reset(self, **kwargs):
        obs, _ = super().reset(**kwargs)
        return obs, {"lives": self.lives[0]}

    def step(self, actions):
        *row, info = super().step(actions)
        return *row, info | {"lives": self.lives[self.t]}


def test_a_lost_life_is_terminal_for_learning_and_not_for_the_score():
    # row 0 loses a life in step 0, is cut by the time limit in step 1, reset in step 2 and given a life in step 3
    # row 1 loses its last life in step 1, which ends the game; step 2 is its reset row
    env = LifeLossTerminal(TrackReward(WithLives([[5, 1], [7, 2], [50, 50], [1, 1]], ["..", "tT", "..", ".."])))
    env.reset()
    steps = [env.step(NOTHING) for _ in range(4)]
    assert [step[2].tolist() for step in steps] == [[True, False], [False, True], [False, False], [False, False]]
    assert [step[3].tolist() for step in steps] == [[False, False], [True, False], [False, False], [False, False]]
    rows, returns, lengths = steps[1][4]["finished"]
    assert (rows.tolist(), returns.tolist(), lengths.tolist()) == ([0, 1], [12.0, 3.0], [2, 2])
    assert [step[4].get("finished") is None for step in steps] == [True, False, True, True]


def test_clipped_rewards_do_not_reach_the_score():
    env = ClipReward(TrackReward(Scripted([[5, -0.5], [-7, 2]], ["..", "TT"])))
    env.reset()
    steps = [env.step(NOTHING) for _ in range(2)]
    assert [step[1].tolist() for step in steps] == [[1, -0.5], [-1, 1]]
    assert steps[1][4]["finished"][1].tolist() == [-2.0, 1.5]
