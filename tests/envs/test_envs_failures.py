"""An env that raises, dies, hangs or gives nan: one line that names the sub-env, and a run that can go on."""

import multiprocessing
import os
import re
import signal
import sys

import gymnasium
import numpy as np
import pytest

from rllab import envs
from rllab.config import EnvConfig
from rllab.errors import ConfigError
from rllab.training import trial

PACKAGE = """
import os, signal, time
import gymnasium
import numpy as np
from gymnasium import spaces


class Trouble(gymnasium.Env):
    '''Action 1 is trouble, from a step on, while a file is there.'''

    action_space = spaces.Discrete(2)
    observation_space = spaces.Box(-1, 1, (3,), np.float32)

    def __init__(self, kind="", after=0, file=__file__):
        self.kind, self.after, self.file, self.count = kind, after, file, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.kind == "reset":
            raise RuntimeError("no\\nground")
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self.count += 1
        kind = self.kind if action == 1 and self.count > self.after and os.path.exists(self.file) else ""
        if kind == "raise":
            raise RuntimeError("no\\nway")
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(60)
        obs = np.array([0, np.nan if kind == "observation" else 0, 0], np.float32)
        return obs, np.nan if kind == "reward" else 1.0, False, False, {}


gymnasium.register("Trouble-v0", Trouble, max_episode_steps=20)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "trouble_pkg.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "trouble_pkg:Trouble-v0"
    sys.modules.pop("trouble_pkg", None)
    gymnasium.registry.pop("Trouble-v0", None)


@pytest.mark.parametrize(
    ("kind", "backend", "line"),
    [
        ("observation", "sync", "session 1, sub-env 2: nan as observation"),
        ("observation", "async", "session 1, sub-env 2: nan as observation"),
        ("reward", "sync", "session 1, sub-env 2: nan as reward"),
        ("raise", "sync", "session 1, sub-env 2: RuntimeError: no way"),
        ("raise", "async", "session 1, sub-env 2: RuntimeError: no way"),
        ("kill", "async", "session 1, sub-env 2: its process ended with exit code -9"),
        ("hang", "async", "session 1, sub-env 2: no answer within env.timeout=0.5 seconds"),
    ],
)
def test_the_sub_env_is_named_and_no_process_is_left(package, kind, backend, line):
    cfg = EnvConfig(id=package, num_envs=3, backend=backend, kwargs={"kind": kind}, timeout=0.5)
    made = envs.make(cfg, num_sessions=2)
    made.reset(list(range(6)))
    actions = np.zeros((2, 3), np.int64)
    made.step(actions)
    actions[1, 2] = 1
    with pytest.raises(envs.EnvError, match=f"^{re.escape(line)}$"):
        made.step(actions)
    made.close()
    assert not multiprocessing.active_children()


def test_nan_of_the_agent_is_told_from_nan_of_the_env():
    made = envs.make(EnvConfig(id="Pendulum-v1", num_envs=2), num_sessions=2)
    made.reset(list(range(4)))
    action = np.zeros((2, 2, 1), np.float32)
    action[1, 0] = np.nan
    with pytest.raises(envs.DivergedError, match=r"^session 1: its action is nan$"):
        made.step(action)
    made.close()


@pytest.mark.parametrize(("kind", "backend"), [("raise", "sync"), ("reward", "sync"), ("kill", "async")])
def test_the_run_is_saved_and_goes_on_once_it_is_mended(package, kind, backend, load_config, tmp_path):
    file = tmp_path / "trouble"
    file.touch()
    overrides = [f"env.id={package}", "env=gymnasium", f"+env.kwargs={{kind:{kind},after:40,file:'{file}'}}"]
    overrides += [f"env.backend={backend}", "env.num_envs=2", "env.max_frame=200", "meta=quick_dev", "agent=ppo"]
    overrides += ["tuned=none", "agent.num_steps=16", "meta.max_session=2"]
    with pytest.raises(ConfigError, match=r"^env\.id: \S*Trouble-v0 failed at frame \d+, .*go on with: ") as caught:
        trial.run(load_config(*overrides))
    assert "\n" not in str(caught.value)
    assert int(re.search(r"frame (\d+)", str(caught.value))[1]) >= 80
    assert "Traceback" in (tmp_path / "run" / "error.txt").read_text()
    file.unlink()
    assert np.isfinite(trial.run(load_config(f"meta.resume={tmp_path / 'run'}")))


def test_an_env_that_cannot_begin(package, load_config):
    with pytest.raises(
        ConfigError,
        match=r"^env\.id: \S* failed at frame 0, session 0, sub-env 0: RuntimeError: no ground \(the traceback",
    ):
        trial.run(load_config("env=gymnasium", f"env.id={package}", "+env.kwargs.kind=reset", "meta=quick_dev"))


def test_ctrl_c_is_for_the_trainer(package):
    made = envs.make(EnvConfig(id=package, num_envs=2, backend="async"), num_sessions=1)
    made.reset([1, 2])
    for process in made.vector.unwrapped.processes:
        os.kill(process.pid, signal.SIGINT)
    _, reward, *_ = made.step(np.zeros((1, 2), np.int64))
    assert reward.tolist() == [[1, 1]]
    made.close()
