"""Frames per second of rllab beside Stable-Baselines3, same hyper-parameters, same machine, one run.

    pip install -c constraints.txt -e '.[bench,box2d,mujoco,envpool]'
    python -m benchmarks.speed ppo_cartpole  # ppo_lunarlander, ppo_halfcheetah, ppo_breakout, sac_halfcheetah

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
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 0.1
"""Fraction of the frames before the clock starts."""

WORKLOADS = {
    "ppo_cartpole": {
        "frames": 100_000,
        "rllab": "env=cartpole meta=standard env.num_envs=8 agent.num_steps=128 agent.num_epochs=4 "
        "agent.num_minibatches=4 agent.hidden=[64,64] agent.activation=tanh agent.lr=3e-4",
        "sb3": {"id": "CartPole-v1", "num_envs": 8, "net_arch": [64, 64]},
        "hyperparameters": {"n_steps": 128, "n_epochs": 4, "batch_size": 256, "learning_rate": 3e-4},
    },
    "ppo_lunarlander": {
        "frames": 100_000,
        "rllab": "env=lunarlander meta=box2d env.num_envs=16 agent.num_steps=256 agent.num_epochs=4 "
        "agent.num_minibatches=8 agent.hidden=[64,64] agent.activation=tanh agent.lr=3e-4",
        "sb3": {"id": "LunarLander-v3", "num_envs": 16, "net_arch": [64, 64]},
        "hyperparameters": {"n_steps": 256, "n_epochs": 4, "batch_size": 512, "learning_rate": 3e-4},
    },
    "ppo_halfcheetah": {
        "frames": 50_000,
        "rllab": "env=halfcheetah meta=mujoco env.num_envs=8 agent.num_steps=256 agent.num_epochs=10 "
        "agent.num_minibatches=8 agent.hidden=[64,64] agent.activation=tanh agent.lr=3e-4 "
        "agent.normalize_obs=true agent.normalize_reward=true",
        "sb3": {"id": "HalfCheetah-v5", "num_envs": 8, "net_arch": [64, 64], "normalize": {}},
        "hyperparameters": {"n_steps": 256, "n_epochs": 10, "batch_size": 256, "learning_rate": 3e-4},
    },
    "ppo_breakout": {
        "frames": 10_240,
        "rllab": "env=breakout meta=atari meta.log_frequency=2048 env.num_envs=16 agent.network=cnn "
        "agent.share_network=true agent.num_steps=128 agent.num_epochs=4 agent.num_minibatches=8 agent.lr=2.5e-4",
        "sb3": {"id": "ALE/Breakout-v5", "num_envs": 16},
        "hyperparameters": {"n_steps": 128, "n_epochs": 4, "batch_size": 256, "learning_rate": 2.5e-4},
    },
    "dqn_cartpole": {
        "frames": 40_000,
        "rllab": "env=cartpole meta=standard env.num_envs=1 agent.hidden=[120,84] agent.batch_size=128 "
        "agent.train_freq=10 agent.gradient_steps=1 agent.learning_starts=1000 agent.buffer_size=10000 "
        "agent.target_period=500 agent.epsilon=linear:1:0.05:0.5 agent.lr=2.5e-4",
        "sb3": {"id": "CartPole-v1", "num_envs": 1, "net_arch": [120, 84]},
        "hyperparameters": {
            "train_freq": 10,
            "gradient_steps": 1,
            "batch_size": 128,
            "learning_starts": 1000,
            "buffer_size": 10_000,
            "target_update_interval": 500,
            "exploration_fraction": 0.5,
            "learning_rate": 2.5e-4,
        },
    },
    "sac_halfcheetah": {
        "frames": 5_000,
        "rllab": "env=halfcheetah meta=mujoco meta.log_frequency=500 env.num_envs=1 agent.hidden=[256,256] "
        "agent.batch_size=256 agent.train_freq=1 agent.gradient_steps=1 agent.learning_starts=400 agent.lr=3e-4",
        "sb3": {"id": "HalfCheetah-v5", "num_envs": 1, "net_arch": [256, 256]},
        "hyperparameters": {
            "train_freq": 1,
            "gradient_steps": 1,
            "batch_size": 256,
            "learning_starts": 400,
            "learning_rate": 3e-4,
        },
    },
}
"""The same work for both: sub-envs, hyper-parameters, networks, normalisation, preprocessing of frames."""


def agent(workload: str) -> str:
    return workload.partition("_")[0]


def measure_rllab(
    workload: str, num_sessions: int, threads: int, frames: int, directory: str, more: Sequence[str] = ()
) -> float:
    """Frames per second, summed over sessions."""
    run_dir = Path(tempfile.mkdtemp(dir=directory)) / "run"
    overrides = [
        f"meta.max_session={num_sessions}",
        "meta.final_eval=0",
        f"env.max_frame={frames}",
        f"run_dir={run_dir}",
    ]
    overrides += [f"meta.num_threads={threads}", f"env.num_threads={threads}"]
    command = [
        sys.executable,
        "train.py",
        f"agent={agent(workload)}",
        "tuned=none",
        *WORKLOADS[workload]["rllab"].split(),
    ]
    subprocess.run([*command, *overrides, *more], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return num_sessions * rate(run_dir, frames)


def rate(run_dir: Path, frames: int) -> float:
    """Frames per second of a session, after the warm-up."""
    with (run_dir / "session_0" / "train.csv").open() as file:
        rows = [(int(row["frame"]), float(row["elapsed_s"])) for row in csv.DictReader(file)]
    start = next(row for row in rows if row[0] >= WARM_UP * frames)
    return (rows[-1][0] - start[0]) / (rows[-1][1] - start[1])


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

    import stable_baselines3
    import torch
    from stable_baselines3.common.logger import configure

    torch.set_num_threads(threads)
    os.chdir(directory)  # MuJoCo leaves a log where it runs
    task = WORKLOADS[workload]["sb3"]
    kind = "MlpPolicy" if "net_arch" in task else "CnnPolicy"
    policy = {"net_arch": task["net_arch"]} if "net_arch" in task else {}
    hyperparameters = WORKLOADS[workload]["hyperparameters"]
    algorithm = getattr(stable_baselines3, agent(workload).upper())
    model = algorithm(kind, make_sb3_envs(**task), device="cpu", policy_kwargs=policy, **hyperparameters)
    model.set_logger(configure(directory, ["csv", "tensorboard"]))
    model.learn(int(WARM_UP * frames))
    start, before = time.perf_counter(), model.num_timesteps
    model.learn(int((1 - WARM_UP) * frames), reset_num_timesteps=False)
    return (model.num_timesteps - before) / (time.perf_counter() - start)


def make_sb3_envs(id: str, num_envs: int, net_arch: list[int] | None = None, normalize: dict | None = None) -> object:  # noqa: A002
    """Vectorised as by default, one env after the other in one process."""
    from stable_baselines3.common.env_util import make_atari_env, make_vec_env
    from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize

    if net_arch is None:
        import ale_py  # noqa: F401 - registers the games

        raw = {"frameskip": 1, "repeat_action_probability": 0.0}  # its wrapper does both
        wrapper = {"action_repeat_probability": 0.25}
        return VecFrameStack(make_atari_env(id, num_envs, env_kwargs=raw, wrapper_kwargs=wrapper), 4)
    envs = make_vec_env(id, n_envs=num_envs)
    return envs if normalize is None else VecNormalize(envs, **normalize)


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
    parser.add_argument("--frames", type=int, help="frames of each session (default: the workload's)")
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--directory", help=argparse.SUPPRESS)
    parser.add_argument("--sb3", choices=WORKLOADS, help=argparse.SUPPRESS)  # the process that measures it
    arguments = parser.parse_args()
    arguments.frames = arguments.frames or WORKLOADS[arguments.workload]["frames"]
    if arguments.sb3:
        print(run_sb3(arguments.sb3, arguments.threads, arguments.frames, arguments.directory))
    else:
        compare(arguments.workload, arguments.repeats, arguments.frames)


if __name__ == "__main__":
    main()
