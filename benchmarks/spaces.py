"""Which agents train on which spaces: the tables of docs/spaces.md, made by trying every cell.

    python -m benchmarks.spaces
    python -m benchmarks.spaces --backend async

A cell is an agent on `kinds.Strict`: some gradient steps, then greedy episodes. It says yes if every action was in its
space, and `-` if it was refused in one line, before anything was made. Anything else is an error: then the command
fails, and leaves the page alone.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, NamedTuple
from unittest import mock

import torch

from benchmarks.kinds import ACTIONS, LENGTH, OBSERVATIONS
from rllab import algorithms, checkpoint
from rllab.analysis import plots
from rllab.config import Backend, EnvConfig, MetaConfig, RunConfig
from rllab.errors import ConfigError
from rllab.training import run_directory, trial

PAGE = Path(__file__).resolve().parents[1] / "docs" / "spaces.md"
MARKS = "<!-- the tables: python -m benchmarks.spaces -->\n", "<!-- the end of the tables -->\n"
AGENTS = algorithms.names()
VECTOR = next(iter(OBSERVATIONS))
FRAMES = 96
TINY: dict[str, Any] = {
    "num_steps": 2 * LENGTH,
    "num_minibatches": 2,
    "learning_starts": FRAMES // 3,
    "buffer_size": FRAMES,
    "batch_size": 8,
    "hidden": [8],
    "critic_hidden": [8],
}
"""Settings of which each agent takes those that it has: some updates in so few frames."""


class CellError(Exception):
    """A cell that was neither trained rightly nor refused. One line."""


class Cell(NamedTuple):
    """An agent on two spaces."""

    obs: str
    actions: str
    agent: str

    def config(self, run_dir: Path, backend: Backend = "sync") -> RunConfig:
        settings: Any = algorithms.find(self.agent).Config
        agent = settings(**{field.name: TINY[field.name] for field in fields(settings) if field.name in TINY})
        spaces = {"obs": self.obs, "actions": self.actions}
        env = EnvConfig(id="Strict-v0", num_envs=3, max_frame=FRAMES, backend=backend, kwargs=spaces)
        meta = MetaConfig(max_session=2, log_frequency=FRAMES, eval_frequency=FRAMES, final_eval=2)
        return RunConfig(meta, env, agent, run_dir=str(run_dir))


class Result(NamedTuple):
    """What became of a cell."""

    word: Literal["yes", "-", "ERROR"]
    line: str = ""
    """Of a refusal or an error."""


Results = dict[Cell, Result]


class Table(NamedTuple):
    """One kind of space in each row, one agent in each column."""

    title: str
    rows: dict[str, list[Cell]]


def tables() -> list[Table]:
    """Each kind of action with a vector as observation; each kind of observation with actions that the agent takes."""
    actions = {kind: [Cell(VECTOR, kind, agent) for agent in AGENTS] for kind in ACTIONS}
    taken = {agent: first_taken(agent) for agent in AGENTS}
    observations = {kind: [Cell(kind, taken[agent], agent) for agent in AGENTS] for kind in OBSERVATIONS}
    return [Table("actions", actions), Table("observations", observations)]


def first_taken(agent: str) -> str:
    """The kind of action with which observations are tried."""
    return next(kind for kind in ("Discrete(3)", "Box, -1 to 1") if check(Cell(VECTOR, kind, agent)).word == "yes")


def check(cell: Cell, backend: Backend = "sync") -> Result:
    """What is said of it before anything is made."""
    try:
        trial.check(cell.config(Path("unused"), backend))
    except ConfigError as error:
        return Result("-", str(error))
    return Result("yes")


def attempt(cell: Cell, backend: Backend = "sync") -> Result:
    """Check it, and train it unless it is refused."""
    found = check(cell, backend)
    if found.word == "yes":
        try:
            train(cell, backend)
        except CellError as error:
            return Result("ERROR", str(error))
    return found


def train(cell: Cell, backend: Backend) -> None:
    """Train, and play without exploring.

    Raises:
        CellError: it failed, an action was outside of its space, or nothing was learned.
    """
    with tempfile.TemporaryDirectory() as directory:
        cfg = cell.config(Path(directory) / "run", backend)
        try:
            # the picture takes most of the time of such a run
            with mock.patch.object(plots, "learning_curve"), contextlib.redirect_stdout(io.StringIO()):
                trial.run(cfg)
        except Exception as error:
            cause = error.__cause__ or error  # of a run that has failed, without its directory
            raise CellError(f"{type(cause).__name__}: {' '.join(str(cause).split())}") from error
        check_returns(Path(cfg.run_dir))
        check_learned(cfg)


def check_returns(run_dir: Path) -> None:
    """Whether each step of each episode was paid, in training and without exploring."""
    for session in json.loads((run_dir / "trial.json").read_text())["sessions"]:
        for name in ("final_return", "greedy_best", "greedy_last"):
            if session[name] != LENGTH:
                raise CellError(f"{name} is {session[name]}, not {LENGTH}")


def check_learned(cfg: RunConfig) -> None:
    """Whether the parameters are others than at the beginning, if there are any."""
    checked, info = trial.check(cfg)
    agent = checked.make_algorithm(info.obs_space, info.action_space, cfg.meta.max_session, cfg.meta.seed)
    first = agent.state_dict()["policy"]
    last = checkpoint.read(Path(cfg.run_dir) / run_directory.LAST, "algorithm", "policy")
    if first and all(torch.equal(first[name], last[name]) for name in first):
        raise CellError("no parameter has moved")


def text(results: Results) -> str:
    """What stands between the marks of the page."""
    return "\n" + "\n".join(markdown(table, results) for table in tables()) + "\n"


def markdown(table: Table, results: Results) -> str:
    """A table, and below it why nobody learns in some of its rows."""
    head = [f"| {table.title} | {' | '.join(AGENTS)} |", f"|---|{'---|' * len(AGENTS)}"]
    rows = [row(kind, cells, results) for kind, cells in table.rows.items()]
    return (
        "\n".join([*head, *rows, "", "What nobody learns from is refused with:", "", *reasons(table, results)]) + "\n"
    )


def row(kind: str, cells: list[Cell], results: Results) -> str:
    return f"| {kind} | {' | '.join(results[cell].word for cell in cells)} |"


def reasons(table: Table, results: Results) -> Iterator[str]:
    """A list item for each row in which all that learn are refused, with what the first of them says."""
    for kind, cells in table.rows.items():
        found = [results[cell] for cell in cells if cell.agent != "random"]
        if all(result.word == "-" for result in found):
            yield textwrap.fill(f"- {kind}: `{found[0].line}`", 118, subsequent_indent="  ", break_long_words=False)


def write_page(new: str) -> None:
    """Put the tables in place of the old ones."""
    before, _, rest = PAGE.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    PAGE.write_text(before + MARKS[0] + new + MARKS[1] + after)


def main(arguments: list[str] | None = None) -> None:
    """Try every cell, then write the page, or say which cells are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=["sync", "async"], default="sync", help="default: %(default)s")
    backend = parser.parse_args(arguments).backend
    results: Results = {}
    for table in tables():
        for kind, cells in table.rows.items():
            results |= {cell: attempt(cell, backend) for cell in cells}
            print(row(kind, cells, results), flush=True)
    errors = [f"{', '.join(cell)}: {result.line}" for cell, result in results.items() if result.word == "ERROR"]
    if errors:
        sys.exit("\n".join([*errors, f"{len(errors)} of {len(results)} cells are wrong; {PAGE} stays as it was"]))
    write_page(text(results))


if __name__ == "__main__":
    main()
