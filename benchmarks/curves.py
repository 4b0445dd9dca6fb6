"""Learning curves of several runs in one picture, for long episodes: the mean return of each log interval's episodes.

    python -m benchmarks.curves docs/images/halfcheetah.png outputs/halfcheetah/sac outputs/halfcheetah/crossq

`train.csv` holds the mean of the last 100 episodes. As long as a session has had no more than those, the mean of the
episodes between two rows follows from the two; that is what is drawn, and printed for the last interval. Thin lines are
sessions, thick ones their mean.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rllab.analysis.plots import common_grid, readable
from rllab.analysis.runs import Curve, Session, read_run
from rllab.tracking.tracker import WINDOW


def interval_returns(session: Session) -> Curve:
    """Frames ``[K]`` of the log checkpoints, and the mean return of the episodes that ended since the one before."""
    table = session.train
    count, total = table["rollout/num_episodes"], table["rollout/ep_rew_mean"] * table["rollout/num_episodes"]
    if count[-1] > WINDOW:
        raise ValueError(f"session {session.index}: {count[-1]:.0f} episodes, of which the csv knows the last {WINDOW}")
    return table["frame"], np.diff(total, prepend=0.0) / np.diff(count, prepend=0.0)


def main() -> None:
    """Parse the command line, draw, print the end of each session."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path, help="the PNG to write")
    parser.add_argument("runs", type=Path, nargs="+", help="run directories")
    arguments = parser.parse_args()
    figure = Figure(figsize=(6.4, 3.8), dpi=100, layout="constrained")
    axes = figure.subplots()
    for number, path in enumerate(arguments.runs):
        run = read_run(path)
        curves = [interval_returns(session) for session in run.sessions]
        grid, values = common_grid(curves)
        axes.plot(grid, values.T, color=f"C{number}", linewidth=0.8, alpha=0.5)
        axes.plot(grid, values.mean(0), color=f"C{number}", linewidth=2.2, label=run.config["agent"]["name"])
        ends = ", ".join(f"{returns[-1]:,.0f}" for _, returns in curves)
        print(f"{path}: frame {grid[-1]:,.0f}, mean return of the last interval in each session {ends}")
    axes.set(title=run.config["env"]["id"], xlabel="frame (per session)", ylabel="mean return of an interval")
    axes.xaxis.set_major_formatter(lambda value, _: readable(value))
    axes.legend(frameon=False)
    axes.grid(color="#e6e6e6")
    figure.savefig(arguments.picture)


if __name__ == "__main__":
    main()
