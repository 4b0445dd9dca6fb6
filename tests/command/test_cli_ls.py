"""`rllab ls` as a person types it."""

import json
import resource
import shutil

from analysis_runs import write_run
from rllab import config
from rllab.analysis import summarize


def test_a_table(rllab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "outputs" / "one")
    code, out, _ = rllab("ls", "outputs")
    header, row = out.splitlines()
    assert code == 0
    assert header.split() == ["run", "trials", "agent", "env", "sessions", "frames", "score", "state", "age"]
    assert row.split()[:7] == ["outputs/one", "ppo", "CartPole-v1", "2", "400", "40.0", "stopped"]


def test_json(rllab, tmp_path):
    path = write_run(tmp_path / "one")
    (entry,) = json.loads(rllab("ls", tmp_path, "--json")[1])
    assert (entry["path"], entry["kind"], entry["score"], entry["state"]) == (str(path), "run", 40.0, "stopped")


def test_where_nothing_is(rllab, tmp_path):
    assert rllab("ls", tmp_path) == (1, "", f"error: no run or study below {tmp_path}\n")
    assert rllab("ls", tmp_path, "--json") == (0, "[]\n", "")
    assert rllab("ls", tmp_path / "x") == (1, "", f"error: DIR: got '{tmp_path / 'x'}', which is no directory\n")


def test_five_hundred_runs_take_no_time(process, load_config, tmp_path):
    first = write_run(tmp_path / "finished" / "0")
    config.save(load_config("env=cartpole"), first / "config.yaml")  # as long as they are
    shutil.copytree(first, tmp_path / "stopped" / "0")
    summarize(first, plot=False)
    for number in range(1, 250):
        for name in ("finished", "stopped"):
            shutil.copytree(tmp_path / name / "0", tmp_path / name / str(number))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    listed = process("-m", "rllab.command", "ls", cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert len(listed.out.splitlines()) == 501
    assert seconds < 1.5  # of a core, whatever runs beside: 0.4 where this was written
