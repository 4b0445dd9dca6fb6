"""`rllab compare` as a person types it."""

import json

import pytest

from analysis_runs import EVAL_HEADER, write_run, write_table
from rllab.analysis import plots


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Two runs that differ, and a study of one trial, in the working directory."""
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run_a", num_envs=4)
    write_run(tmp_path / "run_b", num_envs=8)
    write_run(tmp_path / "study" / "0", num_envs=16)
    (tmp_path / "study" / ".sweepers").mkdir()
    return tmp_path


def test_a_table_a_probability_and_a_picture(rllab, shelf):
    code, out, err = rllab("compare", "run_*", "--out", "compare.png")
    assert (code, err) == (0, "")
    header, first, second, _, better, picture = out.splitlines()
    assert header.split()[:4] == ["group", "runs", "sessions", "score"]
    assert " ".join(first.split()) == "env.num_envs=4 1 2 40.0 20.0 to 60.0 40.0 20.0 to 60.0 2/2 300 3.0"
    assert second.split()[0] == "env.num_envs=8"
    assert better == "probability that env.num_envs=4 beats env.num_envs=8: 0.50 (0.00 to 1.00)"
    assert picture == "picture: compare.png"
    assert (shelf / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_studies_are_their_trials(rllab, shelf):
    _, out, _ = rllab("compare", "study", "run_a", "run_a", "--json")
    groups = json.loads(out)["groups"]
    assert [(group["label"], group["runs"]) for group in groups] == [
        ("env.num_envs=16", ["study/0"]),
        ("env.num_envs=4", ["run_a"]),
    ]


def test_a_search_is_refused_with_what_to_write_instead(rllab, shelf):
    for trial in "01":
        config = write_run(shelf / "study" / trial, num_envs=int(trial)) / "config.yaml"
        config.write_text(config.read_text().replace("max_session: 2", "max_session: 2\n  max_trial: 16"))
    code, out, err = rllab("compare", "study/")
    assert (code, out) == (1, "")
    assert err == (
        "error: RUN: got 'study', a search, in which each trial has settings of its own; rllab report study shows them "
        "side by side. To compare some, name them: rllab compare study/0 study/1\n"
    )
    assert rllab("compare", "study/0", "study/1")[0] == 0


def test_without_out_nothing_is_written(rllab, shelf):
    before = set(shelf.iterdir())
    _, out, _ = rllab("compare", "run_a", "run_b")
    assert "picture: none; --out FILE.png draws one" in out
    assert set(shelf.iterdir()) == before


def test_json_draws_only_what_was_asked_for(rllab, shelf):
    code, out, _ = rllab("compare", "run_a", "run_b", "--json", "--threshold", "36")
    assert code == 0
    first = json.loads(out)["groups"][0]
    assert (first["threshold"], first["reached"], first["score"]["mean"]["low"]) == (36, 2, 20)
    assert json.loads(out)["improvement"]["value"] == 0.5
    assert not (shelf / "compare.png").exists()
    rllab("compare", "run_a", "--json", "--out", "x.png")
    assert (shelf / "x.png").exists()


def test_the_picture_shows_the_best_groups(rllab, shelf, monkeypatch):
    monkeypatch.setattr(plots, "MOST_GROUPS", 2)
    drawn = []
    monkeypatch.setattr(plots, "comparison", lambda groups, *_, **__: drawn.extend(groups))
    write_table(shelf / "run_a" / "session_0" / "eval.csv", EVAL_HEADER, ("400,4.0,-60.0,1",))  # a mean of 0
    write_table(shelf / "run_b" / "session_0" / "eval.csv", EVAL_HEADER, ("400,4.0,-90.0,1",))
    _, _, err = rllab("compare", "run_a", "run_b", "study", "--out", "x.png")
    assert [group.label for group in drawn] == ["env.num_envs=4", "env.num_envs=16"]
    assert "note: the picture shows the best 2 of 3 groups" in err


def test_what_cannot_be_read_is_left_out_with_a_note(rllab, shelf):
    (shelf / "run_b" / "session_1" / "train.csv").unlink()
    code, out, err = rllab("compare", "run_a", "run_b", "--json")
    assert (code, len(json.loads(out)["groups"])) == (0, 1)
    assert err == "note: left out: run_b/session_1/train.csv is missing: no log checkpoint was reached\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nothing"], "RUN: got 'nothing', where no run is; rllab ls shows those that there are"),
        (["run_c*"], "RUN: got 'run_c*', where no run is; rllab ls shows those that there are"),
        (["run_a", "--out", "no/such.png"], "--out: got 'no/such.png', which cannot be written: .*"),
        (["run_a", "--out", "x.abc"], "--out: got 'x.abc', which cannot be written: .*"),
    ],
)
def test_refusals(rllab, shelf, words, line):
    import re

    code, out, err = rllab("compare", *words)
    assert (code, out) == (1, "")
    assert re.fullmatch(re.escape(f"error: {line}\n").replace(r"\.\*", ".*"), err)
