"""Trials over several processes: the same numbers, one end, and no process left behind."""

import csv
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from rllab import checkpoint, distributed, envs
from rllab.distributed import checks, handle, workers
from rllab.distributed.reports import Reports
from rllab.errors import ConfigError
from rllab.training import trial
from rllab.training.sessions import CheckpointReport

ROOT = Path(__file__).parents[2]
SMALL = ["tuned=none", "agent.num_steps=32", "agent.num_minibatches=2", "agent.num_epochs=2", "env.max_frame=2000"]
SMALL += ["meta.log_frequency=200", "meta.eval_frequency=300", "agent.normalize_obs=true"]
CLOCKS = ("elapsed_s", "time/fps", "time/env_share", "time/act_share", "time/update_share", "time/log_share")


def table(path):
    """Columns of a CSV as lists of numbers, without what clocks say."""
    with Path(path).open() as file:
        rows = [[float(row[name] or "nan") for name in row if name not in CLOCKS] for row in csv.DictReader(file)]
    return np.array(rows)


def state(run_dir, name="last"):
    return checkpoint.read(Path(run_dir) / "checkpoints" / f"{name}.safetensors")


def assert_same_run(a, b, *, exact):
    close = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-3, "atol": 1e-4}
    names = [{p.name.partition(".tfevents.")[0] for p in run.iterdir()} for run in (a, b)]
    assert names[0] == names[1]
    for path in sorted(a.glob("session_*/*.csv")):
        np.testing.assert_allclose(table(path), table(b / path.relative_to(a)), **close)
    for policies in zip(*(sorted(state(run)["algorithm"]["policy"].items()) for run in (a, b)), strict=True):
        torch.testing.assert_close(policies[0][1], policies[1][1], **close)
    best = [state(run, "best") for run in (a, b)]
    assert best[0]["frame"] == best[1]["frame"]
    for name, tensor in best[0]["policy"].items():
        torch.testing.assert_close(tensor, best[1]["policy"][name], **close)


def descendants(session):
    """Processes of this session that still run; every child of a process stays in its session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def assert_no_orphans(session):
    deadline = time.monotonic() + 10
    while (left := descendants(session)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


@pytest.fixture
def start(tmp_path):
    """`train.py` as a session of its own, of which nothing survives the test."""
    started = []

    def go(*overrides):
        command = [sys.executable, str(ROOT / "train.py"), *overrides]
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, cwd=tmp_path, text=True, start_new_session=True, **pipes))
        return started[-1]

    yield go
    for process in started:
        for pid in descendants(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.communicate()


def wait_for(condition, process):
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def workers_of(process):
    """The worker processes of a running `train.py`: leaders of groups, whose parent is the server that forked them."""
    return [pid for pid in descendants(process.pid) if pid != process.pid and _is_leader(pid)]


def _is_leader(pid):
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def test_workers_give_the_numbers_of_one_process_and_go_on_where_they_were(load_config, tmp_path, monkeypatch):
    overrides = [*SMALL, "meta.max_session=3", "meta.rigorous_eval=2"]
    trial.run(load_config(*overrides, run_dir="one"))
    trial.run(load_config(*overrides, "meta.num_workers=2", run_dir="two"))
    assert_same_run(tmp_path / "one", tmp_path / "two", exact=False)

    begin = distributed.Workers.begin

    def begin_and_stop(workers, *arguments):  # somewhere in the middle
        notes = begin(workers, *arguments)
        threading.Timer(0.1, signal.raise_signal, [signal.SIGTERM]).start()
        return notes

    monkeypatch.setattr(distributed.Workers, "begin", begin_and_stop)
    long = [*overrides, "env.max_frame=6000", "meta.num_workers=2"]
    with pytest.raises(SystemExit):
        trial.run(load_config(*long, "env.max_frame=1e9", run_dir="cut"))
    monkeypatch.undo()
    frames = [worker["frame"] for worker in state(tmp_path / "cut")["workers"]]
    assert min(frames) > 0
    config = tmp_path / "cut" / "config.yaml"
    budget = (max(frames) // 2000 + 2) * 2000
    config.write_text(config.read_text().replace("max_frame: 1000000000", f"max_frame: {budget}"))
    trial.run(load_config(f"meta.resume={tmp_path / 'cut'}"))
    trial.run(load_config(*long, f"env.max_frame={budget}", run_dir="whole"))
    assert_same_run(tmp_path / "whole", tmp_path / "cut", exact=True)


def test_a_checkpoint_that_one_worker_skips_is_left_out(load_config):
    reports = Reports(load_config(*SMALL), num_workers=2)
    first, second = reports.waiting

    def say(waiting, *frames):
        waiting += [CheckpointReport("log", frame, [{"frame": frame}], [0.0], [0.0]) for frame in frames]

    def taken():
        return [tuple(part.frame for part in parts) for parts in iter(reports.take, [])]

    say(first, 208, 608)  # it saw the common count jump from below 400 to above 600
    say(second, 200, 400)
    assert taken() == [(208, 200)]
    assert [report.frame for report in second] == [400]
    say(second, 616, 1000)
    assert taken() == [(608, 616)]
    assert first == []
    say(first, 2008)  # the end of the budget is one for all
    say(second, 1200, 2000)
    assert taken() == [(2008, 2000)]
    assert second == []


def test_the_oldest_checkpoint_comes_first(load_config):
    reports = Reports(load_config(*SMALL), num_workers=2)
    for waiting in reports.waiting:
        waiting += [CheckpointReport(kind, frame, [], [], []) for kind, frame in [("log", 400), ("eval", 304)]]
    assert [(part.kind, part.frame) for part, _ in iter(reports.take, [])] == [("eval", 304), ("log", 400)]


def test_a_search_stops_all_workers_at_once(load_config, tmp_path):
    class Search:
        name, pruned = "study", False
        reports, finished = [], []

        def begin(self):
            assert self.reports == []

        def report(self, frame, value, *, last):
            self.reports.append((frame, value, last))
            self.pruned = frame >= 400
            return self.pruned

        def finish(self, score, frame):
            self.finished.append((score, frame))

    search = Search()
    score = trial.run(load_config(*SMALL, "meta.num_workers=2", "env.max_frame=1e9"), search)
    assert [report[0] for report in search.reports] == [200, 400]
    assert search.finished == [(score, 400)]
    assert score == search.reports[-1][1]
    np.testing.assert_array_equal(table(tmp_path / "run" / "session_3" / "train.csv")[:, 0], [200, 400])


@pytest.mark.parametrize("mode", ["shared", "synced"])
def test_hogwild_is_one_policy_with_one_budget(load_config, tmp_path, mode):
    overrides = [*SMALL, "meta.max_session=2", f"meta.distributed={mode}", "agent.lr=linear:1e-3:0"]
    score = trial.run(load_config(*overrides))
    run = tmp_path / "run"
    assert {"session_0", "worker_0", "worker_1"} == {p.name for p in run.iterdir() if p.name[-2] == "_"}
    summary = json.loads((run / "trial.json").read_text())
    assert summary["num_sessions"] == 1
    assert score == pytest.approx(summary["sessions"][0]["final_return"])
    last = state(run)
    shares = [worker["step"] * 8 for worker in last["workers"]]
    assert min(shares) > 0
    assert 2000 <= sum(shares) <= 2000 + 2 * 8
    for name, tensor in last["algorithm"]["policy"].items():
        assert tensor.shape[0] == 1, name
    with (run / "session_0" / "train.csv").open() as file:
        rows = list(csv.DictReader(file))
    frames = [int(row["frame"]) for row in rows]
    assert frames == sorted(set(frames))
    assert frames[-1] >= 2000
    assert float(rows[-1]["train/lr"]) < 4e-4  # the schedule runs on the common count
    assert "workers race" in json.loads((run / "provenance.json").read_text())["reproducible"]


def test_a_worker_that_is_killed_ends_the_run_in_one_line_and_last_is_whole(start, tmp_path):
    run = tmp_path / "run"
    process = start("env.max_frame=1e9", "meta.max_session=2", "meta.num_workers=2", f"run_dir={run}")
    wait_for((run / "checkpoints" / "last.safetensors").exists, process)
    assert len(workers_of(process)) == 2
    kill_one_and_check(process, run)
    resumed = start(f"meta.resume={run}")
    frame = state(run)["frame"]
    wait_for(lambda: state(run)["frame"] > frame, resumed)
    resumed.kill()  # SIGKILL of the parent
    resumed.wait()
    assert_no_orphans(resumed.pid)


def kill_one_and_check(process, run):
    os.kill(random.choice(workers_of(process)), signal.SIGKILL)
    killed = time.monotonic()
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - killed < 5
    assert process.returncode == 1
    (line,) = err.strip().splitlines()
    assert line.startswith("error: worker ")
    assert "was killed by SIGKILL" in line
    assert f"meta.resume={run}" in line or "nothing had been saved" in line
    assert_no_orphans(process.pid)
    path = run / "checkpoints" / "last.safetensors"
    assert not path.exists() or len(state(run)["workers"]) > 1


@pytest.mark.slow
def test_twenty_kills_at_random_moments(start, tmp_path):
    random.seed(0)
    modes = ["meta.num_workers=2", "meta.distributed=shared", "meta.distributed=synced", "meta.num_workers=4"]
    for index in range(20):
        run = tmp_path / str(index)
        process = start("env.max_frame=1e9", "meta.max_session=4", modes[index % len(modes)], f"run_dir={run}")
        wait_for(lambda process=process: workers_of(process), process)
        time.sleep(random.uniform(0, 4))
        kill_one_and_check(process, run)


PACKAGE = '''
import gymnasium, os, time
import numpy as np

class Breaks(gymnasium.Env):
    """Raises, hangs or crashes its process in the third session, once it has been stepped 200 times."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, how):
        self.how, self.steps = how, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.seed = seed
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        if self.steps > 200 and os.environ["BREAKS"] == str(self.seed):
            if self.how == "raise":
                raise ValueError("no more")
            if self.how == "hang":
                time.sleep(1000)
            os._exit(7)
        return np.zeros(1, np.float32), 1.0, self.steps % 20 == 0, False, {}

gymnasium.register("Breaks-v0", Breaks)
'''
ENDS = {
    "raise": "env.id: breaking:Breaks-v0 failed at frame *, worker 1 of 2 (at frame 210 of its own), "
    "session 2, sub-env 0: ValueError: no more (the traceback is in *; once it is mended go on with: *meta.resume=*",
    "hang": "worker 1 of 2 (at frame 210 of its own) hangs: no env step or checkpoint for meta.worker_timeout=2 *",
    "exit": "worker 1 of 2 (at frame 210 of its own) ended with exit code 7*",
}


@pytest.mark.parametrize("how", ENDS)
def test_a_worker_that_fails_is_named_with_the_cause(load_config, tmp_path, monkeypatch, how):
    from fnmatch import fnmatch

    from rllab.random.streams import session_seeds

    (tmp_path / "breaking.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BREAKS", str(session_seeds(0, 2, "env", 1)[0]))
    overrides = [*SMALL, "env.id=breaking:Breaks-v0", f"+env.kwargs.how={how}", "env.num_envs=1", "meta.max_session=4"]
    overrides += ["meta.num_workers=2", "meta.worker_timeout=2", "meta.log_frequency=50", "env.max_frame=1e6"]
    began = time.monotonic()
    with pytest.raises(ConfigError) as refused:
        trial.run(load_config(*overrides))
    assert time.monotonic() - began < 60
    assert fnmatch(str(refused.value), ENDS[how]), str(refused.value)
    if how == "raise":  # all have been saved as they were
        assert [worker["frame"] for worker in state(tmp_path / "run")["workers"]][1] == 210
        assert "no more" in (tmp_path / "run" / "error.txt").read_text()


def test_who_waits_for_the_others_does_not_hang(load_config):
    """Both have stood still for long; the first has answered a snapshot, which the other keeps from being whole."""
    cfg = load_config("env=cartpole", "meta.num_workers=2", "meta.max_session=2")
    team = workers.Workers(cfg, envs.inspect(cfg.env))
    waiting, hanging = (handle.Handle(index, range(index, index + 1), None, None) for index in range(2))
    team._take_in(waiting, ("state", 1, checkpoint.dumps({}), None))
    for each, long_ago in ((waiting, 2000), (hanging, 1500)):
        each.moved_at = time.monotonic() - long_ago
    team._check_that_it_moves(waiting)
    with pytest.raises(handle.WorkerError, match=r"worker 1 of 2 .* hangs"):
        team._check_that_it_moves(hanging)


def test_auto_takes_workers_where_envs_take_time(load_config):
    def num_workers(env, sessions, cores, threads=1):
        cfg = load_config(*f"env={env}".split(), "tuned=none", f"meta.max_session={sessions}", "meta.num_workers=auto")
        cfg = dataclasses.replace(cfg, meta=dataclasses.replace(cfg.meta, num_threads=threads))
        return checks.resolve(cfg, envs.inspect(cfg.env), cores=cores).num_workers

    assert num_workers("cartpole", 4, 8) == 1  # one vectorised env
    assert num_workers("acrobot env.backend=sync", 4, 2) == 2
    assert num_workers("acrobot env.backend=sync", 4, 1) == 1
    assert num_workers("acrobot env.backend=sync", 3, 8) == 3
    assert num_workers("acrobot env.backend=sync", 4, 8, threads=4) == 2
