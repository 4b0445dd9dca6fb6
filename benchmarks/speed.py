"""Frames per second and returns of rllab beside others: same hyper-parameters, same machine, same cores, one run.

    pip install -c constraints.txt -e '.[bench,box2d,mujoco,envpool]'
    python -m benchmarks.speed ppo_cartpole --repeats 5  # ppo_lunarlander, ppo_halfcheetah, ppo_breakout, ...
    python -m benchmarks.speed ppo_cartpole --jax ../jax/bin/python  # beside a compiled program, benchmarks/jax_ppo.py

The contenders are Stable-Baselines3, rllab with one session and with four and, where a Python with JAX is named, PPO in
JAX. Every measurement is a process of its own, pinned to one core, then to all of them; the contenders alternate, and
the first tenth of the frames (imports, first calls) is not counted. Both log: rllab with the checkpoints of
meta=standard, Stable-Baselines3 to CSV and TensorBoard. What is timed learns, too: the return is the mean of the last
100 episodes at the end, over sessions, and the presets know that of a random agent.
"""

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 0.1
"""Fraction of the frames before the clock starts."""

IN_KERNELS = "meta.num_threads=1"
"""Threads of torch that wait for work would only be in the way of those of the kernels, a thread for each session."""

WORKLOADS = {
    "ppo_cartpole": {
        "frames": 100_000,
        "rllab": f"{IN_KERNELS} env=cartpole meta=standard env.num_envs=8 agent.num_steps=128 agent.num_epochs=4 "
        "agent.num_minibatches=4 agent.hidden=[64,64] agent.activation=tanh agent.lr=3e-4",
        "sb3": {"id": "CartPole-v1", "num_envs": 8, "net_arch": [64, 64]},
        "hyperparameters": {"n_steps": 128, "n_epochs": 4, "batch_size": 256, "learning_rate": 3e-4},
    },
    "ppo_lunarlander": {
        "frames": 100_000,
        "rllab": f"{IN_KERNELS} env=lunarlander meta=box2d env.num_envs=16 agent.num_steps=256 agent.num_epochs=4 "
        "agent.num_minibatches=8 agent.hidden=[64,64] agent.activation=tanh agent.lr=3e-4",
        "sb3": {"id": "LunarLander-v3", "num_envs": 16, "net_arch": [64, 64]},
        "hyperparameters": {"n_steps": 256, "n_epochs": 4, "batch_size": 512, "learning_rate": 3e-4},
    },
    "ppo_halfcheetah": {
        "frames": 200_000,
        "rllab": f"{IN_KERNELS} env=halfcheetah meta=mujoco env.num_envs=8 agent.num_steps=256 agent.num_epochs=10 "
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
    "a2c_cartpole": {
        "frames": 200_000,
        "rllab": f"{IN_KERNELS} env=cartpole meta=standard env.num_envs=8 agent.num_steps=5 agent.hidden=[64,64] "
        "agent.activation=tanh agent.optimizer=rmsprop agent.optimizer_eps=1e-5 agent.lr=7e-4",
        "sb3": {"id": "CartPole-v1", "num_envs": 8, "net_arch": [64, 64]},
        "hyperparameters": {"n_steps": 5, "use_rms_prop": True, "rms_prop_eps": 1e-5, "learning_rate": 7e-4},
    },
    "dqn_cartpole": {
        "frames": 60_000,
        "rllab": f"{IN_KERNELS} env=cartpole meta=standard env.num_envs=1 agent.hidden=[120,84] agent.batch_size=128 "
        "agent.train_freq=10 agent.gradient_steps=1 agent.learning_starts=1000 agent.buffer_size=50000 "
        "agent.target_period=500 agent.epsilon=linear:1:0.05:0.5 agent.gamma=0.98 agent.lr=1e-3",
        "sb3": {"id": "CartPole-v1", "num_envs": 1, "net_arch": [120, 84]},
        "hyperparameters": {
            "train_freq": 10,
            "gradient_steps": 1,
            "batch_size": 128,
            "learning_starts": 1000,
            "buffer_size": 50_000,
            "target_update_interval": 500,
            "exploration_fraction": 0.5,
            "gamma": 0.98,
            "learning_rate": 1e-3,
        },
    },
    "sac_halfcheetah": {
        "frames": 15_000,
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
"""The same work for all: sub-envs, hyper-parameters, networks, normalisation, preprocessing of frames."""


class Measured(NamedTuple):
    """What one run came to."""

    fps: float
    """Frames per second, summed over sessions."""
    mean_return: float
    """Of the last 100 episodes at the end, mean over sessions."""


class Contender(NamedTuple):
    """One side of the comparison."""

    name: str
    num_sessions: int
    measure: Callable[[str, int, int, str], Measured]
    """Of a workload, frames of each session, cores, and a directory that is thrown away."""


def agent(workload: str) -> str:
    return workload.partition("_")[0]


def measure_rllab(
    num_sessions: int, workload: str, frames: int, threads: int, directory: str, more: Sequence[str] = ()
) -> Measured:
    run_dir = Path(tempfile.mkdtemp(dir=directory)) / "run"
    overrides = [
        f"meta.max_session={num_sessions}",
        "meta.final_eval=0",
        f"env.max_frame={frames}",
        f"run_dir={run_dir}",
    ]
    command = [
        sys.executable,
        "train.py",
        f"agent={agent(workload)}",
        "tuned=none",
        f"meta.num_threads={threads}",  # a workload may have another number
        f"env.num_threads={threads}",
        *WORKLOADS[workload]["rllab"].split(),
    ]
    subprocess.run([*command, *overrides, *more], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    returns = [float(log(run_dir, session)[-1]["rollout/ep_rew_mean"]) for session in range(num_sessions)]
    return Measured(num_sessions * rate(run_dir, frames), statistics.mean(returns))


def log(run_dir: Path, session: int) -> list[dict[str, str]]:
    """The rows of a session's log checkpoints."""
    with (run_dir / f"session_{session}" / "train.csv").open() as file:
        return list(csv.DictReader(file))


def rate(run_dir: Path, frames: int) -> float:
    """Frames per second of a session, after the warm-up."""
    rows = [(int(row["frame"]), float(row["elapsed_s"])) for row in log(run_dir, 0)]
    start = next(row for row in rows if row[0] >= WARM_UP * frames)
    return (rows[-1][0] - start[0]) / (rows[-1][1] - start[1])


def measure_sb3(workload: str, frames: int, threads: int, directory: str, device: str = "cpu") -> Measured:
    words = ["--sb3", workload, "--frames", str(frames), "--threads", str(threads), "--directory", directory]
    return ask([sys.executable, "-m", "benchmarks.speed", *words, "--device", device], threads)


def measure_jax(python: str, num_sessions: int, _: str, frames: int, threads: int, __: str) -> Measured:
    """`python` is that of an environment with JAX. It knows a single workload, and needs no directory."""
    words = ["benchmarks/jax_ppo.py", "--sessions", str(num_sessions), "--frames", str(frames)]
    return ask([python, *words], threads)


def ask(command: Sequence[str], threads: int) -> Measured:
    """What a process measures of itself: the last line that it prints, JSON."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    output = subprocess.run(command, cwd=ROOT, check=True, env=environment, capture_output=True, text=True).stdout
    found = json.loads(output.splitlines()[-1])
    return Measured(found["fps"], found["mean_return"])


def run_sb3(workload: str, frames: int, threads: int, directory: str, device: str) -> Measured:
    """Train Stable-Baselines3 in this process."""
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
    model = algorithm(kind, make_sb3_envs(**task), device=device, policy_kwargs=policy, **hyperparameters)
    model.set_logger(configure(directory, ["csv", "tensorboard"]))
    marks = []

    def mark(*_: object) -> bool:
        if not marks and model.num_timesteps >= WARM_UP * frames:
            marks.append((model.num_timesteps, time.perf_counter()))
        return True

    model.learn(frames, callback=mark)  # in one go, for schedules are fractions of it
    (before, start), end = marks[0], time.perf_counter()
    returns = [episode["r"] for episode in model.ep_info_buffer]
    return Measured((model.num_timesteps - before) / (end - start), statistics.mean(returns))


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


def compare(workload: str, contenders: Sequence[Contender], repeats: int, frames: int, settings: Sequence[int]) -> None:
    """Measure all contenders `repeats` times, alternating, on so many cores each, and print medians and ratios."""
    cores, results = available_cores(), {}
    with tempfile.TemporaryDirectory() as directory:
        for repeat in range(repeats):
            for num_cores in settings:
                pin(cores[:num_cores])
                for contender in contenders:
                    found = contender.measure(workload, frames, num_cores, directory)
                    key = (contender.name, contender.num_sessions, num_cores)
                    results.setdefault(key, []).append(found)
                    print(f"run {repeat + 1}/{repeats}  {row(*key, found.fps, found.mean_return)}", flush=True)
    report(workload, results, frames)


def available_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [*range(os.cpu_count() or 1)]


def pin(cores: Sequence[int]) -> None:
    """Keep what starts from here on to these cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def row(name: str, num_sessions: int, num_cores: int, fps: float, mean_return: float) -> str:
    return f"{name:<18}{num_sessions:>9}{num_cores:>7}{fps:>12,.0f}{mean_return:>10,.1f}"


def report(workload: str, results: dict[tuple[str, int, int], list[Measured]], frames: int) -> None:
    """Medians over the runs; ratios to Stable-Baselines3, and to JAX with as many sessions, on as many cores."""
    medians = {key: Measured(*map(statistics.median, zip(*runs, strict=True))) for key, runs in results.items()}
    preset = yaml.safe_load((ROOT / "conf" / "env" / f"{workload.partition('_')[2]}.yaml").read_text())
    print(f"\n{workload}: {frames:,} frames per session, {platform.machine()}, medians")
    print(f"a random agent's return: {preset['random_return']}")
    print(f"{'sessions':>27}{'cores':>7}{'fps':>12}{'return':>10}{'min':>12}{'max':>12}{'x SB3':>8}{'x JAX':>8}")
    for (name, num_sessions, num_cores), median in medians.items():
        rates = [run.fps for run in results[name, num_sessions, num_cores]]
        peers = medians.get(("Stable-Baselines3", 1, num_cores)), medians.get(("JAX", num_sessions, num_cores))
        ratios = "".join(f"{median.fps / peer.fps:>8.2f}" if peer else f"{'':>8}" for peer in peers)
        print(f"{row(name, num_sessions, num_cores, *median)}{min(rates):>12,.0f}{max(rates):>12,.0f}{ratios}")


def main() -> None:
    """Parse the command line."""
    cores = len(available_cores())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", choices=WORKLOADS, nargs="?", default="ppo_cartpole")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contender (default: 3)")
    parser.add_argument("--frames", type=int, help="frames of each session (default: the workload's)")
    parser.add_argument("--cores", type=int, nargs="+", choices=range(1, cores + 1), default=sorted({1, cores}))
    parser.add_argument("--jax", metavar="PYTHON", help="of an environment with JAX, for ppo_cartpole")
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--directory", help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cpu", help=argparse.SUPPRESS)
    parser.add_argument("--sb3", choices=WORKLOADS, help=argparse.SUPPRESS)  # the process that measures it
    chosen = parser.parse_args()
    if chosen.jax and chosen.workload != "ppo_cartpole":
        parser.error("--jax: JAX's PPO knows ppo_cartpole only")
    if chosen.sb3:
        found = run_sb3(chosen.sb3, chosen.frames, chosen.threads, chosen.directory, chosen.device)
        print(json.dumps(found._asdict()))
        return
    contenders = [Contender("Stable-Baselines3", 1, measure_sb3)]
    contenders += [Contender("rllab", sessions, partial(measure_rllab, sessions)) for sessions in (1, 4)]
    if chosen.jax:
        contenders += [Contender("JAX", sessions, partial(measure_jax, chosen.jax, sessions)) for sessions in (1, 4)]
    frames = chosen.frames or WORKLOADS[chosen.workload]["frames"]
    compare(chosen.workload, contenders, chosen.repeats, frames, chosen.cores)


if __name__ == "__main__":
    main()
