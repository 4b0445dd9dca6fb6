"""`trial.json` and `learning_curve.png` of a run directory."""

from __future__ import annotations

import math
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rllab.analysis import statistics
from rllab.analysis.runs import Run, Session, number, read_run, told
from rllab.analysis.statistics import STATISTICS, Metric, Undefined
from rllab.files import write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Greedy = dict[str, list[float] | Undefined]
"""Mean returns of each session's greedy policy, by checkpoint (`best` and `last`), or why there are none."""

NOT_EVALUATED: Greedy = {
    name: Undefined("there was no final evaluation: meta.final_eval was off, or the trial was pruned")
    for name in ("best", "last")
}


def summarize(
    path: str | Path,
    *,
    plot: bool = True,
    greedy: Greedy = NOT_EVALUATED,
    infos: Mapping[str, list[float]] = MappingProxyType({}),
    notes: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Write `trial.json` into a run directory, and return its content.

    A number that does not exist is None, and the `reasons` beside it say why; each session has its own.

    Args:
        path: the run directory.
        plot: whether to draw `learning_curve.png` too.
        greedy: what the final evaluation found.
        infos: what the env has told in it, by ``greedy_best/success_rate`` and the like, of each session.
        notes: reasons to add to those of the trial.

    Raises:
        ValueError: `path` is no run directory (see `read_run`).
    """
    run = read_run(path)
    trial = trial_summary(run, greedy, infos)
    trial["reasons"] |= notes
    write_json(run.path / "trial.json", trial)
    if plot:
        from rllab.analysis.plots import learning_curve  # noqa: PLC0415 - statistics stay free of matplotlib

        learning_curve(run, run.path / "learning_curve.png")
    return trial


def trial_summary(
    run: Run, greedy: Greedy = NOT_EVALUATED, infos: Mapping[str, list[float]] = MappingProxyType({})
) -> dict[str, Any]:
    """The content of `trial.json`, of a run that may still be going on."""
    env, reasons = run.config["env"], dict[str, str]()
    random_return, threshold = number(env.get("random_return")), number(env.get("reward_threshold"))
    return {
        "env": env["id"],
        "agent": run.config["agent"]["name"],
        "frames": max(int(session.train["frame"].max(initial=0)) for session in run.sessions),
        "num_sessions": len(run.sessions),
        "seed": run.config["meta"]["seed"],
        "sessions": [_session_summary(session, random_return, threshold, greedy) for session in run.sessions],
        **({"workers": [_worker_summary(worker) for worker in run.workers]} if run.workers else {}),
        "final_return": estimates("final_return", run.sessions, statistics.final_return, reasons),
        "final_eval": estimates("final_eval", run.sessions, statistics.final_score, reasons),
        **{
            f"greedy_{name}": estimates(f"greedy_{name}", run.sessions, partial(_greedy, scores), reasons)
            for name, scores in greedy.items()
        },
        **_told(run.sessions, infos, reasons),
        "metrics": _plain(statistics.trial_metrics(run.sessions, random_return), reasons),
        "reasons": reasons,
    }


def _greedy(scores: list[float] | Undefined, session: Session) -> Metric:
    return scores if isinstance(scores, Undefined) else scores[session.index]


def _told(
    sessions: list[Session], infos: Mapping[str, list[float]], reasons: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """What the env has told of its episodes, over sessions; nothing where it has told nothing."""
    found = {tag: estimates(tag, sessions, partial(statistics.told, tag=tag), reasons) for tag in told(sessions)}
    for tag, values in infos.items():
        found[tag] = estimates(tag, sessions, partial(_at_the_end, values), reasons)
    return {"infos": found} if found else {}


def _at_the_end(values: list[float], session: Session) -> Metric:
    value = values[session.index]
    return value if math.isfinite(value) else Undefined("no episode of the final evaluation has told it")


def _session_summary(
    session: Session, random_return: float | None, threshold: float | None, greedy: Greedy
) -> dict[str, Any]:
    reasons: dict[str, str] = {}
    metrics: dict[str, Metric] = {
        "final_return": statistics.final_return(session),
        "final_eval": statistics.final_score(session),
        **{f"greedy_{name}": _greedy(scores, session) for name, scores in greedy.items()},
        "max_return": statistics.max_return(session),
        "env_steps": statistics.env_steps(session),
        "solved_frame": statistics.solved_frame(session, threshold),
        "elapsed_s": float(session.train["elapsed_s"].max(initial=0.0)),
        **statistics.session_metrics(session, random_return),
    }
    infos = _plain({tag: statistics.told(session, tag) for tag in told([session])}, reasons)
    plain = _plain(metrics, reasons) | ({"infos": infos} if infos else {})
    return {"session": session.index, **plain, "reasons": reasons}


def _worker_summary(worker: Session) -> dict[str, Any]:
    """What one of Hogwild's workers saw of the policy."""
    reasons: dict[str, str] = {}
    metrics: dict[str, Metric] = {"final_return": statistics.final_return(worker)}
    return {"worker": worker.index, **_plain(metrics, reasons), "reasons": reasons}


def estimates(
    name: str, sessions: list[Session], metric: Callable[[Session], Metric], reasons: dict[str, str]
) -> dict[str, dict[str, float | None]]:
    """Mean, median and iqm of a metric over sessions as {value, low, high}; for what is None a reason is added."""
    values = statistics.complete({session.index: metric(session) for session in sessions})
    if isinstance(values, Undefined):
        reasons[name] = values.reason
        return {statistic: {"value": None, "low": None, "high": None} for statistic in STATISTICS}
    if values.size < 2:
        reasons[f"{name}.interval"] = "a bootstrap interval over sessions needs at least two sessions"
    return statistics.with_intervals(values)


def _plain(metrics: dict[str, Metric], reasons: dict[str, str]) -> dict[str, float | None]:
    """Metrics with None for what is undefined, whose reasons are added to `reasons`."""
    reasons |= {name: value.reason for name, value in metrics.items() if isinstance(value, Undefined)}
    return {name: None if isinstance(value, Undefined) else value for name, value in metrics.items()}
