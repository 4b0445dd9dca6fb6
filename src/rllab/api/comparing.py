"""Runs side by side, as `rllab compare` groups them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rllab.analysis.compare import describe, group_runs, improve
from rllab.analysis.runs import read_run
from rllab.analysis.statistics import Undefined
from rllab.api.table import Table, table
from rllab.errors import ConfigError
from rllab.text import interval_text, printable, score_text
from rllab.tracking.notebook import html_table

if TYPE_CHECKING:
    from rllab.analysis.compare import Group
    from rllab.analysis.plots import Picture
    from rllab.api.run import Run


@dataclass(frozen=True, repr=False)
class Comparison:
    """Groups of runs, in the order of their first runs: those that differ in nothing but their seeds are one group."""

    groups: list[dict[str, Any]]
    """What each scored and how fast, with intervals, as ``rllab compare --json`` has it."""
    improvement: dict[str, Any] | None
    """Probability that a session of the first group scores higher than one of the second: ``value``, ``low``, ``high``.
    None where there is no such number: one group only, different tasks, or scores that are missing."""
    _groups: list[Group] = field(repr=False)

    @property
    def table(self) -> Table:
        """A row for each group: its score with a 95 % interval over sessions, and how many sessions solved the task.

        The last column is the median over sessions of the frames that this took; nan where half of them have not.
        """
        means = [group["score"]["mean"] for group in self.groups]
        return table(
            {
                "group": [group["label"] for group in self.groups],
                "runs": [len(group["runs"]) for group in self.groups],
                "sessions": [group["sessions"] for group in self.groups],
                **{
                    name: [math.nan if mean[end] is None else mean[end] for mean in means]
                    for name, end in {"score": "value", "low": "low", "high": "high"}.items()
                },
                "solved": [group["reached"] for group in self.groups],
                "frames_to_threshold": [group["frames_to_threshold"] or math.nan for group in self.groups],
            }
        )

    def plot(self) -> Picture:
        """The mean learning curve of each group and its 95 % interval, over frames and over seconds.

        Returns:
            A matplotlib Figure, which a notebook shows.
        """
        from rllab.analysis import plots  # noqa: PLC0415 - matplotlib takes its time

        thresholds = {group["threshold"] for group in self.groups}
        threshold = thresholds.pop() if len(thresholds) == 1 else None
        return plots.comparison_of(self._groups[: plots.MOST_GROUPS], threshold=threshold)

    def __repr__(self) -> str:
        means = [(group["label"], group["score"]["mean"]) for group in self.groups]
        texts = [(label, score_text(mean["value"]), interval_text(mean)) for label, mean in means]
        scores = [f"{label}: {score}{interval and f' ({interval})'}" for label, score, interval in texts]
        return printable(f"Comparison({', '.join(scores)})")

    def _repr_html_(self) -> str:
        columns = ["group", "runs", "sessions", "score", "95 % interval", "solved"]
        rows = []
        for group in self.groups:
            mean, solved = group["score"]["mean"], f"{group['reached']} of {group['sessions']}"
            counts = [str(len(group["runs"])), str(group["sessions"])]
            rows.append([group["label"], *counts, score_text(mean["value"]), interval_text(mean) or "-", solved])
        return html_table(columns, rows)


def compare(*runs: Run, threshold: float | None = None) -> Comparison:
    """Group runs by what differs in their configs, and compare the groups by the scores of their sessions.

    Args:
        runs: of any agents and envs.
        threshold: the return from which the task counts as solved; by default the env's own.

    Returns:
        Scores with intervals, and the probability that the first group is better than the second.

    Raises:
        ConfigError: no run, or one whose directory cannot be read.
    """
    if not runs:
        raise ConfigError("compare: got no run; write rllab.compare(run_a, run_b)")
    try:
        groups = group_runs([read_run(run.path) for run in runs])
    except ValueError as error:
        raise ConfigError(str(error)) from None
    better = improve(*groups[:2]) if len(groups) > 1 else None
    rows = [describe(group, threshold) for group in groups]
    return Comparison(rows, None if isinstance(better, Undefined) else better, groups)
