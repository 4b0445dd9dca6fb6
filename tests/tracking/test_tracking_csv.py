import math

import pytest

from rllab.tracking.csv_files import CsvFile, CsvWriter


@pytest.fixture
def path(tmp_path):
    return tmp_path / "train.csv"


def write(path, *rows, **kwargs):
    writer = CsvFile(path, **kwargs)
    for row in rows:
        writer.write(row)
    writer.close()
    return path.read_text().splitlines()


def test_csv_rows_and_nan_as_an_empty_cell(path):
    lines = write(
        path,
        {"frame": 100, "elapsed_s": 0.25, "a/b": math.nan},
        {"frame": 200, "elapsed_s": 1 / 3, "a/b": -1e-12},
    )
    assert lines == ["frame,elapsed_s,a/b", "100,0.25,", "200,0.333333333,-1e-12"]


def test_csv_writes_whole_numbers_in_full(path):
    lines = write(path, {"frame": 999_999_999_999, "n": 2**40}, {"frame": 10**12, "n": 1})
    assert lines[1:] == ["999999999999,1099511627776", "1000000000000,1"]
    assert write(path, keep_until=999_999_999_999)[1:] == lines[1:2]


def test_csv_widens_once_and_fills_what_is_missing(path):
    lines = write(
        path,
        {"frame": 1, "a": 10},
        {"frame": 2, "a": 20, "b": 0.5, "c": 7},
        {"frame": 3, "c": 8, "a": 30},  # other order, and one missing
    )
    assert lines == ["frame,a,b,c", "1,10,,", "2,20,0.5,7", "3,30,,8"]


def test_csv_rows_are_readable_while_the_writer_is_open(path):
    writer = CsvFile(path)
    writer.write({"frame": 1})
    writer.flush()
    assert path.read_text() == "frame\n1\n"
    writer.write({"frame": 2, "b": 3})  # widens
    writer.close()
    assert path.read_text() == "frame,b\n1,\n2,3\n"


def test_csv_without_keep_until_begins_anew(path):
    write(path, {"frame": 1, "a": 2})
    assert write(path, {"frame": 5, "b": 6}) == ["frame,b", "5,6"]
    assert write(path) == []


@pytest.mark.parametrize(("keep_until", "kept"), [(0, []), (100, [100]), (250, [100, 200]), (300, [100, 200, 300])][:])
def test_csv_keep_until_goes_on_after_that_frame(path, keep_until, kept):
    write(path, *({"frame": f, "a": f / 100} for f in (100, 200, 300)))
    lines = write(path, {"frame": 999, "a": 9, "b": 1}, keep_until=keep_until)
    assert lines == ["frame,a,b", *(f"{f},{f // 100}," for f in kept), "999,9,1"]


@pytest.mark.parametrize("rest", ["3", "300", "300,", "300,3", "30"])
def test_csv_drops_a_half_written_last_line(path, rest):
    # "300,3" could be the beginning of "300,3.5"
    write(path, {"frame": 100, "a": 1}, {"frame": 200, "a": 2})
    with path.open("a") as file:
        file.write(rest)
    lines = write(path, {"frame": 300, "a": 5}, keep_until=1000)
    assert lines == ["frame,a", "100,1", "200,2", "300,5"]


@pytest.mark.parametrize("text", ["", "fra", "frame,a\n", None])
def test_csv_keep_until_of_a_file_without_rows(path, text):
    if text is not None:
        path.write_text(text)
    assert write(path, {"frame": 5, "a": 6}, keep_until=100) == ["frame,a", "5,6"]


def test_both_tables_of_a_session_go_on_where_a_run_is_resumed(tmp_path):
    directory = tmp_path / "run" / "session_0"
    writer = CsvWriter(directory)
    for frame in (100, 200, 300):
        writer.write_train({"frame": frame, "rollout/ep_rew_mean": frame / 2})
        writer.write_eval({"frame": frame, "eval/mean_reward": float(frame)})
    writer.flush()
    assert (directory / "train.csv").read_text().splitlines()[-1] == "300,150"
    writer.close()

    writer = CsvWriter(directory, resumed_at=200)
    writer.write_train({"frame": 300, "rollout/ep_rew_mean": -1.0})
    writer.close()
    train = (directory / "train.csv").read_text().splitlines()
    assert train == ["frame,rollout/ep_rew_mean", "100,50", "200,100", "300,-1"]
    evaluation = (directory / "eval.csv").read_text().splitlines()
    assert evaluation == ["frame,eval/mean_reward", "100,100", "200,200"]
