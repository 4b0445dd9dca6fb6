"""What a search costs beside its trials: how busy its slots are, and what each trial pays for being one.

    python -m benchmarks.search

Slot use: fourteen trials of very unequal length in two slots; the share of slot time between the first trial's start
and the last one's in which a trial runs, by the times that the study holds. Target: 95 %.

Overhead: trials that do nothing but report 20 times, in two slots. What one of them occupies of a slot, less what
`python train.py` takes until it trains. Target: at most 1.5 s. The two alternate.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna

from rllab.search.storage import open_storage

ROOT = Path(__file__).resolve().parents[1]
TOY = ROOT / "tests" / "search" / "toy" / "toy.py"
SECONDS = (8, 0.5, 1, 4, 0.5, 2, 8, 0.5, 1, 4, 0.5, 2, 0.5, 0.5)
"""Lengths of the trials whose slots are watched."""
SLOTS = 2
TRIALS = 12
"""Trials that only report."""
USE, OVERHEAD = 0.95, 1.5
"""Targets."""


def search(directory: str, *words: str) -> list[tuple[float, float, int]]:
    """Run the toy in two slots; start, end and number of reports of each trial, in the order of their starts."""
    place = tempfile.mkdtemp(dir=directory)
    command = [sys.executable, str(TOY), "-m", *words, f"hydra.sweeper.n_jobs={SLOTS}", "hydra.sweeper.study_name=k"]
    environment = os.environ | {"TOY_NO_PICTURES": "1"}
    subprocess.run(command, cwd=place, check=True, env=environment, stdout=subprocess.DEVNULL)
    storage = open_storage(f"sqlite:///{place}/multirun/k/study.db")
    trials = []
    for trial in optuna.load_study(study_name="k", storage=storage).get_trials():
        assert trial.datetime_start
        assert trial.datetime_complete
        start, end = trial.datetime_start.timestamp(), trial.datetime_complete.timestamp()
        trials.append((start, end, len(trial.intermediate_values)))
    return sorted(trials)


def measure_slots(directory: str) -> tuple[float, float]:
    """Share of slot time that is busy, and seconds between the end of a trial and the start of the next."""
    trials = search(directory, f"agent.seconds={','.join(map(str, SECONDS))}")
    first, last = trials[0][0], trials[-1][0]
    busy = sum(min(end, last) - start for start, end, _ in trials)
    free = SLOTS * (last - first)
    return busy / free, (free - busy) / (len(trials) - SLOTS)


def measure_trial(directory: str) -> float:
    """Seconds of a slot that a trial takes which reports 20 times."""
    choices = ",".join(map(str, range(TRIALS)))
    trials = search(directory, f"agent.width={choices}", "env.max_frame=1000", "meta.log_frequency=50")
    assert all(reports == 20 for *_, reports in trials)
    return SLOTS * (max(end for _, end, _ in trials) - trials[0][0]) / TRIALS


def measure_start(directory: str, *command: str | Path) -> float:
    """Seconds until a program prints its first line; `train.py` does that when it begins to train."""
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, *command], cwd=directory, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - began
        process.kill()
    assert line
    return seconds


def compare(repeats: int) -> bool:
    """Measure everything `repeats` times, alternating; print medians and whether the targets are met."""
    results: list[tuple[float, ...]] = []
    with tempfile.TemporaryDirectory() as directory:
        for repeat in range(repeats):
            run_dir = f"run_dir={tempfile.mkdtemp(dir=directory)}/run"
            use, gap = measure_slots(directory)
            start = measure_start(directory, ROOT / "train.py", "meta=quick_dev", "env=cartpole", run_dir)
            trial = measure_trial(directory)
            toy = measure_start(directory, TOY)
            results.append((use, gap, start, trial, toy))
            print(
                f"run {repeat + 1}/{repeats}  slots busy {use:.1%}, {gap:.2f} s between two  trial {trial:.2f} s  "
                f"start of train.py {start:.2f} s  of the toy {toy:.2f} s",
                flush=True,
            )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"\n{SLOTS} slots, {cores} cores, {platform.machine()}, medians of {repeats}")
    use, gap, start, trial, toy = map(statistics.median, zip(*results, strict=True))
    overhead = trial - start
    print(f"slots busy         {use:>7.1%}    {_verdict(use >= USE)}, target {USE:.0%}; {gap:.2f} s between two trials")
    print(f"trial, 20 reports  {trial:>7.2f} s")
    print(f"start of train.py  {start:>7.2f} s")
    print(f"overhead           {overhead:>7.2f} s  {_verdict(overhead <= OVERHEAD)}, target {OVERHEAD} s")
    print(f"start of the toy   {toy:>7.2f} s  hence {trial - toy:.2f} s for being a trial: libraries, reports, turns")
    return bool(use >= USE and overhead <= OVERHEAD)


def _verdict(met: bool) -> str:
    return "pass" if met else "FAIL"


def main() -> None:
    """Parse the command line; the exit code says whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each measurement (default: 3)")
    sys.exit(0 if compare(parser.parse_args().repeats) else 1)


if __name__ == "__main__":
    main()
