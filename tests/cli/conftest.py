"""Runs `train.py` as a person does: in this process where that is enough, in one of its own where it is not."""

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from rllab import train

ROOT = Path(__file__).parents[2]

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


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    """A directory with a package and presets of one's own, where nothing must be left behind."""
    directory = tmp_path_factory.mktemp("workplace")
    for name, text in PACKAGE.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


@pytest.fixture
def command(monkeypatch, capsys):
    """`command("meta.seed=3")` runs `python train.py meta.seed=3` in this process."""

    def run(line):
        monkeypatch.setattr(sys, "argv", ["train.py", *shlex.split(line)])
        monkeypatch.setattr(sys, "path", [*sys.path])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # as main does: undone after the test
        code = 0
        try:
            train.main()
        except SystemExit as stop:
            code = stop.code or 0
            if isinstance(code, str):  # as the interpreter does
                sys.stderr.write(f"{code}\n")
                code = 1
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def process():
    """`process(*words, cwd=...)` runs Python with these words."""

    def run(*words, cwd, **environment):
        done = subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=cwd,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def train_process(process, workplace):
    """`train_process("meta.seed=3")` runs `python /path/of/train.py meta.seed=3` in the workplace."""
    return lambda line: process(ROOT / "train.py", *shlex.split(line), cwd=workplace)
