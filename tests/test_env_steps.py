"""Frames count the rows that only reset a sub-env, `rollout/env_steps` does not: by hand, on a script."""

import csv
import json

import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from probes import Scripted
from rllab import algorithms, checkpoint
from rllab.algorithms import Acting, Task
from rllab.envs.sessions import SessionEnvs
from rllab.envs.wrappers import LifeLossTerminal, TrackReward
from rllab.tracking.tracker import Tracker
from rllab.training import trial
from rllab.training.loop import Clock, Event, train
from rllab.training.walk import StepByStep

NUM_ENVS = 2
RUN = ["env=gymnasium", "env.id=probes:Scripted-v0", f"env.num_envs={NUM_ENVS}", "env.max_frame=60", "tuned=none"]
RUN += ["agent=a2c", "agent.num_steps=2", "meta.max_session=2", f"meta.log_frequency={NUM_ENVS}"]


def by_hand(num_steps):
    """Real steps (s) of a sub-env in so many vector steps; r is a row that only resets."""
    return ("srssrsssr" * 100)[:num_steps].count("s")


def counted(run, folder="session_0"):
    with (run / folder / "train.csv").open() as file:
        return {int(row["frame"]): int(row["rollout/env_steps"]) for row in csv.DictReader(file)}


def in_trial_json(run):
    return [session["env_steps"] for session in json.loads((run / "trial.json").read_text())["sessions"]]


@pytest.fixture(autouse=True)
def _no_picture(no_picture):
    pass


def test_by_hand():
    assert [by_hand(n) for n in range(1, 12)] == [1, 1, 2, 3, 3, 4, 5, 6, 6, 7, 7]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_rows_that_only_reset_are_no_env_steps(load_config, tmp_path, num_workers):
    trial.run(load_config(*RUN, f"meta.num_workers={num_workers}"))
    for session in (0, 1):
        found = counted(tmp_path / "run", f"session_{session}")
        assert found == {n * NUM_ENVS: by_hand(n) * NUM_ENVS for n in range(1, 31)}
    assert in_trial_json(tmp_path / "run") == [40, 40]  # of two: 3 rounds of 6 steps, and s r s


@pytest.mark.parametrize("stopped_after", [4, 5, 6])  # an episode has just ended, has been reset, is under way
@pytest.mark.parametrize("plain", [True, False])
def test_a_resumed_run_counts_on(load_config, tmp_path, stop_at, stopped_after, plain):
    stop_at(stopped_after * NUM_ENVS)
    with pytest.raises(SystemExit):
        trial.run(load_config(*RUN, f"+env.kwargs.plain={plain}"))
    trial.run(load_config(f"meta.resume={tmp_path / 'run'}"))
    expected = {n: by_hand(n) for n in range(1, 31)}
    if not plain:  # the script begins anew, without a row that resets
        expected |= {n: by_hand(stopped_after) + by_hand(n - stopped_after) for n in range(stopped_after + 1, 31)}
    found = counted(tmp_path / "run")
    assert found == {n * NUM_ENVS: steps * NUM_ENVS for n, steps in expected.items()}
    assert in_trial_json(tmp_path / "run") == [expected[30] * NUM_ENVS] * 2


def test_of_a_policy_that_workers_share_it_is_the_sum(load_config, tmp_path):
    trial.run(load_config(*RUN, "meta.distributed=shared", "env.max_frame=600"))
    run = tmp_path / "run"
    workers = checkpoint.read(run / "checkpoints" / "last.safetensors", "workers")
    each = [by_hand(worker["step"]) * NUM_ENVS for worker in workers]
    assert [list(counted(run, f"worker_{index}").values())[-1] for index in (0, 1)] == each
    assert list(counted(run).values())[-1] == sum(each)
    assert in_trial_json(run) == [sum(each)]


def test_a_lost_life_resets_nothing():
    vector = LifeLossTerminal(TrackReward(SyncVectorEnv([Scripted] * 4)))
    envs, clock, tracker = SessionEnvs(vector, 2), Clock(NUM_ENVS, 60), Tracker(2)
    random = algorithms.find("random")
    agent = random(random.Config(), Task(envs.obs_space, envs.action_space, 2, 2, 60), seed=0)
    found, ends = [], []
    step = envs.step

    def watched(action):
        result = step(action)
        ends.append(result[2].sum())
        return result

    envs.step = watched
    event = Event(NUM_ENVS, lambda: found.append([row["rollout/env_steps"] for row in tracker.rows(clock.frame)]))
    envs.reset([0, 1, 2, 3])
    train(StepByStep(envs, Acting(agent, explore=True), agent.make_buffer()), agent, tracker, [event], clock)
    np.testing.assert_array_equal(found, [[by_hand(n) * NUM_ENVS] * 2 for n in range(1, 31)])
    assert sum(ends) == by_hand(30) * 4  # to learning, each of these steps was an end
