"""Searches over the toy as a person would start, stop and look at them."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from rllab.search.storage import open_storage

TOY = Path(__file__).with_name("toy.py")
needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by Linux's /proc")
_MARK = "TOY_MARK"
"""Environment variable by which the processes of one test are found, whoever their parent is now."""


@dataclass
class Result:
    code: int
    out: str
    err: str
    seconds: float


class Toy:
    """Runs toy.py in a directory of its own. `words` are those that every command has."""

    def __init__(self, directory, *words, program=TOY):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.words = words
        self.program = program

    def start(self, *words, seconds=None, pictures=False, **environment):
        """Start a search; its output goes to files, so that nobody has to read a pipe."""
        marks = {_MARK: str(self.directory), "COLUMNS": "200"}
        if seconds is not None:
            marks["TOY_SECONDS"] = str(seconds)
        if not pictures:
            marks["TOY_NO_PICTURES"] = "1"
        with (self.directory / "out").open("a") as out, (self.directory / "err").open("a") as err:
            return subprocess.Popen(
                [sys.executable, str(self.program), *self.words, *words],
                cwd=self.directory,
                env=os.environ | marks | environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,  # a process group of its own, as a terminal gives it
            )

    def run(self, *words, timeout=240, **options):
        out, err = self.directory / "out", self.directory / "err"
        before = [len(path.read_text()) if path.exists() else 0 for path in (out, err)]
        began = time.monotonic()
        process = self.start(*words, **options)
        try:
            process.wait(timeout)
        finally:
            process.kill()
        texts = [path.read_text()[length:] for path, length in zip((out, err), before, strict=True)]
        return Result(process.returncode, *texts, time.monotonic() - began)

    def study(self, name="k", storage=None):
        """The study as Optuna's own users see it."""
        url = storage or f"sqlite:///{self.directory}/multirun/{name}/study.db"
        return optuna.load_study(study_name=name, storage=open_storage(url))

    def trials(self, name="k", storage=None):
        return self.study(name, storage).get_trials()

    def folder(self, number, name="k"):
        return self.directory / "multirun" / name / str(number)

    def lines(self, number, kind, name="k"):
        """Lines of ``starts`` or ``ends`` of one trial, each with the time last."""
        path = self.folder(number, name) / kind
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def processes(self):
        """Every process that was started here and lives, however deep and whoever adopted it."""
        mark = f"{_MARK}={self.directory}".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended, or is another user's
                ended = (process / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
                # the directory as well: some write their title over their environment
                ours = mark in (process / "environ").read_bytes().split(b"\0") or (
                    (process / "cwd").readlink() == self.directory
                )
                if ours and not ended:
                    found.append(int(process.name))
        return found


def wait_until(condition, seconds, what="it"):
    """Seconds until a condition holds.

    Raises:
        TimeoutError: it did not within so many seconds.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - began


def interrupt(process, number=signal.SIGINT):
    """Send a signal to the process group, as a terminal does with Ctrl-C; returns seconds until the process ended."""
    began = time.monotonic()
    os.killpg(process.pid, number)
    process.wait(60)
    return time.monotonic() - began


def end_all(toy):
    """Leave no process behind, whatever a test found."""
    for pid in toy.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_at_random(toy, kills, rng, *, seconds=1, trials=0.5, numbers=(signal.SIGKILL,)):
    """Run a search to its end through random signals, to the sweeper or to a trial; returns how many of each.

    Args:
        toy: it.
        kills: signals.
        rng: chooses them and their moments.
        seconds: of a trial.
        trials: share of the signals that go to trials; one that has begun to train fails.
        numbers: the signals to choose from.

    Raises:
        TimeoutError: a process of a killed sweeper lived on.
    """
    killed = {"sweeper": 0, "trial": 0}
    while True:
        written = (toy.directory / "err").stat().st_size if (toy.directory / "err").exists() else 0
        process = toy.start(seconds=seconds)
        while process.poll() is None and sum(killed.values()) < kills:
            _wait_for_a_moment(toy, process, rng)
            jobs, number = _jobs(toy, process), rng.choice(numbers)
            if rng.random() < trials and jobs:
                with suppress(ProcessLookupError):
                    os.kill(rng.choice(jobs), number)
                    killed["trial"] += 1
            elif process.poll() is None:
                process.send_signal(number)
                process.wait(60)
                killed["sweeper"] += 1
                wait_until(lambda: not toy.processes(), 3, "processes gone")
        code = process.wait(300)
        refused = (toy.directory / "err").read_text()[written:]
        if code == 0:
            return killed
        stopped = code in {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, 128 + signal.SIGINT, 128 + signal.SIGTERM}
        assert stopped or "cannot be reached" in refused, (code, refused)


@contextmanager
def outages(server, number, rng):
    """Stop a server so many times at random moments, for up to three seconds each; yields the list of their lengths."""
    lengths, over = [], threading.Event()

    def stop_and_start():
        while len(lengths) < number and not over.wait(rng.uniform(1, 25)):
            began = time.monotonic()
            server.stop(rng.choice(["fast", "immediate"]))
            time.sleep(rng.uniform(0, 3))
            server.start()
            lengths.append(time.monotonic() - began)

    thread = threading.Thread(target=stop_and_start)
    thread.start()
    try:
        yield lengths
    finally:
        over.set()
        thread.join()


def _wait_for_a_moment(toy, sweeper, rng):
    """Until somewhere in the work of a trial, or sometimes in its beginning."""
    before, early = _size_of_starts(toy), rng.random() < 0.3
    while sweeper.poll() is None and not (_jobs(toy, sweeper) if early else _size_of_starts(toy) > before):
        time.sleep(0.02)
    time.sleep(rng.uniform(0, 1.5))


def _size_of_starts(toy):
    return sum(path.stat().st_size for path in toy.directory.rglob("starts"))


def _jobs(toy, sweeper):
    """Processes of trials, each of which leads its own group."""
    return [pid for pid in toy.processes() if pid != sweeper.pid and _leads(pid)]


def _leads(pid):
    with suppress(ProcessLookupError):
        return os.getpgid(pid) == pid
    return False


def slot_use(trials, slots):
    """Share of slot time that is busy between the first trial's start and the last one's."""
    starts = sorted(trial.datetime_start for trial in trials)
    window = (starts[-1] - starts[0]).total_seconds()
    busy = sum((min(trial.datetime_complete, starts[-1]) - trial.datetime_start).total_seconds() for trial in trials)
    return busy / (slots * window)


def check_exactly_once(toy, total, name="k", storage=None):
    """Every trial has finished once, and none was started again after that."""
    trials = toy.trials(name, storage)
    assert [trial.number for trial in trials] == list(range(total))
    assert all(trial.state.is_finished() for trial in trials), [trial.state.name for trial in trials]
    for trial in trials:
        ends = toy.lines(trial.number, "ends", name)
        assert len(ends) <= 1
        if trial.state != TrialState.FAIL:
            assert toy.lines(trial.number, "frame", name) == [[str(trial.user_attrs["frame"])]]
            assert max(float(line[-1]) for line in toy.lines(trial.number, "starts", name)) < (
                trial.datetime_complete.timestamp()
            )
        assert all(earlier < later for earlier, later in pairwise(sorted(trial.intermediate_values)))
    return trials
