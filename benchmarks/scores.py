"""Every algorithm on every env where it applies, beside published scores: the table of docs/scores.md.

    pip install -c constraints.txt -e '.[box2d]'
    python -m benchmarks.scores classic box2d

A cell is an agent on an env: one run of `train.py` with its tuned settings and four sessions. Its score is that of SLM
Lab, the mean return of the last 100 finished training episodes; at the end every session also plays 25 greedy episodes.
Intervals are 95 % bootstrap intervals over sessions.

Results are kept in benchmarks/scores/<agent>.csv, and runs in outputs/scores/. The same command goes on: cells that
have a result are not run again (`--again` does), and one that was interrupted is resumed.
"""

import argparse
import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "scores"
PUBLISHED = ROOT / "benchmarks" / "scores_published.csv"
RUNS = ROOT / "outputs" / "scores"
PAGE = ROOT / "docs" / "scores.md"
MARK = "<!-- the table: python -m benchmarks.scores -->\n"
AGENT_PAGES = ROOT / "docs" / "agents"
AGENT_MARK = re.compile(r"(<!-- scores of ([\w ]+): python -m benchmarks.scores -->\n).*?\n\n", re.DOTALL)
"""What follows it, up to an empty line, is written here."""

GROUPS = {
    "classic": {"cartpole": 200_000, "acrobot": 300_000, "pendulum": 300_000},
    "box2d": {"lunarlander": 300_000, "lunarlander_continuous": 300_000},
}
"""Envs and their budgets, as in the published figures."""
ENVS = [env for envs in GROUPS.values() for env in envs]
AGENTS = ["reinforce", "a2c", "ppo", "sarsa", "dqn", "ddqn", "dueling_dqn", "ddqn_per", "qrdqn"]
AGENTS += ["sac", "td3", "tqc", "crossq"]
SEED = 1
"""Of the runs on the page. REINFORCE was tried on 0 while its settings were chosen."""
SESSIONS = 4
EPISODES = 25
"""Greedy episodes of each session."""


class Result(NamedTuple):
    """One row of the CSV; a number that does not exist is empty."""

    agent: str
    env: str
    seed: str
    frames: str
    sessions: str
    mean: str
    low: str
    high: str
    eval_mean: str
    eval_low: str
    eval_high: str
    command: str


class Cell(NamedTuple):
    """An agent on an env."""

    agent: str
    env: str
    seed: int
    frames: int

    @property
    def run_dir(self) -> Path:
        return RUNS / f"{self.agent}_{self.env}_seed{self.seed}"

    def overrides(self) -> list[str]:
        """What `train.py` is told."""
        return [
            f"agent={self.agent}",
            f"env={self.env}",
            f"env.max_frame={self.frames}",
            f"meta.max_session={SESSIONS}",
            f"meta.seed={self.seed}",
            f"meta.rigorous_eval={EPISODES}",
            f"meta.eval_frequency={self.frames}",
            "meta.final_eval=0",
        ]

    def words(self) -> list[str]:
        """What it is told now: to begin, or to go on."""
        if (self.run_dir / "checkpoints" / "last.safetensors").exists():
            return [f"meta.resume={self.run_dir}"]
        shutil.rmtree(self.run_dir, ignore_errors=True)  # nothing was saved there
        return [*self.overrides(), f"run_dir={self.run_dir}"]

    def result(self) -> Result:
        """What its finished run says."""
        trial = json.loads((self.run_dir / "trial.json").read_text())
        numbers = [
            trial[name]["mean"][key] for name in ("final_return", "final_eval") for key in ("value", "low", "high")
        ]
        texts = ["" if number is None else f"{number:.2f}" for number in numbers]
        command = shlex.join(["python", "train.py", *self.overrides()])
        return Result(
            self.agent, self.env, str(self.seed), str(trial["frames"]), str(trial["num_sessions"]), *texts, command
        )


def train(words: list[str]) -> tuple[int, str]:
    """Run `train.py`; its exit code, and what it wrote to stderr."""
    command = [sys.executable, "train.py", *words]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stderr


def run(cell: Cell) -> str | None:
    """Train, or go on training; returns why there is no result, if there is none."""
    if (cell.run_dir / "trial.json").exists():
        return None
    code, errors = train(cell.words())
    return (errors.splitlines() or [f"ended with exit code {code}"])[-1] if code else None


def read(agent: str) -> dict[tuple[str, int], Result]:
    """Results of an agent by env and seed."""
    path = RESULTS / f"{agent}.csv"
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {(row["env"], int(row["seed"])): Result(**row) for row in csv.DictReader(file)}


def keep(result: Result) -> None:
    """Write a result beside the others of its agent."""
    results = read(result.agent) | {(result.env, int(result.seed)): result}
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{result.agent}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Result._fields)
        writer.writerows(results[key] for key in sorted(results))


def table(seed: int) -> str:
    """All results of a seed as Markdown, beside what is published."""
    with PUBLISHED.open(newline="") as file:
        published = {(row["env"], row["agent"]): row["score"] for row in csv.DictReader(file)}
    lines = ["| env | frames | agent | last 100 training episodes | greedy | SLM Lab |", "|---|---|---|---|---|---|"]
    for env in ENVS:
        for agent in AGENTS:
            result, theirs = read(agent).get((env, seed)), published.get((env, agent), "")
            if result is None:
                continue
            ours = estimate(result.mean, result.low, result.high)
            if theirs and result.mean and float(result.mean) >= float(theirs):
                ours = f"**{ours}**"
            greedy = estimate(result.eval_mean, result.eval_low, result.eval_high)
            lines.append(f"| {env} | {int(result.frames):,} | {agent} | {ours} | {greedy} | {theirs} |")
    return "\n".join(lines) + "\n"


def estimate(mean: str, low: str, high: str) -> str:
    """``483.3 (470.1 to 491.0)``."""
    if not mean:
        return ""
    return f"{float(mean):.1f} ({float(low):.1f} to {float(high):.1f})" if low else f"{float(mean):.1f}"


def write_pages(seed: int, text: str) -> None:
    """Put the table in place of the old one, at the end of its page, and the scores of each agent into its own."""
    before, mark, _ = PAGE.read_text().partition(MARK)
    PAGE.write_text(before + mark + text)
    for page in AGENT_PAGES.glob("*.md"):
        old = page.read_text()
        new = AGENT_MARK.sub(lambda found: found[1] + summary(found[2].split(), seed) + "\n\n", old)
        if new != old:
            page.write_text(new)


def summary(agents: list[str], seed: int) -> str:
    """Scores of some agents in a sentence."""
    each = []
    for agent in agents:
        means = {env: result.mean for (env, s), result in read(agent).items() if s == seed and result.mean}
        cells = [f"{env} {float(means[env]):,.0f}" for env in ENVS if env in means]
        each.append(f"`{agent}`: {', '.join(cells) or 'none yet'}")
    text = "Mean return of the last 100 training episodes, over four sessions, from [scores.md](../scores.md). "
    return textwrap.fill(text + "; ".join(each) + ".", 118, break_long_words=False, break_on_hyphens=False)


def main(arguments: list[str] | None = None) -> None:
    """Run the chosen cells that have no result, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", choices=GROUPS, nargs="+")
    parser.add_argument("--agents", nargs="+", choices=AGENTS, default=AGENTS, metavar="AGENT", help=", ".join(AGENTS))
    parser.add_argument("--envs", nargs="+", choices=ENVS, default=ENVS, metavar="ENV", help=", ".join(ENVS))
    parser.add_argument("--seed", type=int, default=SEED, help="root of the random streams (default: %(default)s)")
    parser.add_argument("--again", action="store_true", help="run chosen cells again that have a result")
    parser.add_argument("--table", action="store_true", help="run nothing, write the table only")
    chosen = parser.parse_args(arguments)
    try:
        if not chosen.table:
            run_cells(chosen)
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on")
    text = table(chosen.seed)
    if chosen.seed == SEED:
        write_pages(chosen.seed, text)
    print(text, end="")


def run_cells(chosen: argparse.Namespace) -> None:
    """Run the chosen cells that have no result, one after the other, and keep what they say."""
    budgets = {env: frames for group in chosen.groups for env, frames in GROUPS[group].items() if env in chosen.envs}
    for agent in chosen.agents:
        for env, frames in budgets.items():
            cell = Cell(agent, env, chosen.seed, frames)
            if chosen.again:
                shutil.rmtree(cell.run_dir, ignore_errors=True)
            elif (env, chosen.seed) in read(agent):
                continue
            reason = run(cell)
            if reason is None:
                result = cell.result()
                keep(result)
                reason = f"{result.mean or 'no episode has finished'}, greedy {result.eval_mean or 'none'}"
            print(f"{agent} on {env}: {reason}", flush=True)


if __name__ == "__main__":
    main()
