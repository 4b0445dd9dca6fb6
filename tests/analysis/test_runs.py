from __future__ import annotations

import numpy as np
import pytest

from rllab.analysis import read_run


def test_reads_config_and_sessions(make_run):
    run = read_run(make_run())
    assert run.config["env"]["id"] == "CartPole-v1"
    assert [session.index for session in run.sessions] == [0, 1]
    assert run.sessions[0].train["train/num_updates"].tolist() == [0, 4, 8, 10]
    assert run.sessions[1].eval["eval/mean_reward"].tolist() == [30, 50, 60]


def test_an_empty_cell_is_nan_and_not_part_of_the_curve(make_run):
    session = read_run(make_run()).sessions[0]
    assert np.isnan(session.train["rollout/ep_rew_mean"][0])
    frames, returns = session.returns()
    assert frames.tolist() == [200, 300, 400]
    assert returns.tolist() == [20, 40, 35]


def test_an_empty_last_cell_is_nan(make_run):
    path = make_run()
    (path / "session_0" / "train.csv").write_text("frame,elapsed_s,rollout/ep_rew_mean\n100,1.0,\n")
    assert np.isnan(read_run(path).sessions[0].train["rollout/ep_rew_mean"]).tolist() == [True]


def test_sessions_are_ordered_by_number(make_run):
    path = make_run()
    (path / "session_1").rename(path / "session_10")
    (path / "session_0").rename(path / "session_9")
    assert [session.index for session in read_run(path).sessions] == [9, 10]


# A cut inside a number leaves a row of full width and a wrong value ("40" of "400"): it must go too.
@pytest.mark.parametrize("half", ["500,5.0", "500,5.0,4", "500,5.0,35.0,35.0,1", "\0\0\0"])
def test_a_half_written_last_line_is_ignored(make_run, half):
    path = make_run()
    with (path / "session_0" / "train.csv").open("a") as file:
        file.write(half)
    assert read_run(path).sessions[0].train["frame"].tolist() == [100, 200, 300, 400]


def test_windows_line_ends_as_the_csv_module_writes_them(make_run):
    path = make_run()
    table = path / "session_0" / "eval.csv"
    table.write_bytes(table.read_bytes().replace(b"\n", b"\r\n") + b"500,5.0\r")
    assert read_run(path).sessions[0].eval["eval/mean_ep_length"].tolist() == [20, 30, 20]


@pytest.mark.parametrize("content", [None, "", "frame,elapsed_s,eval/mean_re", "frame,elapsed_s,eval/mean_reward\n"])
def test_no_evaluation_yet(make_run, content):
    path = make_run()
    table = path / "session_0" / "eval.csv"
    table.unlink() if content is None else table.write_text(content)
    assert read_run(path).sessions[0].scores()[0].size == 0


def break_config(path, text):
    (path / "config.yaml").write_text(text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "config.yaml").unlink(), "run is no run directory: config.yaml is missing"),
        (
            lambda path: break_config(path, "meta: {seed: 1}\nenv: {id: x}\n"),
            "config.yaml .* agent.name is missing",
        ),
        (lambda path: break_config(path, "just text"), "config.yaml .* meta.seed is missing"),
        (lambda path: break_config(path, "a: [1"), "config.yaml is not valid YAML"),
        (lambda path: [p.rename(path / f"old{p.name}") for p in path.glob("s*")], "session_0 is missing"),
        (lambda path: (path / "session_1" / "train.csv").unlink(), "session_1/train.csv is missing"),
    ],
)
def test_what_is_no_run_directory(make_run, damage, message):
    path = make_run()
    damage(path)
    with pytest.raises(ValueError, match=message) as caught:
        read_run(path)
    assert "\n" not in str(caught.value)


def test_a_path_that_does_not_exist(tmp_path):
    with pytest.raises(ValueError, match="nowhere is no run directory"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,elapsed_s\n1,2\n", "eval.csv: column eval/mean_reward is missing"),
        ("frame,eval/mean_reward\n1,2\n3\n4,5\n", "eval.csv is not a table of 2 numeric columns"),
        ("frame,eval/mean_reward\n1,2,3\n", "eval.csv is not a table of 2 numeric columns"),
        ("frame,eval/mean_reward\n1,two\n", "eval.csv is not a table of 2 numeric columns: .*two"),
    ],
)
def test_a_table_that_cannot_be_read(make_run, text, message):
    path = make_run()
    (path / "session_0" / "eval.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_run(path)
