"""benchmarks.scores: a cell is run once, an interrupted one goes on, and the table says what the CSVs say."""

import csv
import shlex
from pathlib import Path

import pytest


@pytest.fixture
def scores(monkeypatch, tmp_path, command):
    """The benchmark with one tiny env, in this process and in the test's directory; `scores.started` are its runs."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    from benchmarks import scores

    def train(words):
        scores.started.append(words)
        result = command(shlex.join(words))
        return result.code, result.err

    monkeypatch.setattr(scores, "started", [], raising=False)
    monkeypatch.setattr(scores, "train", train)
    monkeypatch.setattr(scores, "GROUPS", {"classic": {"cartpole": 3000}})
    monkeypatch.setattr(scores, "ENVS", ["cartpole"])
    monkeypatch.setattr(scores, "AGENTS", ["reinforce"])
    monkeypatch.setattr(scores, "AGENT_PAGES", tmp_path)
    monkeypatch.setattr(scores, "EPISODES", 2)
    monkeypatch.setattr(scores, "RESULTS", tmp_path / "scores")
    monkeypatch.setattr(scores, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(scores, "PAGE", tmp_path / "scores.md")
    scores.PAGE.write_text(f"# Scores\n\n{scores.MARK}old\n")
    return scores


def rows(scores):
    path = scores.RESULTS / "reinforce.csv"
    return list(csv.DictReader(path.open())) if path.exists() else []


def test_an_interrupted_cell_goes_on_and_a_finished_one_is_left_alone(scores, stop_at):
    stop_at(1200)
    scores.main(["classic"])
    assert rows(scores) == []
    run_dir = scores.RUNS / "reinforce_cartpole_seed1"
    assert (run_dir / "checkpoints" / "last.safetensors").exists()

    scores.main(["classic"])
    assert scores.started[1:] == [[f"meta.resume={run_dir}"]]
    (row,) = rows(scores)
    assert (row["agent"], row["env"], row["seed"], row["frames"], row["sessions"]) == (
        "reinforce",
        "cartpole",
        "1",
        "3000",
        "4",
    )
    assert 8 < float(row["low"]) <= float(row["mean"]) <= float(row["high"]) < 100
    assert float(row["eval_mean"]) > 0
    assert shlex.split(row["command"]) == ["python", "train.py", *scores.started[0][:-1]]

    scores.main(["classic"])
    assert len(scores.started) == 2  # nothing to do
    (scores.RESULTS / "reinforce.csv").unlink()
    scores.main(["classic"])
    assert len(scores.started) == 2  # its run was there
    assert rows(scores) == [row]
    scores.main(["classic", "--again"])
    assert scores.started[2] == scores.started[0]
    assert rows(scores) == [row]  # the same command, the same numbers
    scores.main(["classic", "--seed", "7"])
    assert [r["seed"] for r in rows(scores)] == ["1", "7"]


def test_the_table_is_put_into_its_page_beside_what_is_published(scores, monkeypatch, tmp_path):
    published = tmp_path / "published.csv"
    published.write_text("env,agent,score\ncartpole,reinforce,483.31\n")
    monkeypatch.setattr(scores, "PUBLISHED", published)
    page = tmp_path / "reinforce.md"
    mark = "<!-- scores of reinforce ppo: python -m benchmarks.scores -->\n"
    page.write_text(f"# REINFORCE\n\n{mark}old\n\n## The fields\n")
    numbers = {"mean": "490.00", "low": "480.00", "high": "500.00", "eval_mean": "", "eval_low": "", "eval_high": ""}
    result = scores.Result("reinforce", "cartpole", "1", "200000", "4", **numbers, command="x")
    for mean, cell in (("490.00", "**490.0 (480.0 to 500.0)**"), ("483.00", "483.0 (480.0 to 500.0)")):
        scores.keep(result._replace(mean=mean))
        scores.main(["classic", "--table"])
        *head, row = scores.PAGE.read_text().splitlines()
        assert row == f"| cartpole | 200,000 | reinforce | {cell} |  | 483.31 |"
        assert head[0] == "# Scores"
        assert "old" not in head
        head, scored, tail = page.read_text().split(mark)[1].partition("`reinforce`")
        assert scored
        assert "old" not in head
        assert " ".join(tail.split()) == f": cartpole {mean[:3]}; `ppo`: none yet. ## The fields"
    assert scores.started == []


def test_a_cell_that_is_refused_is_passed_over_with_a_line(scores, monkeypatch, capsys):
    monkeypatch.setattr(scores, "GROUPS", {"classic": {"no_such_env": 2000}})
    monkeypatch.setattr(scores, "ENVS", ["no_such_env"])
    scores.main(["classic"])
    out = capsys.readouterr().out
    assert "reinforce on no_such_env: error: env=no_such_env: no such option" in out
    assert rows(scores) == []
