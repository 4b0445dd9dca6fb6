from __future__ import annotations

import numpy as np
import pytest

from rllab.analysis import read_run
from rllab.analysis.plots import common_grid, learning_curve, readable

PNG = b"\x89PNG\r\n\x1a\n"


def test_common_grid_interpolates_where_all_sessions_have_frames():
    first = (np.array([0.0, 100.0]), np.array([0.0, 10.0]))
    second = (np.array([50.0, 150.0]), np.array([0.0, 20.0]))
    grid, values = common_grid([first, second])
    assert (grid[0], grid[-1]) == (50, 100)
    assert values[:, 0] == pytest.approx([5, 0])
    assert values[:, -1] == pytest.approx([10, 10])


def test_common_grid_of_sessions_that_never_overlap_is_empty():
    curves = [(np.array([1.0]), np.array([1.0])), (np.array([2.0]), np.array([1.0]))]
    grid, values = common_grid(curves)
    assert grid.size == 0
    assert values.shape == (2, 0)


@pytest.mark.parametrize(
    ("number", "label"),
    [(0, "0"), (500, "500"), (1000, "1k"), (50_000, "50k"), (1.5e6, "1.5M"), (-200, "\N{MINUS SIGN}200")],
)
def test_readable(number, label):
    assert readable(number) == label


def drawn(path, tmp_path):
    learning_curve(read_run(path), tmp_path / "curve.png")
    content = (tmp_path / "curve.png").read_bytes()
    assert content.startswith(PNG)
    return content


def test_what_the_config_asks_for_is_drawn(make_run, tmp_path):
    path = make_run()
    pictures = {drawn(path, tmp_path)}
    (path / "config.yaml").write_text(
        (path / "config.yaml").read_text().replace("rigorous_eval: null", "rigorous_eval: 8")
    )
    pictures.add(drawn(path, tmp_path))
    (path / "config.yaml").write_text((path / "config.yaml").read_text().replace("reward_threshold: 30.0", "x: 0"))
    pictures.add(drawn(path, tmp_path))
    assert len(pictures) == 3


@pytest.mark.parametrize("rows", [(), ("100,1.0,",), ("100,1.0,5.0",)])
def test_runs_that_have_hardly_begun(make_run, tmp_path, rows):
    path = make_run()
    for index in range(2):
        table = path / f"session_{index}" / "train.csv"
        table.write_text("".join(f"{line}\n" for line in ("frame,elapsed_s,rollout/ep_rew_mean", *rows)))
    drawn(path, tmp_path)


def test_sessions_that_share_no_frames(make_run, tmp_path):
    path = make_run()
    for index in range(2):
        table = path / f"session_{index}" / "train.csv"
        table.write_text(f"frame,elapsed_s,rollout/ep_rew_mean\n{100 + index},1.0,5.0\n")
    drawn(path, tmp_path)
