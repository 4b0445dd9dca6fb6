"""Plots of a study: Optuna's own, made readable."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from rllab.search.trials import short_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import optuna
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from optuna.importance import BaseImportanceEvaluator
    from optuna.trial import FrozenTrial

_COLUMNS = 4
"""Fields side by side in one plot."""
_VALUE = "mean return"
_INK, _BLUE = "#333333", "#1f5fa8"
_LINES: dict[str, dict[str, Any]] = {
    "complete": {"color": "#9dbbdc", "linewidth": 1},
    "pruned": {"color": "#d9722b", "linewidth": 1.2, "marker": "x", "markevery": [-1]},
    "running": {"color": "#888888", "linewidth": 1, "linestyle": "--"},
    "best": {"color": _BLUE, "linewidth": 2.2, "zorder": 3},
}
"""Intermediate values by how the trial ended."""


def write_plots(study: optuna.Study, directory: Path) -> list[Path]:
    """Draw a study as PNG files. What it is too small for is left out; returns the files that were written."""
    import matplotlib as mpl  # noqa: PLC0415 - they take long to import, and only the end of a search draws
    from matplotlib import pyplot as plt  # noqa: PLC0415
    from optuna.visualization import matplotlib as plots  # noqa: PLC0415

    mpl.use("agg")  # no display, and not only in the main thread
    written, others = [], set(plt.get_fignums())
    for draw in _plots_of(study):
        path = directory / f"{draw.__name__.removeprefix('_')}.png"
        try:
            with warnings.catch_warnings(), plt.rc_context():  # Optuna sets pyplot's style for good
                warnings.simplefilter("ignore")  # experimental, few trials, a single value: nothing to act on
                draw(plots, study).savefig(path, dpi=130)
        except Exception as error:  # noqa: BLE001 - the other plots are worth having
            warnings.warn(f"{path.name} could not be drawn: {error!r}", stacklevel=2)
        else:
            written.append(path)
        for number in set(plt.get_fignums()) - others:
            plt.close(number)
    return written


def _complete(study: optuna.Study) -> list[FrozenTrial]:
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state.name == "COMPLETE" and math.isfinite(trial.values[0])]


def _fields(study: optuna.Study) -> set[str]:
    return {field for trial in _complete(study) for field in trial.params}


def _plots_of(study: optuna.Study) -> list[Callable[[Any, optuna.Study], Figure]]:
    """The plots that a study has enough trials and fields for."""
    fields = _fields(study)
    reported = [t for t in study.get_trials(deepcopy=False) if t.intermediate_values and t.state.name.lower() in _LINES]
    wanted: list[Callable[[Any, optuna.Study], Figure]] = [_intermediate_values] if reported else []
    if len(_complete(study)) >= 2:
        wanted += [_optimization_history, *([_slice] if fields else [])]
        wanted += [_param_importances, _parallel_coordinate] if len(fields) >= 2 else []
    return wanted


# Few colours, short names, room for every label


def _optimization_history(plots: Any, study: optuna.Study) -> Figure:
    axes: Axes = plots.plot_optimization_history(study, target_name=_VALUE)
    axes.collections[0].set(color=_BLUE, label="complete trial")
    axes.lines[0].set(color=_INK, alpha=1, drawstyle="steps-post", label="best so far")
    axes.locator_params(axis="x", integer=True)
    return _finish(axes, "Optimisation history", xlabel="trial", ylabel=_VALUE, legend=True)


def _intermediate_values(plots: Any, study: optuna.Study) -> Figure:
    from rllab.analysis.plots import readable  # noqa: PLC0415 - as above

    axes: Axes = plots.plot_intermediate_values(study)
    trials = study.get_trials(deepcopy=False)
    best = max(_complete(study), key=lambda trial: trial.values[0], default=None)
    for line in axes.lines:
        trial = trials[int(str(line.get_label()).removeprefix("Trial"))]
        kind = "best" if trial is best else trial.state.name.lower()
        marker = "o" if np.size(line.get_xdata()) == 1 else ""  # a line through one point is invisible
        line.set(**{"label": kind, "alpha": 1, "marker": marker, **_LINES[kind]})
    axes.xaxis.set_major_formatter(lambda value, _: readable(value))
    return _finish(axes, "Intermediate values", xlabel="frames", ylabel=_VALUE, legend=True)


def importance_evaluator(study: optuna.Study) -> tuple[BaseImportanceEvaluator, float]:
    """What tells how much each field matters, and the part of the complete trials that it takes for good ones."""
    from optuna.importance import PedAnovaImportanceEvaluator  # noqa: PLC0415 - as above

    quantile = min(max(0.1, 5 / len(_complete(study))), 0.5)  # five good trials at least, as its documentation asks
    return PedAnovaImportanceEvaluator(target_quantile=quantile), quantile  # the others need scikit-learn


def importances(study: optuna.Study) -> dict[str, float]:
    """How much each field matters, of a sum of 1; empty where there are too few complete trials or fields to tell."""
    import optuna  # noqa: PLC0415 - as above

    if len(_complete(study)) < 2 or len(_fields(study)) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental
        return optuna.importance.get_param_importances(study, evaluator=importance_evaluator(study)[0])


def _param_importances(plots: Any, study: optuna.Study) -> Figure:
    evaluator, quantile = importance_evaluator(study)
    axes: Any = plots.plot_param_importances(study, evaluator=evaluator, target_name=_VALUE)
    axes.set_yticks(axes.get_yticks(), [short_name(label.get_text()) for label in axes.get_yticklabels()])
    axes.set_xlim(0, 1.1 * max(bar.get_width() for bar in axes.patches))
    for bar in axes.patches:
        bar.set_color(_BLUE)
    axes.get_legend().remove()
    figure = _finish(
        axes, f"What the best {100 * quantile:.0f} % of the complete trials depend on", xlabel="importance"
    )
    figure.set_size_inches(6.4, 1.2 + 0.45 * len(axes.patches))
    return figure


def _slice(plots: Any, study: optuna.Study) -> Figure:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - as above

    subplots = list(np.ravel(plots.plot_slice(study, target_name=_VALUE)))
    figure: Figure = subplots[0].figure
    columns = math.ceil(len(subplots) / math.ceil(len(subplots) / _COLUMNS))
    grid = figure.add_gridspec(math.ceil(len(subplots) / columns), columns)
    subplots[-1].collections[0].colorbar.remove()
    last = _complete(study)[-1].number
    for number, axes in enumerate(subplots):
        axes.set_subplotspec(grid[divmod(number, columns)])
        axes.tick_params(labelleft=number % columns == 0)
        axes.collections[0].set(cmap="viridis_r", clim=(0, last))
        values = axes.collections[0].get_offsets()[:, 0]
        if axes.xaxis.have_units():  # categories
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
    bar.set_label("trial", fontsize=9.5, color=_INK)
    bar.ax.tick_params(colors=_INK, labelsize=9)
    figure.suptitle("Complete trials by field", fontsize=11, color=_INK)
    figure.set_size_inches(2.9 * columns + 1, 2.7 * grid.nrows + 0.4)
    return figure


def _parallel_coordinate(plots: Any, study: optuna.Study) -> Figure:
    from matplotlib.patheffects import withStroke  # noqa: PLC0415 - as above

    axes: Any = plots.plot_parallel_coordinate(study, target_name=_VALUE)
    lines = axes.collections[0]
    lines.colorbar.remove()  # the first axis says the same
    lines.set(cmap="viridis_r", linewidth=1.4)
    names = [_VALUE, *map(short_name, sorted(_fields(study)))]  # Optuna cuts them short
    figure = _finish(axes, "Complete trials", xlabel="")
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    for other in figure.axes:
        other.grid(visible=False)
        other.set_subplotspec(axes.get_subplotspec())
        other.tick_params(which="both", colors=_INK, length=0, labelsize=8.5)
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
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.spines[:].set_color("#bbbbbb")
    axes.tick_params(which="both", colors=_INK, length=0, labelsize=9)
    axes.set_title("", loc="left")
    axes.set_title(title, fontsize=11, color=_INK)
    axes.set_xlabel(xlabel, fontsize=9.5, color=_INK)
    axes.set_ylabel(ylabel, fontsize=9.5, color=_INK)
    if legend:
        handles, labels = axes.get_legend_handles_labels()
        kinds = dict(zip(labels, handles, strict=True))  # one of each
        if old := axes.get_legend():
            old.remove()
        figure.legend(kinds.values(), kinds, loc="outside lower center", ncols=4, frameon=False, labelcolor=_INK)
    return figure
