"""Plots of a study: Optuna's own, made readable."""

from __future__ import annotations

import io
import math
import warnings
from typing import TYPE_CHECKING, Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from optuna.visualization import matplotlib as optuna_plots

from rllab.analysis.plots import EVALUATION, FRAME, GRID, INK, TRAIN, readable
from rllab.files import write_bytes
from rllab.search.importance import complete_trials, importance_evaluator, searched_fields
from rllab.search.trials import short_name, too_few

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import optuna
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 4
"""Fields side by side in one plot."""
_VALUE = "mean return"
_LINES: dict[str, dict[str, Any]] = {
    "complete": {"color": "#9dbbdc", "linewidth": 1},
    "pruned": {"color": EVALUATION, "linewidth": 1.2, "marker": "x", "markevery": [-1]},
    "running": {"color": "#888888", "linewidth": 1, "linestyle": "--"},
    "best": {"color": TRAIN, "linewidth": 2.2, "zorder": 3},
}
"""Looks of the lines of intermediate values, by the state of the trial."""


def write_plots(study: optuna.Study, directory: Path) -> list[Path]:
    """Draw a study as PNG files. What it is too small for is left out; returns the files that were written."""
    mpl.use("agg")  # draws without a display, and in any thread
    written, others = [], set(plt.get_fignums())
    for name in _wanted(study):
        path = directory / f"{name}.png"
        try:
            with warnings.catch_warnings(), plt.rc_context():  # Optuna sets pyplot's style for good
                mpl.rcParams["text.parse_math"] = True  # the ticks of a logarithmic axis are formulas
                warnings.simplefilter("ignore")  # that plots are experimental, trials few, values all the same
                picture = io.BytesIO()
                PLOTS[name](study).savefig(picture, dpi=130)
                write_bytes(path, picture.getvalue())
        except Exception as error:  # noqa: BLE001 - the other plots are worth having
            warnings.warn(f"{path.name} could not be drawn: {error!r}", stacklevel=2)
        else:
            written.append(path)
        for number in set(plt.get_fignums()) - others:
            plt.close(number)
    return written


def _wanted(study: optuna.Study) -> list[str]:
    """The plots that a study has enough trials and fields for."""
    trials, num_fields = study.get_trials(deepcopy=False), len(searched_fields(study))
    num_complete = len(complete_trials(study))
    several, many = num_complete >= 2, not too_few(num_complete)
    enough = {
        "intermediate_values": any(t.intermediate_values and t.state.name.lower() in _LINES for t in trials),
        "optimization_history": several,
        "slice": many and num_fields >= 1,
        "param_importances": many and num_fields >= 2,
        "parallel_coordinate": several and num_fields >= 2,
    }
    return [name for name, is_enough in enough.items() if is_enough]


# Each of these has Optuna draw, then takes its colours and labels in hand: few colours, short names, room for all


def _optimization_history(study: optuna.Study) -> Figure:
    axes: Axes = optuna_plots.plot_optimization_history(study, target_name=_VALUE)
    axes.collections[0].set(color=TRAIN, label="complete trial")
    axes.lines[0].set(color=INK, alpha=1, drawstyle="steps-post", label="best so far")
    axes.locator_params(axis="x", integer=True)
    return _finish(axes, "Optimisation history", xlabel="trial", ylabel=_VALUE, legend=True)


def _intermediate_values(study: optuna.Study) -> Figure:
    axes: Axes = optuna_plots.plot_intermediate_values(study)
    trials = study.get_trials(deepcopy=False)
    best = max(complete_trials(study), key=lambda trial: trial.values[0], default=None)
    for line in axes.lines:
        trial = trials[int(str(line.get_label()).removeprefix("Trial"))]
        kind = "best" if trial is best else trial.state.name.lower()
        marker = "o" if np.size(line.get_xdata()) == 1 else ""  # a line through one point is invisible
        line.set(**{"label": kind, "alpha": 1, "marker": marker, **_LINES[kind]})
    axes.xaxis.set_major_formatter(lambda value, _: readable(value))
    return _finish(axes, "Intermediate values", xlabel="frames", ylabel=_VALUE, legend=True)


def _param_importances(study: optuna.Study) -> Figure:
    evaluator, quantile = importance_evaluator(study)
    axes: Any = optuna_plots.plot_param_importances(study, evaluator=evaluator, target_name=_VALUE)
    axes.set_yticks(axes.get_yticks(), [short_name(label.get_text()) for label in axes.get_yticklabels()])
    axes.set_xlim(0, 1.1 * max(bar.get_width() for bar in axes.patches))
    for bar in axes.patches:
        bar.set_color(TRAIN)
    axes.get_legend().remove()
    figure = _finish(
        axes, f"What the best {100 * quantile:.0f} % of the complete trials depend on", xlabel="importance"
    )
    figure.set_size_inches(6.4, 1.2 + 0.45 * len(axes.patches))
    return figure


def _slice(study: optuna.Study) -> Figure:
    drawn: Any = optuna_plots.plot_slice(study, target_name=_VALUE)  # an array, or a single one
    subplots = list(np.ravel(drawn))
    figure: Figure = subplots[0].figure
    columns = math.ceil(len(subplots) / math.ceil(len(subplots) / _COLUMNS))
    grid = figure.add_gridspec(math.ceil(len(subplots) / columns), columns)
    subplots[-1].collections[0].colorbar.remove()
    last = complete_trials(study)[-1].number
    for number, axes in enumerate(subplots):
        axes.set_subplotspec(grid[divmod(number, columns)])
        axes.tick_params(labelleft=number % columns == 0)
        axes.collections[0].set(cmap="viridis_r", clim=(0, last))
        values = axes.collections[0].get_offsets()[:, 0]
        if axes.xaxis.have_units():  # its axis has categories
            labels = [label.get_text().strip("'") for label in axes.get_xticklabels()]
            slanted = {"rotation": 20, "ha": "right", "rotation_mode": "anchor"} if len("".join(labels)) > 20 else {}
            axes.set_xticks(range(len(labels)), labels, **slanted)
            axes.set_xlim(-0.5, len(labels) - 0.5)
        elif axes.get_xscale() == "linear":
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=bool((values % 1 == 0).all())))
        elif values.max() < 20 * values.min():  # too few powers of ten for ticks
            ticks = np.unique(np.geomspace(values.min(), values.max(), 3))
            axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
            axes.minorticks_off()
        _finish(axes, "", xlabel=short_name(axes.get_xlabel()), ylabel=_VALUE * (number % columns == 0))
    whole = MaxNLocator(integer=True)
    bar = figure.colorbar(subplots[-1].collections[0], ax=subplots, aspect=40, pad=0.01, ticks=whole)
    bar.set_label("trial", fontsize=9.5, color=INK)
    bar.ax.tick_params(colors=INK, labelsize=9)
    figure.suptitle("Complete trials by field", fontsize=11, color=INK)
    figure.set_size_inches(2.9 * columns + 1, 2.7 * grid.nrows + 0.4)
    return figure


def _parallel_coordinate(study: optuna.Study) -> Figure:
    axes: Any = optuna_plots.plot_parallel_coordinate(study, target_name=_VALUE)
    lines = axes.collections[0]
    lines.colorbar.remove()  # the first axis says the same
    lines.set(cmap="viridis_r", linewidth=1.4)
    names = [_VALUE, *map(short_name, sorted(searched_fields(study)))]  # Optuna cuts them short
    figure = _finish(axes, "Complete trials", xlabel="")
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    for other in figure.axes:
        other.grid(visible=False)
        other.set_subplotspec(axes.get_subplotspec())
        other.tick_params(which="both", colors=INK, length=0, labelsize=8.5)
        other.spines[:].set_visible(False)
        other.spines["left" if other is axes else "right"].set(visible=True, color="#888888")
        for label in other.get_yticklabels(which="both"):
            label.set_path_effects([withStroke(linewidth=3, foreground="white")])
    figure.set_size_inches(max(1.5 * len(names), 6.4), 4.8)
    return figure


def _finish(axes: Axes, title: str, *, xlabel: str, ylabel: str = "", legend: bool = False) -> Figure:
    figure = cast("Figure", axes.figure)
    figure.set_layout_engine("constrained")
    axes.set_facecolor("white")
    axes.grid(color=GRID, linewidth=0.8)
    axes.spines[:].set_color(FRAME)
    axes.tick_params(which="both", colors=INK, length=0, labelsize=9)
    axes.set_title("", loc="left")
    axes.set_title(title, fontsize=11, color=INK)
    axes.set_xlabel(xlabel, fontsize=9.5, color=INK)
    axes.set_ylabel(ylabel, fontsize=9.5, color=INK)
    if legend:
        handles, labels = axes.get_legend_handles_labels()
        kinds = dict(zip(labels, handles, strict=True))  # each label once
        if old := axes.get_legend():
            old.remove()
        figure.legend(kinds.values(), kinds, loc="outside lower center", ncols=4, frameon=False, labelcolor=INK)
    return figure


PLOTS: dict[str, Callable[[optuna.Study], Figure]] = {
    "intermediate_values": _intermediate_values,
    "optimization_history": _optimization_history,
    "slice": _slice,
    "param_importances": _param_importances,
    "parallel_coordinate": _parallel_coordinate,
}
"""The plots by the names of their files."""
