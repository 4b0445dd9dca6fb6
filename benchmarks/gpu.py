"""Correctness and speed on a machine with a CUDA GPU, within eight minutes: a table in Markdown.

    pip install -c constraints.txt -e '.[bench,mujoco]'
    python -m benchmarks.gpu --out gpu.md
    python -m benchmarks.gpu --device cpu --quick  # does this script work? needs no GPU

Every stage is a process with a time limit of its own. One that fails, or takes too long, is a line of the table, and
the others go on; where one of them did, the exit code is 1. Without CUDA it is 2.
"""

import argparse
import contextlib
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.speed import ROOT, available_cores, measure_rllab, measure_sb3
from rllab import algorithms, checkpoint
from rllab.algorithms import Algorithm, Task
from rllab.random.streams import Seed, Streams

TOLERANCE = 1e-3
"""Of parameters, relative to their norm: a GPU adds in another order."""
SIZES = {"hidden": [32], "critic_hidden": [32], "num_steps": 8, "num_minibatches": 2, "num_envs": 4}
SIZES |= {"learning_starts": 16, "batch_size": 16, "buffer_size": 200}
RESUMED = "env=cartpole tuned=none meta.max_session=2 meta.final_eval=0"
SEARCH = (
    "-m env=cartpole tuned=none meta.max_trial=2 meta.max_session=1 meta.final_eval=0 meta.search_resources.gpu=0.5"
)
LAST = Path("checkpoints") / "last.safetensors"
LEANRL = [
    ("LeanRL, PPO on an Atari game: published, on an H100", "6,809 fps"),
    ("LeanRL, SAC: published, on an H100", "725 fps"),
]

Rows = Iterator[tuple[str, str]]
"""What was tried, and what came of it."""


class Stage(NamedTuple):
    """One process."""

    seconds: float
    """After which it is killed."""
    rows: Callable[[str, bool], Rows]
    """Of a device, and whether it is to be quick. Raises where something is wrong."""


class StreamsOfCPU(Streams):
    """Streams that draw the same numbers for every device: a GPU's generators have others."""

    def __init__(self, seed: int | Seed, num_sessions: int, purpose: str, device: str = "cpu") -> None:
        super().__init__(seed, num_sessions, purpose)
        self.wanted = device

    def _stack(self, *args: object) -> Tensor:
        return super()._stack(*args).to(self.wanted)

    def integers(self, highs: list[int], size: int) -> Tensor:
        return super().integers(highs, size).to(self.wanted)

    def permutations(self, size: int) -> Tensor:
        return super().permutations(size).to(self.wanted)


def updates(device: str, quick: bool) -> Rows:  # noqa: ARG001 - a stage is told it
    """The first update of each algorithm: same seed, data and noise, on the device and on the CPU."""
    wrong = []
    for name in algorithms.names():
        if name == "random":
            continue
        with patch.object(sys.modules[algorithms.find(name).__module__], "Streams", StreamsOfCPU, create=True):
            found, expected = (parameters(learn_once(make(name, where))) for where in (device, "cpu"))
        difference = relative(found, expected)
        wrong += [name] * (not difference < TOLERANCE)
        yield f"{name}: first update, {device} less cpu, relative", f"{difference:.1e}"
    if wrong:
        raise ValueError(f"beyond {TOLERANCE}: {', '.join(wrong)}")


def make(name: str, device: str) -> Algorithm:
    algorithm = algorithms.find(name)
    fields = algorithm.Config.__dataclass_fields__
    config = algorithm.Config(**{field: value for field, value in SIZES.items() if field in fields})
    action_space = gs.Discrete(3) if gs.Discrete in algorithm.action_spaces else gs.Box(-1, 1, (2,))
    task = Task(gs.Box(-1, 1, (3,)), action_space, 2, SIZES["num_envs"], 1000)
    return algorithm(config, task, seed=0, device=device)


def learn_once(agent: Algorithm) -> Algorithm:
    """Act on noise until there is something to learn from, and learn from it."""
    task, buffer, rng = agent.task, agent.make_buffer(), np.random.default_rng(0)
    shape = (task.num_sessions, task.num_envs)
    starts = np.ones(shape, bool)
    learned, steps = {}, count(1)
    while not learned:
        step = next(steps)
        obs = rng.normal(size=(*shape, 3)).astype(np.float32)
        action, extras, _ = agent.act(obs, {}, starts, explore=True)
        starts = rng.random(shape) < 0.2
        buffer.add(obs, action, rng.normal(size=shape), starts, np.zeros(shape, bool), obs, extras)
        if step % agent.rollout_steps == 0:
            learned = agent.update(buffer, step * task.num_envs)
    return agent


def parameters(agent: Algorithm) -> dict[str, Tensor]:
    """Of all its networks: policy, critics, targets."""
    nets = {name: net.state_dict() for name, net in vars(agent).items() if isinstance(net, nn.Module)}
    return {f"{net}.{name}": tensor.cpu() for net, state in nets.items() for name, tensor in state.items()}


def relative(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The norm of the difference by that of the parameters."""
    a, b = (torch.cat([tensors[name].flatten().double() for name in expected]) for tensors in (found, expected))
    return ((a - b).norm() / b.norm()).item()


def resume(device: str, quick: bool) -> Rows:  # noqa: ARG001 - as above
    """A run that is stopped and goes on, beside one that is not, and its repetition: kernels of a GPU may vary."""
    frames = 32_768
    words = [*RESUMED.split(), f"env.max_frame={frames}", f"meta.device={device}"]
    with tempfile.TemporaryDirectory() as directory:
        whole, again, cut = (Path(directory) / name for name in ("whole", "again", "cut"))
        for run_dir in (whole, again):
            train([*words, f"run_dir={run_dir}"])
        stopped = subprocess.Popen(
            [sys.executable, "train.py", *words, f"run_dir={cut}"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        stop_after_first_row(stopped, cut / "session_0" / "train.csv")
        at = checkpoint.read(cut / LAST, "step") * 8
        if not at < frames:
            raise ValueError("it ended before it could be stopped")
        train([f"meta.resume={cut}"])
        expected, repeated, resumed = (checkpoint.read(d / LAST, "algorithm", "policy") for d in (whole, again, cut))
    variation, difference = relative(repeated, expected), relative(resumed, expected)
    yield "the same run twice, relative", describe(variation)
    yield f"stopped at frame {at:,} of {frames:,} and resumed, relative", describe(difference)
    if not difference <= max(variation, TOLERANCE):
        raise ValueError("the resumed run differs")


def describe(difference: float) -> str:
    return "equal, bit for bit" if difference == 0 else f"{difference:.1e}: not bit-reproducible"


def stop_after_first_row(process: subprocess.Popen[str], table: Path) -> None:
    """Let it save itself once it has come to a log checkpoint."""
    while process.poll() is None and not (table.exists() and table.read_text().count("\n") > 1):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate()


def search(device: str, quick: bool) -> Rows:
    """Two trials, half of a GPU each."""
    frames = 2_000 if quick else 20_000
    with tempfile.TemporaryDirectory() as directory:
        words = [f"meta.device={device}", f"env.max_frame={frames}", "agent.lr=tag(log,interval(1e-4,1e-3))"]
        train([*SEARCH.split(), *words, f"hydra.sweep.dir={directory}"])
        rows = (Path(directory) / "trials.csv").read_text().splitlines()
    yield "search: trials with meta.search_resources.gpu=0.5", f"{len(rows) - 1}"


def train(words: Sequence[str]) -> None:
    """Raises with the last line that it wrote where it fails."""
    done = subprocess.run([sys.executable, "train.py", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(last_line(done.stderr))


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def speed(workload: str, frames: int, few: int) -> Callable[[str, bool], Rows]:
    """A workload of benchmarks/speed.py, on the device: frames per second after the first tenth, and the return."""

    def rows(device: str, quick: bool) -> Rows:
        budget, threads = few if quick else frames, len(available_cores())
        settings = [["meta.kernels=off", f"meta.compile={compiles}"] for compiles in ("false", "true")]
        with tempfile.TemporaryDirectory() as directory:
            for words in settings:
                found = measure_rllab(1, workload, budget, threads, directory, [f"meta.device={device}", *words])
                yield f"{workload}, {' '.join(words)}", f"{found.fps:,.0f} fps, return {found.mean_return:,.1f}"
            if find_spec("stable_baselines3"):
                found = measure_sb3(workload, budget, threads, directory, device)
                yield f"{workload}, Stable-Baselines3", f"{found.fps:,.0f} fps, return {found.mean_return:,.1f}"

    return rows


STAGES = {
    "updates": Stage(40, updates),
    "resume": Stage(50, resume),
    "search": Stage(50, search),
    "ppo_breakout": Stage(150, speed("ppo_breakout", 40_960, 6_144)),
    "ppo_halfcheetah": Stage(80, speed("ppo_halfcheetah", 60_000, 20_000)),
    "sac_halfcheetah": Stage(100, speed("sac_halfcheetah", 4_000, 1_500)),
}
"""470 seconds in all."""


def run_stage(name: str, device: str, quick: bool) -> tuple[list[str], str]:
    """The rows that a stage has come to within its time, and what went wrong with it, if anything."""
    words = ["--stage", name, "--device", device, *["--quick"] * quick]
    command = [sys.executable, "-m", "benchmarks.gpu", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=ROOT, text=True, start_new_session=True, **pipes)
    limit = STAGES[name].seconds
    try:
        output, errors = process.communicate(timeout=limit)
        failure = last_line(errors) if process.returncode else ""
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # what it has started, too
        output, _ = process.communicate()
        failure = f"took longer than {limit:.0f} seconds"
    return [line for line in output.splitlines() if line.startswith("|")], failure


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Parse the command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the table goes, too")
    parser.add_argument("--device", default="cuda", help="another torch device, to try the script (default: cuda)")
    parser.add_argument("--quick", action="store_true", help="tiny budgets: figures mean nothing")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)  # the process of one
    chosen = parser.parse_args()
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA here: torch.cuda.is_available() is False", file=sys.stderr)
        return 2
    if chosen.stage:
        for cells in STAGES[chosen.stage].rows(chosen.device, chosen.quick):
            print(line(*cells), flush=True)
        return 0
    on = torch.cuda.get_device_name() if chosen.device.startswith("cuda") else platform.machine()
    table, failed = [line(f"{on}, torch {torch.__version__}", "result"), line("---", "---")], False
    print("\n".join(table))
    for name in STAGES:
        rows, failure = run_stage(name, chosen.device, chosen.quick)
        rows += [line(name, f"FAILED: {failure}")] if failure else []
        failed = failed or bool(failure)
        print("\n".join(rows), flush=True)
        table += rows
    published = [line(*cells) for cells in LEANRL]
    print("\n".join(published))
    if chosen.out:
        chosen.out.write_text("\n".join([*table, *published]) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
