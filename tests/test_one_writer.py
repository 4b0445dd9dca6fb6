"""One process at a time writes a run directory, however many begin at once.

The number of rounds is that of the environment variable ROUNDS, 5 by default.
"""

import json
import multiprocessing
import os
import shutil

import pytest

from rllab.analysis.evaluation import record
from rllab.errors import ConfigError
from rllab.training import trial

NUM_PROCESSES = 8
ROUNDS = int(os.environ.get("ROUNDS", "5"))
RUN = ["agent=random", "env=cartpole", "env.max_frame=120000", "meta.max_session=1", "meta.log_frequency=1000"]
REFUSED = ("which another process is still writing", "which holds a run already")


def train(cfg, barrier, results):
    barrier.wait()
    try:
        trial.run(cfg)
    except ConfigError as error:
        results.put(str(error))
    else:
        results.put(None)


def evaluate(run, index, barrier, results):
    barrier.wait()
    record(run, f"checkpoint {index}", "greedy", {"index": index})
    results.put(None)


def at_once(target, *arguments):
    """What eight processes say that begin at the same moment."""
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(NUM_PROCESSES), context.Queue()
    processes = [
        context.Process(target=target, args=(*(a(i) if callable(a) else a for a in arguments), barrier, results))
        for i in range(NUM_PROCESSES)
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    return found


@pytest.fixture
def stopped(tmp_path, load_config, stop_at):
    """A run that was stopped at half of its frames."""
    stop_at(60000)
    with pytest.raises(SystemExit):
        trial.run(load_config(*RUN, run_dir="stopped"))
    return tmp_path / "stopped"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_of_eight_exactly_one_writes(load_config, tmp_path, stopped):
    for index in range(ROUNDS):
        run = tmp_path / "run"
        shutil.rmtree(run, ignore_errors=True)
        words = RUN
        if index % 2:
            shutil.copytree(stopped, run)
            words = [f"meta.resume={run}"]
        found = at_once(train, load_config(*words))
        assert found.count(None) == 1, found
        assert all(any(said in line for said in REFUSED) for line in found if line is not None), found
        frames = [line.split(",")[0] for line in (run / "session_0/train.csv").read_text().splitlines()[1:]]
        assert frames == [str(frame) for frame in range(1000, 121000, 1000)]
        assert not list(run.rglob("*.tmp"))
        assert not (run / ".lock").exists()


def test_evaluations_at_once_are_all_kept(tmp_path):
    for _ in range(5):
        at_once(evaluate, tmp_path, lambda index: index)
        assert len(json.loads((tmp_path / "eval.json").read_text())) == NUM_PROCESSES
        (tmp_path / "eval.json").unlink()
