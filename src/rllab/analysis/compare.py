"""Runs that differ in nothing but their seeds are one group; groups are compared by their sessions."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rllab.analysis import statistics
from rllab.analysis.runs import number, told
from rllab.analysis.statistics import Undefined
from rllab.analysis.summary import estimates
from rllab.config.schema import Changes, fields_unchanging
from rllab.text import setting_text

if TYPE_CHECKING:
    from rllab.analysis.runs import Array, Run, Session
    from rllab.analysis.statistics import Metric

_ASIDE = fields_unchanging(Changes.RESULT)
"""Fields that change nothing in what a session learns, or are its seed."""
_SHORT = 40
"""The most characters of a label in a table or a legend."""
_NAMES = ("agent.name", "env.id")
Settings = dict[str, Any]
Estimate = dict[str, float | None]


@dataclass(frozen=True)
class Group:
    """Runs with the same settings, and the sessions of all of them, numbered anew from 0."""

    label: str
    """The settings in which it differs from other groups, or, if they are long, the directory of its first run."""
    settings: Settings
    """The fields by which the groups differ."""
    runs: list[Run]
    sessions: list[Session]
    repeated: list[str]
    """Sessions that are left out, since they have the seed of another one of the group."""

    @property
    def env(self) -> str:
        return str(self.runs[0].config["env"]["id"])

    def score(self, session: Session) -> Metric:
        """The latest score; before the first evaluation the training return, where scores are training returns."""
        score = statistics.final_score(session)
        inferred = not self.runs[0].config["meta"].get("rigorous_eval")
        return statistics.final_return(session) if isinstance(score, Undefined) and inferred else score

    def threshold(self) -> float | None:
        """The return at which its env counts as solved."""
        return number(self.runs[0].config["env"].get("reward_threshold"))


def group_runs(runs: list[Run]) -> list[Group]:
    """Group runs by what differs in their configs, in the order of their first runs.

    A field that some do not know, being of an older version, is no difference by itself.
    """
    settings = [_settings(run.config) for run in runs]
    fields = list(dict.fromkeys(field for each in settings for field in each))
    differing = [field for field in fields if _differs(field, settings)]
    members: dict[str, list[int]] = {}
    for index, each in enumerate(settings):
        members.setdefault(repr([each.get(field) for field in differing]), []).append(index)
    groups = []
    for indices in members.values():
        own = settings[indices[0]]
        shown = {field: own.get(field) for field in differing if _tells(field, own, settings)}
        groups.append(_group(shown, [runs[index] for index in indices]))
    return groups


def _settings(config: dict[str, Any]) -> Settings:
    """``{"agent": {"lr": 1}, "callbacks": [], "run_dir": "x"} -> {"agent.lr": 1, "callbacks": []}``."""
    sections = {name: config[name] for name in ("meta", "env", "agent") if isinstance(config.get(name), dict)}
    settings = {name: value for name, value in config.items() if name not in (*sections, *_ASIDE)}
    settings |= {f"{section}.{name}": value for section, fields in sections.items() for name, value in fields.items()}
    aside = _ASIDE - {"meta.max_session"} if settings.get("meta.distributed") else _ASIDE  # workers of one policy
    return {field: value for field, value in settings.items() if field not in aside}


def _differs(field: str, settings: list[Settings]) -> bool:
    return len({repr(each[field]) for each in settings if field in each}) > 1


def _tells(field: str, own: Settings, settings: list[Settings]) -> bool:
    """Whether a field differs between runs of the same agent and env; only then does it tell them apart."""
    if field in _NAMES:
        return True
    peers = [each for each in settings if all(each.get(name) == own.get(name) for name in _NAMES)]
    return field in own and _differs(field, peers)


def settings_text(settings: Settings) -> str:
    """Settings as a person would type them: `dqn lr=0.001`; empty for none."""
    names = [str(settings[name]) for name in _NAMES if name in settings]
    others = [
        f"{field.removeprefix('agent.')}={setting_text(v)}" for field, v in settings.items() if field not in _NAMES
    ]
    return " ".join(names + others)


def _label(settings: Settings, run: Run) -> str:
    text = settings_text(settings) or f"{run.config['agent']['name']} on {run.config['env']['id']}"
    return text if len(text) <= _SHORT else "/".join(run.path.resolve().parts[-2:])


def _group(settings: Settings, runs: list[Run]) -> Group:
    chosen: dict[tuple[Any, int], Session] = {}
    repeated = []
    for run in runs:
        for session in run.sessions:
            key = run.config["meta"]["seed"], session.index
            if key in chosen:
                repeated.append(f"session {session.index} of {run.path}")
            chosen.setdefault(key, session)
    sessions = [dataclasses.replace(session, index=index) for index, session in enumerate(chosen.values())]
    return Group(_label(settings, runs[0]), settings, runs, sessions, repeated)


def describe(group: Group, threshold: float | None) -> dict[str, Any]:
    """Score and speed of a group; what does not exist is None, and `reasons` says why.

    `frames_to_threshold` and `seconds_to_threshold` are medians over sessions; those that never got there count as
    the slowest.
    """
    reasons: dict[str, str] = {}
    score = estimates("score", group.sessions, group.score, reasons)
    threshold = group.threshold() if threshold is None else threshold
    reached = [statistics.first_reached(session, threshold) for session in group.sessions]
    times = [(np.inf, np.inf) if isinstance(each, Undefined) else each for each in reached]
    frames, seconds = (_median(column) for column in zip(*times, strict=True))
    if threshold is None:
        reasons["threshold"] = "env.reward_threshold is not set; give one with --threshold"
    elif frames is None:
        reasons["frames_to_threshold"] = f"half of the sessions or more never reached {threshold:g}"
    return {
        "label": group.label,
        "settings": group.settings,
        "env": group.env,
        "runs": [str(run.path) for run in group.runs],
        "sessions": len(group.sessions),
        "score": score,
        "threshold": threshold,
        "reached": sum(not isinstance(each, Undefined) for each in reached),
        "frames_to_threshold": frames,
        "seconds_to_threshold": seconds,
        "infos": {tag: _told(group.sessions, tag, reasons) for tag in told(group.sessions)},
        "reasons": reasons,
    }


def _told(sessions: list[Session], tag: str, reasons: dict[str, str]) -> Estimate:
    """Mean over sessions of what the env tells of its episodes."""
    return estimates(tag, sessions, partial(statistics.told, tag=tag), reasons)["mean"]


def _median(values: tuple[float, ...]) -> float | None:
    middle = sorted(values)[(len(values) - 1) // 2 : len(values) // 2 + 1]
    return sum(middle) / len(middle) if np.isfinite(middle).all() else None


def improve(first: Group, second: Group) -> Estimate | Undefined:
    """Probability that a session of the first group scores higher than one of the second, with its interval."""
    if first.env != second.env:
        return Undefined(f"{first.env} and {second.env} are different tasks")
    sides: list[Array] = []
    for group in (first, second):
        scores = statistics.complete({session.index: group.score(session) for session in group.sessions})
        if isinstance(scores, Undefined):
            return Undefined(f"{group.label}: {scores.reason}")
        sides.append(scores)
    low, high = statistics.improvement_interval(*sides) if min(map(len, sides)) > 1 else (None, None)
    return {"value": float(statistics.improvement(*sides)), "low": low, "high": high}
