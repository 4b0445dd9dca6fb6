"""Sessions over several processes, and Hogwild: what they cost and what they bring. The figures of docs/workers.md.

    pip install -c constraints.txt -e '.[box2d,mujoco,envpool]'
    python -m benchmarks.workers spread    # meta.num_workers=2 beside one process
    python -m benchmarks.workers hogwild   # frames per second of two workers on one policy
    python -m benchmarks.workers learn     # frames until CartPole is solved; goes on where it was stopped

Contenders alternate, and the first tenth of the frames is not counted.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.speed import ROOT, measure_rllab, rate

RUNS = ROOT / "outputs" / "workers"
SPREAD = {
    "ppo_cartpole": 100_000,
    "ppo_lunarlander": 50_000,
    "ppo_halfcheetah": 30_000,
}
SETTINGS = {
    "one process, 1 thread": (1, ["meta.num_workers=1"]),
    "one process, 2 threads": (2, ["meta.num_workers=1"]),
    "two workers, 1 thread each": (1, ["meta.num_workers=2"]),
}
AGENTS = ("ppo", "a2c", "dqn")
MODES = ("shared", "synced")


def spread(repeats: int) -> None:
    """Four sessions in one process and in two, with the envs as they are and stepped in Python."""
    for workload, frames in SPREAD.items():
        for backend in ("auto", "sync"):
            if backend == "sync" and workload == "ppo_cartpole":
                continue  # its vectorised form is ours
            rates: dict[str, list[float]] = {name: [] for name in SETTINGS}
            for _ in range(repeats):
                for name, (threads, words) in SETTINGS.items():
                    with tempfile.TemporaryDirectory() as directory:
                        more = [*words, f"env.backend={backend}"]
                        rates[name].append(measure_rllab(4, workload, frames, threads, directory, more).fps)
            show(f"{workload}, env.backend={backend}, 4 sessions", rates)


def hogwild(repeats: int) -> None:
    """One session, and two workers on one policy, on an env that takes time."""
    words = ["env=lunarlander", "meta=box2d", "env.backend=sync", "env.num_envs=16", "tuned=none"]
    for agent in ("ppo", "a2c"):
        names = {"one session": ["meta.max_session=1"]}
        names |= {f"two workers, {mode}": ["meta.max_session=2", f"meta.distributed={mode}"] for mode in MODES}
        rates: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(repeats):
            for name, more in names.items():
                with tempfile.TemporaryDirectory() as directory:
                    run_dir = Path(directory) / "run"
                    train([f"agent={agent}", *words, *more, "env.max_frame=60_000", f"run_dir={run_dir}"])
                    rates[name].append(rate(run_dir, 60_000))
        show(f"{agent} on LunarLander, env.backend=sync, 16 sub-envs a worker", rates)


def learn(seeds: list[int]) -> None:
    """Frames, summed over workers, and seconds until the mean return of the last 100 episodes is 475."""
    kinds = {"ordinary, 1 session": ["meta.max_session=1"]}
    for mode in MODES:
        for sessions in (2, 4):
            kinds[f"{mode}, {sessions} workers"] = [f"meta.max_session={sessions}", f"meta.distributed={mode}"]
    print("| agent | run | frames to 475 | final return | seconds |\n|---|---|---|---|---|")
    for agent in AGENTS:
        for name, words in kinds.items():
            found = [solve(agent, name, words, seed) for seed in seeds]
            cells = [" / ".join(cell) for cell in zip(*found, strict=True)]
            print(f"| {agent} | {name} | {' | '.join(cells)} |", flush=True)


def solve(agent: str, name: str, words: list[str], seed: int) -> tuple[str, str, str]:
    """Frames to the threshold, final return, and wall seconds of the whole command."""
    run_dir = RUNS / f"{agent}_{name.replace(', ', '_').replace(' ', '_')}_seed{seed}"
    clock = run_dir / "seconds.txt"
    if not clock.exists():
        shutil.rmtree(run_dir, ignore_errors=True)  # it was cut short
        start = time.perf_counter()
        command = [f"agent={agent}", "env=cartpole", "env.max_frame=300_000", *words, f"meta.seed={seed}"]
        train([*command, f"run_dir={run_dir}"])
        clock.write_text(f"{time.perf_counter() - start:.1f}")
    (policy,) = json.loads((run_dir / "trial.json").read_text())["sessions"]
    frame = policy["solved_frame"]
    return "never" if frame is None else f"{frame:,}", f"{policy['final_return']:.0f}", clock.read_text()


def train(words: list[str]) -> None:
    subprocess.run([sys.executable, "train.py", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def show(title: str, rates: dict[str, list[float]]) -> None:
    """Medians, and ratios to the first."""
    medians = {name: statistics.median(found) for name, found in rates.items()}
    first = next(iter(medians.values()))
    print(f"\n{title}")
    for name, found in rates.items():
        print(
            f"  {name:<28}{medians[name]:>10,.0f} fps   min {min(found):>9,.0f}  max {max(found):>9,.0f}"
            f"   x {medians[name] / first:.2f}",
            flush=True,
        )


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("spread", "hogwild", "learn"))
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contender (default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of learn (default: 1 2 3)")
    chosen = parser.parse_args()
    if chosen.what == "learn":
        learn(chosen.seeds)
    else:
        {"spread": spread, "hogwild": hogwild}[chosen.what](chosen.repeats)


if __name__ == "__main__":
    main()
