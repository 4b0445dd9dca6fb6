"""Runs that are ended at random moments go on as if nothing had been, and leave nothing behind.

The number of kills is that of the environment variable KILLS, 24 by default.
"""

import csv
import itertools
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import torch

from rllab import checkpoint
from test_trial import CLOCKS, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

KILLS = int(os.environ.get("KILLS", "24"))
COMMON = ["tuned=none", "meta.max_session=2", "meta.log_frequency=500", "env.num_envs=4", "meta.num_threads=1"]
COMMON += ["meta.final_eval=20", "env=cartpole"]
OFF_POLICY = ["agent.learning_starts=200", "agent.batch_size=16", "agent.buffer_size=1000", "agent.hidden=[16]"]
AGENTS = {
    "ppo": ["agent.num_steps=32", "env.max_frame=20000", "meta.kernels=off"],
    "a2c": ["agent.num_steps=5", "env.max_frame=12000", "meta.kernels=off"],
    "reinforce": ["agent.num_steps=32", "env.max_frame=20000"],
    "sarsa": ["agent.num_steps=5", "env.max_frame=12000"],
    "dqn": [*OFF_POLICY, "env.max_frame=6000"],
    "ddqn_per": [*OFF_POLICY, "env.max_frame=4000"],
    "qrdqn": [*OFF_POLICY, "env.max_frame=4000"],
    "sac": [*OFF_POLICY, "env.max_frame=3000"],
    "td3": [*OFF_POLICY, "env.max_frame=3000", "env=pendulum"],
    "crossq": [*OFF_POLICY, "agent.critic_hidden=[16]", "env.max_frame=2000"],
}
MODES = {
    "sync": ["env.backend=sync"],
    "async": ["env.backend=async"],
    "two workers": ["env.backend=sync", "meta.num_workers=2"],
    "shared": ["env.backend=sync", "meta.distributed=shared"],
    "synced": ["env.backend=sync", "meta.distributed=synced"],
}
EXACT = ("sync", "async", "two workers")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


def cases():
    """Agents in turn, each with the next mode and the next signal."""
    agents = itertools.cycle(AGENTS)
    for mode, number in itertools.cycle(itertools.product(MODES, SIGNALS)):
        agent = next(agents)
        if mode in EXACT or agent in ("ppo", "a2c"):  # Hogwild is for those that learn from what they just saw
            yield agent, mode, number


class Started:
    """`train.py` with these words, and whatever it starts."""

    def __init__(self, words, cwd):
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *words],
            cwd=cwd,
            env=os.environ | {"OMP_NUM_THREADS": "1", "RLLAB_TEST": self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self):
        """Exit code and both outputs."""
        out, err = self.process.communicate(timeout=600)
        return self.process.returncode, out, err

    def left(self):
        """Command lines of its processes that are alive."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and self.mark.encode() in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found


def shared_memory():
    return {path for path in Path("/dev/shm").iterdir() if not path.name.startswith("PostgreSQL")}


def rows(run):
    """All tables, without what a clock shows."""
    tables = {}
    for path in sorted(run.glob("session_*/*.csv")):
        with path.open() as file:
            tables[path.parent.name, path.name] = [
                {k: v for k, v in row.items() if k not in CLOCKS} for row in csv.DictReader(file)
            ]
    return tables


def policies(run):
    state = checkpoint.read(run / "checkpoints" / "last.safetensors")
    flat = {}

    def walk(node, path=()):
        if isinstance(node, dict):
            for key, value in node.items():
                walk(value, (*path, key))
        elif isinstance(node, list):
            for key, value in enumerate(node):
                walk(value, (*path, key))
        elif isinstance(node, torch.Tensor) and "policy" in path:
            flat[path] = node

    walk(state)
    return flat


def same(run, whole):
    assert rows(run) == rows(whole)
    ours, theirs = policies(run), policies(whole)
    assert ours.keys() == theirs.keys()
    assert ours
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """`uninterrupted(agent, mode)` is the directory of a whole run, and the seconds that it took."""
    known = {}

    def train(agent, mode):
        if (agent, mode) not in known:
            directory = tmp_path_factory.mktemp("whole")
            started = time.monotonic()
            code, _, err = Started([*words_of(agent, mode), "run_dir=run"], directory).end()
            assert code == 0, err
            known[agent, mode] = directory / "run", time.monotonic() - started
        return known[agent, mode]

    return train


def words_of(agent, mode):
    return [f"agent={agent}", *COMMON, *AGENTS[agent], *MODES[mode]]


def check_end(number, code, err, where):
    assert "Traceback" not in err, where
    assert "leaked" not in err, where
    assert code in {signal.SIGINT: (130, 0), signal.SIGTERM: (143, -15, 0), signal.SIGKILL: (-9, 0)}[number], where
    if number == signal.SIGINT and code == 130:
        assert err == "", where


def test_as_if_never_killed(uninterrupted, tmp_path):
    rng = random.Random(0)
    moments = []
    for index, (agent, mode, number) in enumerate(itertools.islice(cases(), KILLS)):
        whole, seconds = uninterrupted(agent, mode)
        before = shared_memory()
        directory = tmp_path / str(index)
        directory.mkdir()
        run, words = directory / "run", [*words_of(agent, mode), "run_dir=run"]
        kills = 0
        while True:  # again and again, until it is through
            moment = rng.uniform(0, 1.1 * seconds) if kills < 3 else 600
            started = Started(words, directory)
            try:
                out, err = started.process.communicate(timeout=moment)
            except subprocess.TimeoutExpired:
                started.process.send_signal(number)
                kills += 1
                signalled = time.monotonic()
                code, out, err = started.end()
                where = f"{index}: {agent}, {mode}, {number.name} after {moment:.2f} s: {code} {out!r} {err!r}"
                check_end(number, code, err, where)
                took = time.monotonic() - signalled
            else:
                code, took = started.process.returncode, 0
                where = f"{index}: {agent}, {mode}: {code} {out!r} {err!r}"
                assert code == 0, where
            ended = time.monotonic()
            while (left := started.left()) and time.monotonic() < ended + 1:
                time.sleep(0.02)
            assert not left, f"{where}: {left}"
            moments.append((agent, mode, number.name, round(moment, 2), round(took, 2), code))
            if code == 0:
                break
            saved = (run / "checkpoints" / "last.safetensors").exists()
            if told := re.findall(r"go on with: (.*)", out):
                words = shlex.split(told[0])[2:]
            elif saved:
                words = ["meta.resume=run"]
            else:
                shutil.rmtree(run, ignore_errors=True)
                words = [*words_of(agent, mode), "run_dir=run"]
        assert shared_memory() <= before, where
        if mode in EXACT:
            same(run, whole)
        sys.stderr.write(f"{moments[-1]} after {kills} kills\n")
    sys.stderr.write(f"{sum(code != 0 for *_, code in moments)} kills of {KILLS} runs\n")
