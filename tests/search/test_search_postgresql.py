"""Several machines share one search through PostgreSQL: two sweepers on a server of the test's own."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from search.toy.running import Toy, check_exactly_once, end_all, needs_proc, wait_until

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


@pytest.fixture(scope="module")
def server():
    """URL of a fresh server, which refuses to run as root."""
    pytest.importorskip("psycopg", reason="needs its driver: pip install 'rllab[postgresql]'")
    directory = Path(tempfile.mkdtemp(prefix="pg"))  # pytest's own directories are closed to other users
    user = {}
    if os.getuid() == 0:
        name = "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"
        entry = pwd.getpwnam(name)
        os.chown(directory, entry.pw_uid, entry.pw_gid)
        user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(*words):
        log = directory / "commands.log"
        with log.open("a") as file:
            done = subprocess.run(
                [PROGRAMS / words[0], *words[1:]], cwd=directory, stdout=file, stderr=file, check=False, **user
            )
        assert done.returncode == 0, log.read_text()

    run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-p {port} -k {directory} -c listen_addresses=127.0.0.1 -c fsync=off"
    run("pg_ctl", "-D", "data", "-l", "server.log", "-o", options, "-w", "start")
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", "data", "-m", "fast", "-w", "stop")
        shutil.rmtree(directory)


@pytest.fixture
def make_machine(server, tmp_path):
    """Each machine has a directory of its own, and knows of the others by the database alone."""
    machines = []

    def make(study, *words):
        words = ["-m", *words, "hydra.sweeper.n_jobs=1", f"hydra.sweeper.storage={server}"]
        machines.append(Toy(tmp_path / str(len(machines)), *words, f"hydra.sweeper.study_name={study}"))
        return machines[-1]

    yield make
    for machine in machines:
        end_all(machine)


def resolved(server):
    return server.replace("postgresql:", "postgresql+psycopg:")


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
    words = ["agent.x=0.1,0.2,0.3", "hydra.sweeper.patience=2"]
    lost, other = make_machine("lost", *words), make_machine("lost", *words)
    process = lost.start(seconds=60)
    wait_until(lambda: lost.lines(0, "starts", "lost"), 60)
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
