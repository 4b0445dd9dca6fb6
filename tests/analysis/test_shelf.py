"""`rllab ls`: what is found, and what it says of directories in every condition."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time

import pytest

from analysis_runs import write_run
from rllab.analysis import summarize
from rllab.analysis.shelf import age, find, is_run, is_study, look
from rllab.host.process import LOCK, Hold

HOLD = (
    "import sys, time, pathlib; from rllab.host.process import Hold; hold = Hold(pathlib.Path(sys.argv[1]))\n"
    "print(flush=True)\n"
)


def note(path, **facts):
    provenance = {"time": "2026-11-24T10:00:00+00:00", "host": platform.node()} | facts
    (path / "provenance.json").write_text(json.dumps(provenance))
    return path


@pytest.fixture
def run(tmp_path):
    """An unfinished run of this machine: latest scores 20 and 60 at frame 400."""
    return note(write_run(tmp_path / "run"))


def test_an_unfinished_run_from_the_ends_of_its_tables(run):
    entry = look(run)
    assert (entry.kind, entry.agent, entry.env, entry.sessions) == ("run", "ppo", "CartPole-v1", 2)
    assert (entry.frames, entry.score, entry.state) == (400, 40.0, "stopped")


def test_a_finished_run_from_its_summary(run):
    summarize(run, plot=False)
    (run / "config.yaml").write_text("meta: [")  # not needed any more
    entry = look(run)
    assert (entry.agent, entry.env, entry.sessions) == ("ppo", "CartPole-v1", 2)
    assert (entry.frames, entry.score, entry.state) == (400, 40.0, "finished")


def test_a_long_table_is_read_from_its_end(run):
    table = run / "session_0" / "train.csv"
    table.write_text(
        table.read_text() + "".join(f"{frame},5.0,30.0,30.0,11,{frame}\n" for frame in range(500, 90_000, 100))
    )
    assert look(run).frames == 89_900


def test_who_holds_the_directory_is_running_until_killed(run):
    holder = subprocess.Popen([sys.executable, "-c", HOLD + "time.sleep(60)", run], stdout=subprocess.PIPE)
    assert holder.stdout.readline()
    assert look(run).state == "running"
    holder.kill()
    holder.wait()
    assert (run / LOCK).exists()
    assert look(run).state == "stopped"


def test_what_is_let_go_leaves_no_lock_behind(run):
    hold = Hold(run)
    assert look(run).state == "running"
    hold.release()
    assert not (run / LOCK).exists()


def test_a_run_with_a_traceback_has_failed(run):
    (run / "error.txt").write_text("Traceback")
    assert look(run).state == "failed"


def test_processes_of_another_machine_are_not_known(run):
    note(run, host="elsewhere")
    assert (look(run).state, look(run).host) == ("unknown", "elsewhere")
    note(run, host="elsewhere", resumed=[{"host": platform.node()}])
    assert look(run).state == "stopped"


def test_a_lock_that_may_not_be_opened_tells_nothing(run):
    (run / LOCK).mkdir()  # root may open any file
    assert look(run).state == "unknown"


def test_newest_first_and_nothing_inside_a_run_or_study(tmp_path):
    for number, day in enumerate(("22", "24", "23")):
        note(write_run(tmp_path / "outputs" / str(number)), time=f"2026-11-{day}T10:00:00+00:00")
    note(write_run(tmp_path / "multirun" / "study" / "0"), time="2026-11-21T10:00:00+00:00")
    (tmp_path / "multirun" / "study" / ".sweepers").mkdir()
    write_run(tmp_path / "outputs" / "0" / "copy")
    write_run(tmp_path / ".hidden" / "run")
    assert [entry.path.name for entry in find(tmp_path)] == ["1", "2", "0", "study"]
    assert [entry.path for entry in find(tmp_path / "outputs" / "0")] == [tmp_path / "outputs" / "0"]


def test_links_are_followed_once(run):
    folder = run.parent / "folder"
    folder.mkdir()
    (folder / "loop").symlink_to(run.parent)
    (folder / "again").symlink_to(run)
    (folder / "nowhere").symlink_to(folder / "missing")
    (folder / "itself").symlink_to(folder / "itself")
    assert len(find(run.parent)) == 1


GARBAGE = {
    "config.yaml": [b"", b"\xff\xfe", b"meta: [", b"- 1\n", b"meta: 3\nenv: null\n"],
    "provenance.json": [b"", b"{", b"[]", b'{"time": 3}', b'{"resumed": [{}]}'],
    "session_0/train.csv": [b"", b"frame", b"frame,elapsed_s\n", b"frame\nx\n", b"frame\n1,2\n", b"\xff\n\xff\n"],
    "session_1/eval.csv": [b"", b"frame,eval/mean_reward\n100,", b"a\n"],
    "trial.json": [b"", b"{", b"[]", b'{"final_eval": 3}'],
}


@pytest.mark.parametrize(("name", "content"), [(name, c) for name, contents in GARBAGE.items() for c in contents])
def test_garbage_and_half_written_files_break_nothing(run, name, content):
    (run / name).write_bytes(content)
    (entry,) = find(run.parent)
    assert entry.path == run


def test_a_study_shows_its_best_trial(tmp_path):
    study = tmp_path / "study"
    for number in range(3):
        note(write_run(study / str(number)))
    (study / "trials.csv").write_text(
        "trial,state,value\n0,complete,30.0\n1,complete,50.0\n2,pruned,70.0\n3,failed,\n", encoding="utf-8"
    )
    entry = look(study)
    assert (entry.kind, entry.trials, entry.score, entry.state) == ("study", 4, 50.0, "finished")
    assert (entry.agent, entry.env, entry.frames) == ("ppo", "CartPole-v1", 400)


def test_a_study_that_has_not_ended(tmp_path):
    study = tmp_path / "study"
    note(write_run(study / "0"))
    (study / ".sweepers").mkdir()
    assert (look(study).trials, look(study).score, look(study).state) == (1, 40.0, "stopped")
    from filelock import FileLock

    with FileLock(study / ".sweepers" / "host-1.lock"):
        assert look(study).state == "running"


@pytest.mark.parametrize(("states", "state"), [(["failed"], "failed"), (["complete", "waiting"], "stopped")])
def test_states_of_a_study(tmp_path, states, state):
    (tmp_path / "trials.csv").write_text("trial,state,value\n" + "".join(f"0,{s},\n" for s in states))
    assert look(tmp_path).state == state


def test_other_directories_are_neither(tmp_path):
    assert not is_run(tmp_path)
    assert not is_study(tmp_path)
    (tmp_path / "config.yaml").write_text("defaults: []")  # anybody's
    assert not is_run(tmp_path)


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (120, "2 min"), (7_300, "2 h"), (200_000, "2 d"), (-9, "0 s")]
)
def test_age(monkeypatch, seconds, text):
    monkeypatch.setattr(time, "time", lambda: 1e9)
    assert age(1e9 - seconds) == text
