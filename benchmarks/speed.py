"""Frames per second of rllab beside Stable-Baselines3, same hyper-parameters, same machine, one run.

    pip install -c constraints.txt -e '.[bench]'
    python -m benchmarks.speed ppo_cartpole

Every measurement is a process of its own, the contenders alternate, and the first tenth of the frames (imports, first
calls) is not counted. Both log: rllab with the checkpoints of meta=standard, Stable-Baselines3 to CSV and TensorBoard.
"""

import argparse
import csv
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 0.1
"""Fraction of the frames before the clock starts."""

WORKLOADS = {
    "ppo_cartpole": {
        "rllab": "env=cartpole agent=ppo tuned=none env.num_envs=8 agent.num_steps=128 agent.num_epochs=4 "
        "agent.num_minibatches=4 agent.hidden=[64,64] agent.activation=tanh agent.lr=3e-4",
        "sb3": {
            "id": "CartPole-v1",
            "num_envs": 8,
            "hyperparameters": {
                "n_steps": 128,
                "n_epochs": 4,
                "batch_size": 256,
                "learning_rate": 3e-4,
                "policy_kwargs": {"net_arch": [64, 64]},
            },
        },
    },
}


def measure_rllab(workload: str, num_sessions: int, threads: int, frames: int, directory: str) -> float:
    """Frames per second, summed over sessions."""
    run_dir = Path(tempfile.mkdtemp(dir=directory)) / "run"
    overrides = [f"meta.max_session={num_sessions}", f"meta.num_threads={threads}", f"env.max_frame={frames}"]
    command = [sys.executable, "train.py", *WORKLOADS[workload]["rllab"].split(), "meta=standard", *overrides]
    subprocess.run([*command, f"run_dir={run_dir}"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    with (run_dir / "session_0" / "train.csv").open() as file:
        rows = [(int(row["frame"]), float(row["elapsed_s"])) for row in csv.DictReader(file)]
    start = next(row for row in rows if row[0] >= WARM_UP * frames)
    return num_sessions * (rows[-1][0] - start[0]) / (rows[-1][1] - start[1])


def measure_sb3(workload: str, threads: int, frames: int, directory: str) -> float:
    """Frames per second of one seed."""
    arguments = [
        "--sb3",
        workload,
        "--frames",
        str(frames),
        "--threads",
        str(threads),
        "--directory",
        directory,
    ]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "benchmarks.speed", *arguments]
    output = subprocess.run(command, cwd=ROOT, check=True, env=environment, capture_output=True, text=True).stdout
    return float(output.splitlines()[-1])


def run_sb3(workload: str, threads: int, frames: int, directory: str) -> float:
    """Train Stable-Baselines3 in this process."""
    import time

    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.logger import configure

    torch.set_num_threads(threads)
    task = WORKLOADS[workload]["sb3"]
    model = PPO(
        "MlpPolicy",
        make_vec_env(task["id"], n_envs=task["num_envs"]),
        device="cpu",
        **task["hyperparameters"],
    )
    model.set_logger(configure(directory, ["csv", "tensorboard"]))
    model.learn(int(WARM_UP * frames))
    start, before = time.perf_counter(), model.num_timesteps
    model.learn(int((1 - WARM_UP) * frames), reset_num_timesteps=False)
    return (model.num_timesteps - before) / (time.perf_counter() - start)


def compare(workload: str, repeats: int, frames: int) -> None:
    """Measure all contenders `repeats` times, alternating, and print medians and ratios."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    settings = sorted({1, cores})
    results: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        for repeat in range(repeats):
            for threads in settings:
                for name in ("Stable-Baselines3", "rllab, 1 session", "rllab, 4 sessions"):
                    if name == "Stable-Baselines3":
                        rate = measure_sb3(workload, threads, frames, directory)
                    else:
                        rate = measure_rllab(workload, int(name.split()[1]), threads, frames, directory)
                    results.setdefault((name, threads), []).append(rate)
                    print(
                        f"run {repeat + 1}/{repeats}  {name:<18} {threads} threads  {rate:>9,.0f} fps",
                        flush=True,
                    )
    report(workload, results, frames, cores)


def report(workload: str, results: dict[tuple[str, int], list[float]], frames: int, cores: int) -> None:
    """Medians over the runs; ratios to the better thread setting of Stable-Baselines3."""
    medians = {key: statistics.median(rates) for key, rates in results.items()}
    baseline = max(rate for (name, _), rate in medians.items() if name == "Stable-Baselines3")
    print(f"\n{workload}: {frames:,} frames per session, {cores} cores, {platform.machine()}, medians")
    print(f"{'':<20}{'threads':>8}{'fps':>12}{'min':>10}{'max':>10}{'x SB3':>8}")
    for (name, threads), rate in medians.items():
        rates = results[name, threads]
        print(f"{name:<20}{threads:>8}{rate:>12,.0f}{min(rates):>10,.0f}{max(rates):>10,.0f}{rate / baseline:>8.1f}")
    for name in ("rllab, 1 session", "rllab, 4 sessions"):
        best = max(rate for (n, _), rate in medians.items() if n == name)
        print(f"{name}: {best / baseline:.1f} x Stable-Baselines3, each in the better of its thread settings")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", choices=WORKLOADS, nargs="?", default="ppo_cartpole")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contender (default: 3)")
    parser.add_argument("--frames", type=int, default=100_000, help="frames of each session (default: 100,000)")
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--directory", help=argparse.SUPPRESS)
    parser.add_argument("--sb3", choices=WORKLOADS, help=argparse.SUPPRESS)  # the process that measures it
    arguments = parser.parse_args()
    if arguments.sb3:
        print(run_sb3(arguments.sb3, arguments.threads, arguments.frames, arguments.directory))
    else:
        compare(arguments.workload, arguments.repeats, arguments.frames)


if __name__ == "__main__":
    main()
