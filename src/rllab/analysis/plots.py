"""Learning curves of a run and of groups of runs, with matplotlib's object API: no pyplot, no display."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from rllab.analysis.runs import learning_curves
from rllab.analysis.statistics import bootstrap_interval, mean
from rllab.files import write_bytes
from rllab.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase

    from rllab.analysis.compare import Group
    from rllab.analysis.runs import Array, Curve, Run

TRAIN, EVALUATION, INK = "#1f5fa8", "#d9722b", "#333333"
GRID, FRAME = "#e6e6e6", "#bbbbbb"
COLOURS = (TRAIN, EVALUATION, "#2a9d6f", "#b8508f", "#7a5cc4", "#a8842c", "#4aa3c7", "#8a8a8a")
"""Colours of groups, to be told apart by people who do not see red or green, on white and on black."""
MOST_GROUPS = len(COLOURS)
GRID_POINTS = 256  # more than a plot of this size can show


class Picture(Figure):
    """A figure in which texts are what they say, for a name may hold a $; a notebook shows it."""

    def draw(self, renderer: RendererBase) -> None:
        for text in self.findobj(Text):
            text.set_parse_math(False)
        super().draw(renderer)

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()


def learning_curve(run: Run, path: Path) -> None:
    """Draw `curve_of` into the PNG file `path`."""
    _save(curve_of(run), path)


def curve_of(run: Run) -> Picture:
    """Return over frames: every session, their mean and its 95 % interval.

    With `meta.rigorous_eval` the mean evaluation score too. Where no episode finished, the plot says so.
    """
    figure = Picture(figsize=(6.4, 4.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    style(axes, xlabel=frames_label(run), ylabel="mean training return of the last 100 episodes")
    _title(axes, run)
    if draw_run(axes, run):
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8.5, labelcolor=INK)
    else:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "no episode has finished yet", transform=axes.transAxes, ha="center", color=INK)
    return figure


def comparison(groups: list[Group], path: Path, *, threshold: float | None) -> None:
    """Draw `comparison_of` into the PNG file `path`."""
    _save(comparison_of(groups, threshold=threshold), path)


def comparison_of(groups: list[Group], *, threshold: float | None) -> Picture:
    """Mean return and its 95 % interval of up to `MOST_GROUPS` groups, over frames and over seconds.

    A group's curve ends where its shortest session does.
    """
    figure = Picture(figsize=(10.5, 4.4), dpi=150, layout="constrained")
    subplots = figure.subplots(1, 2, sharey=True)
    for axes, x, label in zip(subplots, ("frame", "elapsed_s"), ("frame (per session)", "seconds"), strict=True):
        for group, color in zip(groups, COLOURS, strict=False):
            if curves := learning_curves(group.sessions, x):
                _draw_mean(axes, curves, color, f"{printable(group.label)} ({len(curves)})" if x == "frame" else None)
        if threshold is not None:
            axes.axhline(threshold, color=INK, linewidth=1, linestyle=(0, (5, 3)))
        style(axes, xlabel=label, ylabel="")
        axes.set_xlim(left=0)
    subplots[0].set_ylabel("mean training return of the last 100 episodes", fontsize=9.5, color=INK)
    envs = sorted({group.env for group in groups})
    figure.suptitle(printable(f"{', '.join(envs)}: mean over sessions and its 95 % interval"), fontsize=11, color=INK)
    if subplots[0].get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8.5, labelcolor=INK)
    return figure


def _save(figure: Figure, path: Path) -> None:
    """Write a picture in the format that its name ends with."""
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix.removeprefix(".") or "png")
    write_bytes(path, picture.getvalue())


def _draw_mean(axes: Axes, curves: list[Curve], color: str, label: str | None, interval: str | None = None) -> None:
    """Draw the mean of curves over the frames that all of them cover, and its interval where there are several."""
    grid, values = common_grid(curves)
    line(axes, (grid, mean(values.T)), color=color, linewidth=2.2, label=label)
    if len(curves) > 1:
        bounds = np.array([bootstrap_interval(column, mean) for column in values.T]).reshape(-1, 2)  # [G, 2]
        axes.fill_between(grid, *bounds.T, color=color, alpha=0.18, linewidth=0, label=interval)


def common_grid(curves: list[Curve]) -> tuple[Array, Array]:
    """Frames `[G]` and values `[S, G]` of all curves, interpolated where all of them have frames."""
    start, end = max(frames[0] for frames, _ in curves), min(frames[-1] for frames, _ in curves)
    grid = np.unique(np.linspace(start, end, GRID_POINTS)) if start <= end else np.empty(0)
    return grid, np.stack([np.interp(grid, frames, values) for frames, values in curves])


def draw_run(axes: Axes, run: Run) -> bool:
    """Draw all that is known of a run over frames; False, and nothing drawn, where no episode has finished."""
    curves = learning_curves(run.sessions)
    if curves:
        _draw_workers(axes, run)
        _draw_training(axes, curves)
        _draw_references(axes, run)
        axes.set_xlim(left=0)
    return bool(curves)


def _draw_training(axes: Axes, curves: list[Curve]) -> None:
    """Draw the curve of each session, their mean and its interval."""
    if len(curves) == 1:
        line(axes, curves[0], color=TRAIN, linewidth=2.2, label="training")
        return
    for number, curve in enumerate(curves):
        label = "each session" if number == 0 else None
        line(axes, curve, color=TRAIN, linewidth=0.8, alpha=0.45, label=label)
    label = f"mean of {len(curves)} sessions"
    _draw_mean(axes, curves, TRAIN, label, interval="95 % bootstrap interval of the mean")


def frames_label(run: Run) -> str:
    """The label of the x axis, which says whose frames are counted."""
    return "frame (of all workers)" if run.workers else "frame (per session)"


def _draw_workers(axes: Axes, run: Run) -> None:
    """Draw what each worker of Hogwild saw in its own episodes; nothing without workers."""
    for number, worker in enumerate(run.workers):
        label = "each worker, its own episodes" if number == 0 else None
        line(axes, worker.returns(), color=TRAIN, linewidth=0.8, alpha=0.45, label=label)


def _draw_references(axes: Axes, run: Run) -> None:
    """Draw the mean evaluation score if there are evaluation envs, and the reward threshold if there is one."""
    curves = [session.scores() for session in run.sessions if session.scores()[0].size]
    if (episodes := run.config["meta"].get("rigorous_eval")) and curves:
        grid, values = common_grid(curves)
        label = f"greedy evaluation, mean of {len(curves)} \N{MULTIPLICATION SIGN} {episodes} episodes"
        line(axes, (grid, mean(values.T)), color=EVALUATION, linewidth=1.6, label=label)
    if (threshold := run.config["env"].get("reward_threshold")) is not None:
        label = f"reward threshold ({float(threshold):g})"
        axes.axhline(float(threshold), color=INK, linewidth=1, linestyle=(0, (5, 3)), label=label)


def line(axes: Axes, curve: Curve, **look: Any) -> None:
    """Draw a curve, or a dot if it has a single point."""
    marker = "o" if curve[0].size == 1 else ""  # a line through one point is invisible
    axes.plot(*curve, marker=marker, solid_joinstyle="round", **look)


def _title(axes: Axes, run: Run) -> None:
    agent, env, count = run.config["agent"]["name"], run.config["env"]["id"], len(run.workers or run.sessions)
    who = f"{run.config['meta'].get('distributed')} worker" if run.workers else "session"
    axes.set_title(printable(f"{agent} on {env}, {count} {who}{'s' * (count > 1)}"), fontsize=11, color=INK, pad=10)


def style(axes: Axes, *, xlabel: str, ylabel: str) -> None:
    """Label the axes, write numbers as 50k, and take back grid and frame."""
    axes.set_xlabel(xlabel, fontsize=9.5, color=INK)
    axes.set_ylabel(ylabel, fontsize=9.5, color=INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: readable(value))
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
    axes.tick_params(colors=INK, length=0, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FRAME)


def readable(number: float) -> str:
    """Tick label: 500, 50k, 1.5M."""
    size, suffix = next(((s, x) for s, x in ((1e6, "M"), (1e3, "k")) if abs(number) >= s), (1, ""))
    return f"{number / size:g}{suffix}".replace("-", "\N{MINUS SIGN}")
