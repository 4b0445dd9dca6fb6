"""Every agent learns to do what it sees, in each kind of space that it acts in: 90 of 100 within 20,000 frames.

Settings are the defaults, and where those are too slow, what the table says. `agent.gamma=0.4` and networks of 64 units
are those of Stable-Baselines3's own test: nothing follows from an action.
"""

import json
from pathlib import Path

import pytest

from identity import LENGTH, SPACES
from rllab import algorithms, envs
from rllab.algorithms import Task
from rllab.config import EnvConfig
from rllab.training import trial

pytestmark = pytest.mark.usefixtures("no_picture")

CONF = Path(__file__).parents[1] / "conf" / "agent"
COMMON = ["tuned=none", "env.max_frame=20_000", "meta.max_session=2", "meta.log_frequency=1e6", "meta.final_eval=10"]
SHORT = ["agent.gamma=0.4"]
SMALL = ["agent.hidden=[64,64]", "agent.gradient_steps=1"]  # one for eight frames
SMALL_CRITICS = [*SMALL, "agent.critic_hidden=[64,64]"]
TASKS = {  # agent, kind of space: what is not default
    ("ppo", "Discrete"): [],
    ("ppo", "MultiDiscrete"): [],
    ("ppo", "MultiBinary"): [*SHORT, "agent.lr=1e-3"],
    ("ppo", "Box"): [],
    ("a2c", "Discrete"): [],
    ("a2c", "MultiDiscrete"): [],
    ("a2c", "MultiBinary"): SHORT,
    ("a2c", "Box"): [],
    ("reinforce", "Discrete"): [],
    ("reinforce", "MultiDiscrete"): SHORT,
    # all sub-envs end at once, and between two ends there is one step: fewer of them, more steps
    ("reinforce", "MultiBinary"): [*SHORT, "env.num_envs=1", "agent.lr=3e-3"],
    ("reinforce", "Box"): [*SHORT, "env.num_envs=2"],
    ("sarsa", "Discrete"): SHORT,
    ("dqn", "Discrete"): [],
    ("ddqn", "Discrete"): [],
    ("dueling_dqn", "Discrete"): [],
    ("ddqn_per", "Discrete"): [],
    ("qrdqn", "Discrete"): [],
    ("sac", "Discrete"): SMALL,
    ("sac", "Box"): SMALL,
    ("td3", "Box"): SMALL,
    ("tqc", "Box"): SMALL,
    ("crossq", "Discrete"): SMALL_CRITICS,
    ("crossq", "Box"): SMALL_CRITICS,
}
QUICK = ("ppo", "Discrete"), ("ppo", "Box"), ("dqn", "Discrete")


@pytest.mark.parametrize(
    ("agent", "kind"),
    [pytest.param(*task, id=", ".join(task), marks=[pytest.mark.slow] * (task not in QUICK)) for task in TASKS],
)
def test_what_is_seen_is_done(load_config, tmp_path, agent, kind):
    settings = TASKS[agent, kind]
    trial.run(load_config(f"agent={agent}", f"env.id=identity:Identity{kind}-v0", *COMMON, *settings))
    sessions = json.loads((tmp_path / "run" / "trial.json").read_text())["sessions"]
    assert min(session["greedy_last"] for session in sessions) >= 0.9 * LENGTH


def test_no_task_is_missing():
    for kind in SPACES:
        info = envs.inspect(EnvConfig(id=f"identity:Identity{kind}-v0"))
        able = {*algorithms.fitting(Task(info.obs_space, info.action_space, 2, 8, 20_000))} - {"random"}
        assert able <= {agent for agent, other in TASKS if other == kind}
    assert {agent for agent, _ in TASKS} == {path.stem for path in CONF.glob("*.yaml")} - {"random"}
