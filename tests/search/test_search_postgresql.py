"""Several machines share one search through PostgreSQL: two sweepers on a server of the test's own."""

import logging
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from search.toy.running import (
    Toy,
    check_exactly_once,
    end_all,
    interrupt,
    kill_at_random,
    needs_proc,
    outages,
    wait_until,
)

LOG = logging.getLogger(__name__)
SPACE = "agent.x=interval(0,1)"


def find_programs():
    """The directory of PostgreSQL's programs, which Debian does not put into PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    return max(versions, key=lambda path: float(path.parent.name), default=None)


PROGRAMS = find_programs()
needs_server = pytest.mark.skipif(
    PROGRAMS is None,
    reason="needs PostgreSQL's initdb: apt-get install postgresql, or brew install postgresql",
)


class Server:
    """A fresh server, which refuses to run as root."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="pg"))  # pytest's own directories are closed to other users
        self.user = {}
        if os.getuid() == 0:
            name = "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"
            entry = pwd.getpwnam(name)
            os.chown(self.directory, entry.pw_uid, entry.pw_gid)
            self.user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self.run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")

    def run(self, *words):
        log = self.directory / "commands.log"
        with log.open("a") as file:
            done = subprocess.run(
                [PROGRAMS / words[0], *words[1:]],
                cwd=self.directory,
                stdout=file,
                stderr=file,
                check=False,
                **self.user,
            )
        assert done.returncode == 0, log.read_text()

    def start(self):
        options = f"-p {self.port} -k {self.directory} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.run("pg_ctl", "-D", "data", "-l", "server.log", "-o", options, "-w", "start")

    def stop(self, how="fast"):
        self.run("pg_ctl", "-D", "data", "-m", how, "-w", "stop")


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("psycopg", reason="needs its driver: pip install 'rllab[postgresql]'")
    server = Server()
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.directory)


@pytest.fixture
def make_machine(server, tmp_path):
    """Each machine has a directory of its own, and knows of the others by the database alone."""
    machines = []

    def make(study, *words):
        words = ["-m", "hydra.sweeper.n_jobs=1", *words, f"hydra.sweeper.storage={server.url}"]
        machines.append(Toy(tmp_path / str(len(machines)), *words, f"hydra.sweeper.study_name={study}"))
        return machines[-1]

    yield make
    for machine in machines:
        end_all(machine)


def resolved(server):
    return server.url.replace("postgresql:", "postgresql+psycopg:")


@needs_server
@pytest.mark.slow
def test_two_machines_started_at_once_share_a_study(make_machine, server):
    machines = [make_machine("shared", SPACE, "meta.max_trial=8", "hydra/launcher=basic") for _ in range(2)]
    sweepers = [machine.start(seconds=1) for machine in machines]
    codes = [sweeper.wait(120) for sweeper in sweepers]
    assert codes == [0, 0], [(machine.directory / "err").read_text() for machine in machines]
    trials = machines[0].trials("shared", resolved(server))
    assert [(trial.number, trial.state.name) for trial in trials] == [(number, "COMPLETE") for number in range(8)]
    for trial in trials:
        ends = [machine.lines(trial.number, "ends", "shared") for machine in machines]
        starts = [machine.lines(trial.number, "starts", "shared") for machine in machines]
        assert sorted(map(len, ends)) == sorted(map(len, starts)) == [0, 1]
    assert len({trial.user_attrs["owner"] for trial in trials}) == 2
    assert len({trial.params["agent.x"] for trial in trials}) == 8
    tables = [(machine.directory / "multirun" / "shared" / "trials.csv").read_text() for machine in machines]
    assert all(table.count("complete") == 8 for table in tables)


@pytest.mark.slow
@needs_proc
@needs_server
def test_one_machine_takes_over_from_another_that_vanished(make_machine, server):
    words = ["agent.x=0.1,0.2,0.3", "hydra.sweeper.patience=7"]
    lost, other = make_machine("lost", *words), make_machine("lost", *words)
    process = lost.start(seconds=60)
    wait_until((lost.folder(0, "lost") / "frame").exists, 60)
    survivor = other.start(seconds=1)
    process.kill()
    process.wait()
    wait_until(lambda: not lost.processes(), 3, "processes gone")
    assert survivor.wait(120) == 0, (other.directory / "err").read_text()
    trials = check_exactly_once(other, 3, "lost", resolved(server))
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3
    assert [trial.user_attrs.get("lost") for trial in trials] == [1, None, None]
    assert lost.lines(0, "ends", "lost") == []
    assert [len(other.lines(number, "starts", "lost")) for number in range(3)] == [1, 1, 1]


@pytest.mark.slow
@needs_proc
@needs_server
def test_a_restart_of_the_database_is_waited_for(make_machine, server):
    """Eight seconds under two sweepers, amid their trials: nothing is run again, and no report is missing."""
    machines = [make_machine("restart", SPACE, "meta.max_trial=6") for _ in range(2)]
    sweepers = [machine.start(seconds=6) for machine in machines]
    wait_until(lambda: sum(len(list(machine.directory.rglob("frame"))) for machine in machines) == 2, 60)
    server.stop()
    before = [frames(machine) for machine in machines]
    time.sleep(8)
    assert all(now > then for now, then in zip(map(frames, machines), before, strict=True)), "training stood still"
    server.start()
    codes = [sweeper.wait(120) for sweeper in sweepers]
    assert codes == [0, 0], [(machine.directory / "err").read_text() for machine in machines]
    trials = machines[0].trials("restart", resolved(server))
    assert [(trial.number, trial.state.name) for trial in trials] == [(number, "COMPLETE") for number in range(6)]
    for trial in trials:
        assert sorted(trial.intermediate_values) == list(range(100, 1001, 100))
        for kind in ("starts", "ends"):
            assert sum(len(machine.lines(trial.number, kind, "restart")) for machine in machines) == 1
    for machine in machines:
        out = (machine.directory / "out").read_text()
        assert out.count("does not answer (") == out.count("answers again") == 1
        assert (machine.directory / "err").read_text() == ""


def frames(machine):
    """Frames that all trials of a machine have trained."""
    return sum(int(path.read_text()) for path in machine.directory.rglob("frame"))


@pytest.mark.slow
@needs_proc
@needs_server
def test_patience_ends_with_one_line_and_the_same_command_goes_on(make_machine, server):
    machine = make_machine("patience", "agent.x=0.1,0.2", "hydra.sweeper.patience=3")
    process = machine.start(seconds=60)
    wait_until((machine.folder(0, "patience") / "frame").exists, 60)
    server.stop()
    try:
        assert process.wait(30) == 1
        stopped = machine.start(seconds=0)  # a command that begins now is told at once
        assert stopped.wait(30) == 1
    finally:
        server.start()
    first, second = (machine.directory / "err").read_text().splitlines()
    start = f"error: hydra.sweeper.storage: got '{server.url}', which "
    assert first.startswith(f"{start}has not answered for 3 s (")
    assert first.endswith("type the same command again, which goes on, or write more than hydra.sweeper.patience=3")
    assert second.startswith(f"{start}cannot be reached (")
    wait_until(lambda: not machine.processes(), 3, "processes gone")
    result = machine.run(seconds=0)
    assert result.code == 0, result.err
    assert result.seconds < 60
    trials = check_exactly_once(machine, 2, "patience", resolved(server))
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 2


@pytest.mark.slow
@needs_proc
@needs_server
def test_ctrl_c_ends_a_search_whose_database_does_not_answer(make_machine, server):
    machine = make_machine("ctrlc", "agent.x=0.1,0.2")
    process = machine.start(seconds=60)
    wait_until((machine.folder(0, "ctrlc") / "frame").exists, 60)
    server.stop()
    try:
        wait_until(lambda: "does not answer" in (machine.directory / "out").read_text(), 30)
        assert interrupt(process) < 8
    finally:
        server.start()
    assert process.returncode == 130
    assert (machine.directory / "out").read_text().endswith("does not answer; the same command goes on\n")
    assert machine.run(seconds=0).code == 0
    check_exactly_once(machine, 2, "ctrlc", resolved(server))


@pytest.mark.slow
@pytest.mark.timeout(2400)
@needs_proc
@needs_server
def test_kills_and_restarts_at_random(make_machine, server):
    """RLLAB_KILLS=50 is the full number; there are two stops of the database for five kills."""
    kills = int(os.environ.get("RLLAB_KILLS", "15"))
    rng = random.Random(kills)
    words = ["meta.max_trial=20", "hydra.sweeper.max_retries=50", "hydra.sweeper.max_failure_rate=1"]
    machine = make_machine("kills", SPACE, *words, "hydra.sweeper.n_jobs=2", "agent.child=true")
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    with outages(server, kills * 2 // 5, rng) as lengths:
        killed = kill_at_random(machine, kills, random.Random(kills + 1), seconds=8, trials=0.2, numbers=numbers)
        wait_until(lambda: len(lengths) == kills * 2 // 5, 600, "all stops")
    trials = check_exactly_once(machine, 20, "kills", resolved(server))
    assert [trial.number for trial in trials] == list(range(20))
    failed = [trial.user_attrs["reason"] for trial in trials if trial.state.name == "FAIL"]
    assert all(reason.startswith(("killed (SIG", "stopped (SIG")) for reason in failed), failed
    assert len(failed) <= killed["trial"]
    starts = Counter(len(machine.lines(number, "starts", "kills")) for number in range(20))
    states = Counter(trial.state.name for trial in trials)
    LOG.info("killed %s; %d stops, %.1f s in all; %s; starts %s", killed, len(lengths), sum(lengths), states, starts)
