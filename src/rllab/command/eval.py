"""`rllab eval`: what the policies of runs score in whole episodes on fresh seeds; `eval.json` beside each run."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rllab.command.arguments import add_json, add_run
from rllab.command.output import complain, print_json
from rllab.command.playing import add_policy, add_seed, add_trust, at_least, load, refusing
from rllab.errors import ConfigError
from rllab.text import interval_text, one_line, printable, score_text

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from rllab.play.player import Player
    from rllab.training.evaluation import Evaluation

NAME = "eval"
SUMMARY = "score trained policies in whole greedy episodes on fresh seeds"
EXAMPLE = "rllab eval outputs/2026-11-23/21-15-00_ppo_cartpole_seed0 --episodes 100"


_WIDE = 200
"""Width of the table where the output is no terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser, "run directories, studies or patterns", nargs="+")
    parser.add_argument("--episodes", type=at_least(1), default=100, metavar="N", help="of each session (100)")
    add_policy(parser, session="only this one; eval.json stays as it is")
    add_trust(parser)
    parser.add_argument("--stochastic", action="store_true", help="the policy that explores as well")
    add_seed(parser)
    add_json(parser)


def run(chosen: argparse.Namespace) -> None:
    problems: list[str] = []
    results = []
    with refusing():
        from rllab.command.runs import expand  # noqa: PLC0415 - TAB and --help need none of these
        from rllab.envs import DivergedError, EnvError  # noqa: PLC0415

        for path in expand(chosen.run):
            try:
                results.append(_evaluate(path, "greedy", chosen, problems))
                if chosen.stochastic:
                    results.append(_evaluate(path, "stochastic", chosen, problems))
            except (ConfigError, EnvError, DivergedError) as error:  # the other runs have their scores all the same
                problems.append(str(error))
    if chosen.json:
        print_json(results)
    elif results:
        _print(results)
    for line in problems:
        complain(f"error: {line}")
    sys.exit(1 if problems else 0)


def _evaluate(path: Path, acting: str, chosen: argparse.Namespace, problems: list[str]) -> dict[str, Any]:
    from rllab.analysis.evaluation import describe, record  # noqa: PLC0415 - as above
    from rllab.host.process import HeldError  # noqa: PLC0415
    from rllab.training.evaluation import cut_note  # noqa: PLC0415

    player = load(path, chosen, explore=acting == "stochastic")
    every = list(range(player.config.meta.num_policies))
    sessions = every if chosen.session is None else [chosen.session]
    found = _watched(player, sessions, acting, chosen)
    evaluation = {
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "seed": chosen.seed,
        **describe(
            found.returns,
            found.lengths,
            found.cut,
            found.infos,
            sessions=sessions,
            frames=[player.frames[session] for session in sessions],
        ),
        **({"cut": cut_note(found.cut)} if found.cut.any() else {}),
    }
    if sessions == every:
        try:
            record(player.path, chosen.checkpoint, acting, evaluation)
        except (OSError, HeldError) as error:  # what was found is shown all the same
            problems.append(f"{player.path / 'eval.json'} cannot be written: {one_line(error)}")
    return {"run": str(path), "checkpoint": chosen.checkpoint, "policy": acting, **evaluation}


def _watched(player: Player, sessions: list[int], acting: str, chosen: argparse.Namespace) -> Evaluation:
    """Evaluate with a progress bar, which is shown on a terminal only."""
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    console = Console(stderr=True)
    description = TextColumn("{task.description}", markup=False)
    columns = (description, BarColumn(), MofNCompleteColumn(), "episodes", TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        what = printable(f"{player.path.name} {acting}")
        bar = progress.add_task(what, total=chosen.episodes * len(sessions))

        def watch(ended: int, steps: int) -> None:  # called also while no episode ends
            progress.update(bar, completed=ended, description=f"{what}, step {steps:,}")

        return player.evaluate(
            sessions,
            num_episodes=chosen.episodes,
            seed=chosen.seed,
            watch=watch,
        )


def _print(results: list[dict[str, Any]]) -> None:
    """Print one table for all runs, and below it what is the same for all."""
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="underline")
    for column in ("run", "policy"):
        table.add_column(column, overflow="fold")
    for column in ("session", "frame", "mean", "95 % interval", "median", "iqm", "lowest", "highest", "length"):
        table.add_column(column, justify="right", no_wrap=True)
    tags = list(dict.fromkeys(tag for result in results for tag in result["over_sessions"].get("infos", {})))
    for tag in tags:
        table.add_column(tag, justify="right", no_wrap=True)
    for result in results:
        where = (printable(result["run"]), result["policy"])
        for session in result["sessions"]:
            extremes = (score_text(session[name]) for name in ("min", "max", "mean_length"))
            cells = str(session["session"]), f"{session['frame']:,}", *_estimates(session), *extremes
            table.add_row(*where, *cells, *_told(session, tags))
            where = ("", "")
        if len(result["sessions"]) > 1:
            every = result["over_sessions"]
            table.add_row(*where, "all", "", *_estimates(every), "", "", "", *_told(every, tags), style="bold")
        table.add_section()
    console = Console(highlight=False, markup=False, emoji=False)  # a name may hold what would be either
    if not console.is_terminal:
        console.width = _WIDE
    console.print(table)
    for result in results:
        if "cut" in result:
            console.print(printable(f"{result['run']} {result['policy']}: {result['cut']}"))
    first = results[0]
    console.print(
        f"\n`{first['checkpoint']}`, {first['num_episodes']:,} whole episodes of each session. Intervals are those of "
        "the mean: over episodes, and for all over sessions."
    )


def _told(each: dict[str, Any], tags: list[str]) -> list[str]:
    """What the env has told of the episodes."""
    return [score_text(each.get("infos", {}).get(tag)) for tag in tags]


def _estimates(each: dict[str, Any]) -> list[str]:
    mean = each["mean"]
    return [
        score_text(mean["value"]),
        interval_text(mean) or "-",
        *(score_text(each[name]["value"]) for name in ("median", "iqm")),
    ]
