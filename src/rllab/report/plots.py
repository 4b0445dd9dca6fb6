"""Plots as SVG that stands in the page and takes its colours, in light and dark."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

from rllab.analysis import plots
from rllab.analysis.runs import finite, told
from rllab.analysis.statistics import mean
from rllab.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rllab.analysis.runs import Curve, Run

_WIDE, _SMALL = (5.2, 3.0), (4.0, 2.3)
"""Width and height in inches: small, so that labels can be read on a phone."""
_VARIABLES = {
    plots.INK: "var(--ink)",
    plots.GRID: "var(--grid)",
    plots.FRAME: "var(--frame)",
    plots.TRAIN: "var(--train)",
    plots.EVALUATION: "var(--evaluation)",
}
"""Colours of the plots, and the CSS variables of the page that take their place."""
Scores = list[tuple[int, float]]
"""Pairs of a trial's number and its score."""
_UNINTERESTING = ("train/num_updates",)


def learning_curve(run: Run) -> Markup | None:
    """Every session, their mean and its interval, evaluation and threshold; None before the first episode has ended."""
    figure, axes = _figure(_WIDE, ylabel="mean return of 100 episodes")
    return _svg(figure, "learning curve of every session") if plots.draw_run(axes, run) else None


def metrics(run: Run) -> dict[str, Markup]:
    """A small plot of each column that the agent reports, by its name."""
    agents = dict.fromkeys(name for session in run.sessions for name in session.train if name.startswith("train/"))
    columns = [*agents, *(name for name in told(run.sessions) if name.startswith("rollout/"))]
    return {
        name.removeprefix("train/"): _svg(figure, f"{name} over frames")
        for name in ("rollout/ep_len_mean", *columns)
        if name not in _UNINTERESTING and (figure := _metric(run, name))
    }


def _metric(run: Run, name: str) -> Figure | None:
    curves = [finite(session.train, name) for session in run.sessions if name in session.train]
    if not (curves := [curve for curve in curves if curve[0].size]):
        return None
    figure, axes = _figure(_SMALL)
    for curve in curves if len(curves) > 1 else ():
        plots.line(axes, curve, color=plots.TRAIN, linewidth=0.8, alpha=0.4)
    grid, values = plots.common_grid(curves)
    if grid.size:
        plots.line(axes, (grid, mean(values.T)), color=plots.TRAIN, linewidth=1.8)
    axes.set_xlim(left=0)
    return figure


def history(complete: Scores, pruned: Scores) -> Markup | None:
    """Score of each trial that has ended, and the best so far; None without a complete one."""
    if not complete:
        return None
    figure, axes = _figure(_WIDE, xlabel="trial", ylabel="mean return")
    if pruned:
        axes.plot(*zip(*pruned, strict=True), "x", color=plots.FRAME, markersize=4.5)
    trials, scores = np.array(complete, dtype=float).T
    axes.plot(trials, scores, "o", color=plots.TRAIN)
    last = max(number for number, _ in [*complete, *pruned])
    best = np.maximum.accumulate(scores)
    axes.plot([*trials, last], [*best, best[-1]], color=plots.EVALUATION, linewidth=1.8, drawstyle="steps-post")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _svg(figure, "optimisation history")


def trial_curves(curves: dict[int, Curve], best: int | None) -> Markup | None:
    """Mean return over frames of each trial, the best one on top; None without any."""
    if not curves:
        return None
    figure, axes = _figure(_WIDE, ylabel="mean return")
    for number, curve in curves.items():
        style: dict[str, Any] = {"color": plots.FRAME, "linewidth": 1.1}
        if number == best:
            style = {"color": plots.TRAIN, "linewidth": 2.2, "zorder": 3}
        plots.line(axes, curve, **style)
    axes.set_xlim(left=0)
    return _svg(figure, "learning curve of every trial")


def importances(shares: dict[str, float]) -> Markup | None:
    """A bar for each field; None without any."""
    if not shares:
        return None
    figure, axes = _figure((_WIDE[0], 0.9 + 0.34 * len(shares)), xlabel="importance")
    names = list(reversed(shares))
    axes.barh(names, [shares[name] for name in names], color=plots.TRAIN, height=0.6)
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False, axis="y")
    return _svg(figure, "importance of each field")


def _figure(size: tuple[float, float], *, xlabel: str = "frame", ylabel: str = "") -> tuple[Figure, Axes]:
    figure = plots.Picture(figsize=size, layout="constrained")
    axes = figure.subplots()
    plots.style(axes, xlabel=xlabel, ylabel=ylabel)
    return figure, axes


def _svg(figure: Figure, title: str) -> Markup:
    """The plot as an element of the page: as wide as its place, in the page's colours and font."""
    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "rllab"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    label = f'role="img" aria-label="{escape(printable(title))}"'.replace("\\", r"\\")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg [^>]*?)width="[^"]*" height="[^"]*"', rf"\1{label}", text)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)  # a style element would hold for the whole page
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # nothing refers to these ids, and a page may have each only once
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return Markup(text)  # noqa: S704 - Matplotlib escapes the text in it
