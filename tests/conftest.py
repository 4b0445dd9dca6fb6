"""What several test files need: a config and a command line as a person would type them, and one-thread torch."""

import copy
import functools
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from command_line import PACKAGE, Result, assert_refused, everything_in
from played import CASES, FAST
from rllab import config
from rllab.analysis import plots
from rllab.command import train
from rllab.random.streams import Streams
from rllab.training import loop, trial

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _own_key(tmp_path_factory):
    """The key that signs runs: not that of the person who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session")
def compose_config():
    """`compose_config("env=pendulum", ..., run_dir=...)` -> RunConfig."""
    return composed


@pytest.fixture
def load_config(tmp_path):
    """`load_config("env=pendulum", ...)` -> RunConfig, writing into the test's directory."""
    return lambda *overrides, run_dir="run": composed(*overrides, run_dir=tmp_path / run_dir)


def composed(*overrides, run_dir):
    if not any(word.startswith("meta.final_eval=") for word in overrides):
        overrides = [*overrides, "meta.final_eval=0"]  # most tests train for a moment only
    values = [word for word in overrides if "." in word.partition("=")[0] and word[0] not in "+~"]
    choices = [word for word in overrides if word not in values]
    cfg = copy.deepcopy(composed_choices(*choices))
    for override in OverridesParser.create().parse_overrides([*values, f"run_dir={run_dir}", "meta.num_threads=1"]):
        OmegaConf.update(cfg, override.key_or_group, override.value())
    return config.load(cfg)


@functools.cache
def composed_choices(*choices):
    """What Hydra makes of `env=pendulum agent=sac`: most tests differ in single values only, and it takes a tenth of a
    second."""
    config.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config.conf_dir())):
        return compose("config", [*choices, "run_dir=unused"])


@pytest.fixture
def no_picture(monkeypatch):
    """Runs end without their learning curve, which takes half of the time of a short one."""
    monkeypatch.setattr(plots, "learning_curve", lambda *_: None)


@pytest.fixture(scope="session")
def cases(tmp_path_factory):
    """`cases("ppo")` is the directory of a short run, one of those in `played.CASES`; each is trained once."""

    @functools.cache
    def trained(name):
        path = tmp_path_factory.mktemp("played") / "run"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plots, "learning_curve", lambda *_: None)  # half of the time
            trial.run(composed("env=gymnasium", *FAST, *CASES[name], run_dir=path))
        return path

    return trained


@pytest.fixture(params=CASES)
def case(request, cases):
    """Each of them."""
    return cases(request.param)


@pytest.fixture
def stop_at(monkeypatch):
    """Make the next trial receive a signal once its clock reaches a frame."""

    def arm(frame, number=signal.SIGTERM):
        due, steps_to_next = loop.Clock.due, loop.Clock.steps_to_next

        def due_and_stop(clock, period):
            if clock.frame == frame:
                signal.raise_signal(number)
                monkeypatch.setattr(loop.Clock, "due", due)
                monkeypatch.setattr(loop.Clock, "steps_to_next", steps_to_next)
            return due(clock, period)

        def steps_to_stop(clock, periods):
            steps = steps_to_next(clock, periods)
            return min(steps, (frame - clock.frame) // clock.num_envs) if clock.frame < frame else steps

        monkeypatch.setattr(loop.Clock, "due", due_and_stop)
        monkeypatch.setattr(loop.Clock, "steps_to_next", steps_to_stop)

    return arm


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
    """`command("meta.seed=3")` runs `python train.py meta.seed=3` in this process; a list is of words."""

    def run(line):
        monkeypatch.setattr(sys, "argv", ["train.py", *(shlex.split(line) if isinstance(line, str) else line)])
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


@pytest.fixture
def refused(command, workplace, monkeypatch):
    """`refused(words, line)` asserts that `python train.py WORDS` answers with this line and leaves nothing behind."""
    monkeypatch.chdir(workplace)

    def check(words, line):
        before = everything_in(workplace)
        assert_refused(command(words), line, workplace, before)

    return check


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


def generators(num_sessions, seed=0):
    return Streams(seed, num_sessions, "weights").generators


def randomize(module, seed=0):
    """Parameters that are no special case: biases away from 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * 0.5)


@pytest.fixture
def make_generators():
    return generators


@pytest.fixture
def randomized():
    return randomize
