"""`rllab report` as a person types it."""

from analysis_runs import write_run
from rllab.analysis import plots


def test_the_page_is_in_the_run_directory_or_where_it_is_wanted(rllab, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "GRID_POINTS", 4)
    run = write_run(tmp_path / "run")
    assert rllab("report", run) == (0, f"{run / 'report.html'}\n", "")
    assert (run / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert rllab("report", run, "--out", tmp_path / "a.html") == (0, f"{tmp_path / 'a.html'}\n", "")
    assert (tmp_path / "a.html").exists()


def test_refusals(rllab, tmp_path):
    line = f"RUN: {tmp_path} is neither a run directory nor that of a study"
    assert rllab("report", tmp_path) == (1, "", f"error: {line}\n")
    run = write_run(tmp_path / "run")
    out = tmp_path / "no" / "such.html"
    line = f"--out: got '{out}', which cannot be written: No such file or directory"
    assert rllab("report", run, "--out", out) == (1, "", f"error: {line}\n")
