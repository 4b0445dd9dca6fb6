"""Tasks that need a memory: solved with one, and at chance without."""

import pytest

from rllab.training import trial

pytestmark = pytest.mark.usefixtures("no_picture")

FAST = ["env=gymnasium", "tuned=none", "meta.max_session=2", "meta.log_frequency=1e6", "meta.rigorous_eval=100"]
FAST += ["meta.eval_frequency=1e9"]


@pytest.fixture
def scores(load_config):
    """Mean return of 100 greedy episodes of each session."""

    def train(words):
        made = trial.Trial(*trial.check(load_config(*FAST, *words.split())))
        made.run()
        return made.crew.scores()

    return train


SHORT = "env.id=remembering:TMaze-v0 +env.kwargs.length=2 env.num_envs=8 agent.hidden=[16] agent.memory_size=8"
PPO = "agent=ppo agent.num_steps=16 agent.num_minibatches=2"


@pytest.mark.parametrize(
    ("words", "low", "high"),
    [
        (f"{PPO} agent.memory=lstm", 1.0, 1.0),
        (PPO, 0.3, 0.7),
        pytest.param("agent=a2c agent.memory=gru agent.num_steps=8", 1.0, 1.0, marks=pytest.mark.slow),
        pytest.param(
            "agent=reinforce agent.memory=gru agent.memory_at=before agent.num_steps=16",
            *(1.0, 1.0),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_turn_that_was_announced(scores, words, low, high):
    found = scores(f"{SHORT} {words} agent.lr=1e-2 env.max_frame=4000")
    assert all(low <= score <= high for score in found)


STEADY = "agent.lr=linear:1e-3:0 agent.normalize_advantage=false"
TASKS = {
    "TMaze": (100_000, "agent.lr=1e-3 agent.ent_coef=0.01", 0.95, 0.7),
    "RepeatFirst": (200_000, "agent.lr=1e-3 agent.ent_coef=0.01", 0.95, -0.3),
    "RepeatPrevious": (300_000, "agent.lr=linear:3e-3:0 agent.gamma=0.5 agent.ent_coef=0.01", 0.95, -0.3),
    "BlindCartPole": (200_000, f"{STEADY} agent.num_epochs=6 agent.num_minibatches=8 agent.gamma=0.98", 475, 200),
}
"""Frames, settings, what is reached with a memory at least, and without at most."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("memory", ["null", "lstm"])
@pytest.mark.parametrize("task", TASKS)
def test_whole_tasks(scores, task, memory):
    frames, settings, with_memory, without = TASKS[task]
    found = scores(
        f"agent=ppo env.id=remembering:{task}-v0 env.num_envs=16 env.max_frame={frames} {settings} "
        f"agent.memory={memory} agent.memory_size=64"
    )
    assert min(found) >= with_memory if memory == "lstm" else max(found) <= without
