"""`python train.py` as a person types it: where it is run, what it answers, what it leaves behind."""

import re
from dataclasses import dataclass

PACKAGE = {
    "my_pkg/__init__.py": """
import gymnasium
gymnasium.register("MyEnv-v0", "my_pkg.envs:MyEnv", max_episode_steps=10)
gymnasium.register("DictAction-v0", "my_pkg.envs:DictAction")
gymnasium.register("TupleAction-v0", "my_pkg.envs:TupleAction")
gymnasium.register("Graphs-v0", "my_pkg.envs:Graphs")
""",
    "my_pkg/envs.py": """
import gymnasium, numpy
from gymnasium import spaces

class MyEnv(gymnasium.Env):
    observation_space = spaces.Box(-1, 1, (2,))
    action_space = spaces.Discrete(2)
    def __init__(self, goal=1.0):
        self.goal = goal
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return numpy.zeros(2, numpy.float32), {}
    def step(self, action):
        return numpy.zeros(2, numpy.float32), self.goal, False, False, {}

class DictAction(MyEnv):
    action_space = spaces.Dict(left=spaces.Discrete(2), right=spaces.Discrete(2))

class TupleAction(MyEnv):
    action_space = spaces.Tuple([spaces.Discrete(2), spaces.Discrete(2)])

class Graphs(MyEnv):
    observation_space = spaces.Graph(spaces.Box(-1, 1, (2,)), None)
""",
    "my_pkg/nets.py": """
from torch import nn

class Wide(nn.Sequential):
    def __init__(self, obs_space):
        super().__init__(nn.Linear(10, 8))

class Recurrent(nn.Module):
    def __init__(self, obs_space):
        super().__init__()
        self.layer = nn.LSTM(obs_space.shape[0], 8)
    def forward(self, obs):
        return self.layer(obs)

class Branch(nn.Sequential):
    def __init__(self, obs_space):
        super().__init__(nn.Linear(obs_space.shape[0], 8))
    def forward(self, obs):
        return super().forward(obs if obs.sum() > 0 else -obs)
""",
    "my_pkg/my_module.py": """
from dataclasses import dataclass
from rllab.algorithms.random import Random

@dataclass(frozen=True)
class MyConfig:
    name: str = "my_pkg.my_module:MyAlgorithm"
    speed: int = 1

class MyAlgorithm(Random):
    Config = MyConfig
""",
    "my_conf/env/mine.yaml": "id: my_pkg:MyEnv-v0\nnum_envs: 2\nmax_frame: 1e2\nkwargs: {goal: 2.0}\n",
    "my_conf/meta/mine.yaml": "max_session: 2\nlog_frequency: 50\n",
    "my_conf/agent/mine.yaml": "name: my_pkg.my_module:MyAlgorithm\nspeed: 3\n",
    "my_conf/meta/misspelt.yaml": "max_sesion: 2\n",
    "my_conf/meta/wrong.yaml": "max_session: two\n",
    "my_conf/agent/misspelt.yaml": "name: my_pkg.my_module:MyAlgorithm\nsped: 3\n",
    "my_conf/env/broken.yaml": "id: [CartPole-v1\nnum_envs: 3\n",
}
"""A person's own package and presets."""


@dataclass
class Result:
    code: int
    out: str
    err: str


def everything_in(directory):
    return {path for path in directory.rglob("*") if "__pycache__" not in path.parts}


def assert_refused(result, line, workplace, before):
    """One line on stderr, in which * stands for any text, and nothing new in the workplace."""
    pattern = re.escape(f"error: {line}\n".replace("{cwd}", str(workplace))).replace(r"\*", ".*")
    assert re.fullmatch(pattern, result.err), result.err
    assert (result.code, result.out) == (1, "")
    assert everything_in(workplace) == before
