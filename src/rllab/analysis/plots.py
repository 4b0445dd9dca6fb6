"""The learning curve of a run. The only module here with matplotlib (object API: no pyplot, no display)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from rllab.analysis.statistics import bootstrap_interval, mean

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from rllab.analysis.runs import Array, Curve, Run

TRAIN, EVALUATION, INK = "#1f5fa8", "#d9722b", "#333333"
GRID_POINTS = 256  # more than a figure of this size can show


def learning_curve(run: Run, path: Path) -> None:
    """Draw return over frames into the PNG file `path`: every session, their mean and its 95 % interval.

    With `meta.rigorous_eval` the mean evaluation score too. Where no episode finished, the figure says so.
    """
    figure = Figure(figsize=(6.4, 4.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    _style(axes, run)
    curves = [session.returns() for session in run.sessions if session.returns()[0].size]
    if curves:
        _draw_training(axes, curves)
        _draw_references(axes, run)
        axes.set_xlim(left=0)
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8.5, labelcolor=INK)
    else:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "no episode has finished yet", transform=axes.transAxes, ha="center", color=INK)
    figure.savefig(path, format="png")


def common_grid(curves: list[Curve]) -> tuple[Array, Array]:
    """Frames `[G]` and values `[S, G]` of all curves, interpolated where all of them have frames."""
    start, end = max(frames[0] for frames, _ in curves), min(frames[-1] for frames, _ in curves)
    grid = np.unique(np.linspace(start, end, GRID_POINTS)) if start <= end else np.empty(0)
    return grid, np.stack([np.interp(grid, frames, values) for frames, values in curves])


def _draw_training(axes: Axes, curves: list[Curve]) -> None:
    if len(curves) == 1:
        _line(axes, curves[0], color=TRAIN, linewidth=2.2, label="training")
        return
    for number, curve in enumerate(curves):
        label = "each session" if number == 0 else None
        _line(axes, curve, color=TRAIN, linewidth=0.8, alpha=0.45, label=label)
    grid, values = common_grid(curves)
    _line(axes, (grid, mean(values.T)), color=TRAIN, linewidth=2.2, label=f"mean of {len(curves)} sessions")
    bounds = np.array([bootstrap_interval(column, mean) for column in values.T]).reshape(-1, 2)  # [G, 2]
    label = "95 % bootstrap interval of the mean"
    axes.fill_between(grid, *bounds.T, color=TRAIN, alpha=0.18, linewidth=0, label=label)


def _draw_references(axes: Axes, run: Run) -> None:
    curves = [session.scores() for session in run.sessions if session.scores()[0].size]
    if (episodes := run.config["meta"].get("rigorous_eval")) and curves:
        grid, values = common_grid(curves)
        label = f"greedy evaluation, mean of {len(curves)} \N{MULTIPLICATION SIGN} {episodes} episodes"
        _line(axes, (grid, mean(values.T)), color=EVALUATION, linewidth=1.6, label=label)
    if (threshold := run.config["env"].get("reward_threshold")) is not None:
        label = f"reward threshold ({float(threshold):g})"
        axes.axhline(float(threshold), color=INK, linewidth=1, linestyle=(0, (5, 3)), label=label)


def _line(axes: Axes, curve: Curve, **style: Any) -> None:
    marker = "o" if curve[0].size == 1 else ""  # a line through one point is invisible
    axes.plot(*curve, marker=marker, solid_joinstyle="round", **style)


def _style(axes: Axes, run: Run) -> None:
    agent, env, count = run.config["agent"]["name"], run.config["env"]["id"], len(run.sessions)
    axes.set_title(f"{agent} on {env}, {count} session{'s' * (count > 1)}", fontsize=11, color=INK, pad=10)
    axes.set_xlabel("frame (per session)", fontsize=9.5, color=INK)
    axes.set_ylabel("mean training return of the last 100 episodes", fontsize=9.5, color=INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: readable(value))
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
    axes.tick_params(colors=INK, length=0, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#bbbbbb")


def readable(number: float) -> str:
    """Tick label: 500, 50k, 1.5M."""
    size, suffix = next(((s, x) for s, x in ((1e6, "M"), (1e3, "k")) if abs(number) >= s), (1, ""))
    return f"{number / size:g}{suffix}".replace("-", "\N{MINUS SIGN}")
