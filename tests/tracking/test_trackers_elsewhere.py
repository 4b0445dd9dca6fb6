"""TensorBoard, W&B and MLflow themselves: what was sent is there, read back by their own means."""

import bisect
import contextlib
import csv
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator, ScalarEvent
from tensorboard.plugins.hparams import plugin_data_pb2

from rllab.tracking.trackers import TrackedRun
from rllab.tracking.trackers.mlflow import Mlflow, MlflowConfig
from rllab.tracking.trackers.tensorboard import TensorBoard, TensorBoardConfig
from rllab.tracking.trackers.wandb import Wandb, WandbConfig, _records

ROOT = Path(__file__).parents[2]
FOLDERS = ["session_0", "session_1"]
CONFIG = {"agent.lr": 3e-4, "agent.hidden": [64, 64], "env.id": "CartPole-v1", "meta.compile": False, "env.game": None}


@pytest.fixture
def run(tmp_path):
    """`run("its id")`, with a picture and a film in its directory."""
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "curve.png")
    film = [Image.fromarray(np.full((6, 8, 3), 40 * step, np.uint8)) for step in range(4)]
    film[0].save(tmp_path / "film.gif", save_all=True, append_images=film[1:])
    (tmp_path / "best.safetensors").write_bytes(b"policy")
    return lambda known=None: TrackedRun(tmp_path, "mine", "study", CONFIG, FOLDERS, known, lambda _: None)


def send(tracker, *frames, outcome):
    for frame in frames:
        tracker.scalars(frame, {f"session_{s}": {"rollout/ep_rew_mean": frame + s, "time/fps": 9.0} for s in (0, 1)})
    if outcome == "complete":
        tracker.text("notes", "a\nb", 0)
        tracker.picture("learning_curve", Path(tracker.path) / "curve.png", frames[-1])
        tracker.video("episode", Path(tracker.path) / "film.gif", frames[-1])
        tracker.model(Path(tracker.path) / "best.safetensors")
        tracker.scores({"final_return": 7.5}, frames[-1])
    tracker.close(outcome)


def begun(tracker_class, config, run):
    tracker = tracker_class(config, run)
    tracker.path = run.path
    return tracker


def scalars(directory):
    events = EventAccumulator(str(directory)).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard(run, tmp_path):
    send(begun(TensorBoard, TensorBoardConfig(), run()), 100, 200, 300, outcome="stopped")
    for folder, left in (("session_0", 1), ("session_1", 30)):  # as a process leaves them that was killed in a write
        (events,) = (tmp_path / folder).glob("events.*")
        content = events.read_bytes()
        events.write_bytes(content[:-left])

    tracker = begun(TensorBoard, TensorBoardConfig(), run())
    assert tracker.frame == 200
    send(tracker, 300, 400, outcome="complete")
    for session in (0, 1):
        returns = scalars(tmp_path / f"session_{session}")["rollout/ep_rew_mean"]
        assert returns == [(frame, frame + session) for frame in (100, 200, 300, 400)]
    top = EventAccumulator(str(tmp_path), size_guidance={"images": 0}).Reload()
    assert scalars(tmp_path) == {"score/final_return": [(400, 7.5)]}
    curve, film = top.Images("learning_curve")[0], top.Images("episode")[0]
    assert (curve.step, curve.width, curve.height) == (400, 8, 6)
    assert film.encoded_image_string == (tmp_path / "film.gif").read_bytes()
    assert top.Tensors("notes")[0].tensor_proto.string_val == [b"a  \nb"]
    data = [
        plugin_data_pb2.HParamsPluginData.FromString(top.SummaryMetadata(f"_hparams_/{tag}").plugin_data.content)
        for tag in ("session_start_info", "experiment", "session_end_info")
    ]
    fields = data[0].session_start_info.hparams
    assert fields["agent.lr"].number_value == 3e-4
    assert fields["agent.hidden"].string_value == "[64, 64]"
    assert fields["meta.compile"].HasField("bool_value")
    assert "env.game" not in fields
    assert data[1].experiment.metric_infos[0].name.tag == "score/final_return"
    assert data[2].session_end_info.status == 1  # success


def test_tensorboard_shows_a_film_as_a_gif(run, tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="the extra video is not installed")
    writer = imageio_ffmpeg.write_frames(str(tmp_path / "film.mp4"), (64, 48), fps=10)
    writer.send(None)
    for step in range(10):
        writer.send(np.full((48, 64, 3), 20 * step, np.uint8))
    writer.close()
    tracker = begun(TensorBoard, TensorBoardConfig(), run())
    tracker.video("episode", tmp_path / "film.mp4", 100)
    tracker.close("complete")
    (film,) = EventAccumulator(str(tmp_path)).Reload().Images("episode")
    assert (film.width, film.height) == (64, 48)
    assert film.encoded_image_string.startswith(b"GIF8")


def logged(directory, run_id):
    """Steps and values of each tag, and the summary, from the transaction logs of all processes of a run."""
    from wandb.proto.wandb_internal_pb2 import Record

    found, summary = {}, {}
    for log in sorted(directory.glob(f"wandb/offline-run-*-{run_id}/*.wandb")):
        for record in map(Record.FromString, _records(log.read_bytes())):
            for item in record.history.item:
                name = item.key or "/".join(item.nested_key)
                found.setdefault(name, []).append((record.history.step.num, json.loads(item.value_json)))
            summary |= {"".join([item.key, *item.nested_key]): item.value_json for item in record.summary.update}
    return found, summary


def num_rows(log):
    from wandb.proto.wandb_internal_pb2 import Record

    return sum(Record.FromString(content).HasField("history") for content in _records(log))


def test_wandb_offline(run, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")  # whatever happens
    config = WandbConfig(mode="offline")
    first = begun(Wandb, config, run())
    send(first, 100, 200, 300, outcome="stopped")
    (log,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    content = log.read_bytes()
    ends = bisect.bisect_left(range(len(content)), 3, key=lambda size: num_rows(content[:size]))
    log.write_bytes(content[: ends - 1])  # as a process leaves it that was killed: a byte of the third row is missing

    second = begun(Wandb, config, run(first.id))
    assert (second.id, second.frame) == (first.id, 200)
    send(second, 300, 400, outcome="complete")
    found, summary = logged(tmp_path, first.id)
    assert found["session_1/rollout/ep_rew_mean"] == [(f, f + 1) for f in (100, 200, 300, 400)]
    assert found["rollout/ep_rew_mean"] == [(f, f + 0.5) for f in (100, 200, 300, 400)]
    assert {"learning_curve", "episode"} <= {name.split("/")[0] for name in found}
    assert second.run.group == "study"
    assert (summary["score/final_return"], summary["notes"]) == ("7.5", '"a\\nb"')


def test_a_transaction_log_that_ends_anywhere_is_read_as_far_as_it_is_whole():
    def record(content, kind=1):
        return b"\0\0\0\0" + len(content).to_bytes(2, "little") + bytes([kind]) + content

    head = b":W&B\xe1\xbe\x00"
    log = head + record(b"one") + record(b"tw", 2) + record(b"o", 4)
    assert [*_records(log)] == [b"one", b"two"]
    for end in range(len(log)):
        assert [*_records(log[:end])] in ([], [b"one"])
    full = record(b"x" * (32768 - 7 - 7 - 3))  # leaves three bytes of the block, too few for a header
    assert [*_records(head + full + b"\0\0\0" + record(b"next"))][1] == b"next"


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    """MLflow, in a directory of its own: artefacts of a database go where a process runs."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)
    return pytest.importorskip("mlflow", reason="the extra mlflow is not installed")


@pytest.fixture
def server(tmp_path):
    """The address of a real server, with SQLite behind it."""
    pytest.importorskip("flask", reason="mlflow is not installed, only its client mlflow-skinny")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["server", "--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}", "--port", str(port)]
    words += ["--artifacts-destination", str(tmp_path / "artifacts"), "--workers", "1"]
    with (tmp_path / "server.log").open("w") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words], stdout=log, stderr=log, cwd=tmp_path, start_new_session=True
        )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


@pytest.mark.slow
@pytest.mark.parametrize("where", ["database", "server"])
def test_mlflow(where, run, mlflow, request, tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}" if where == "database" else request.getfixturevalue("server")
    first = begun(Mlflow, MlflowConfig(uri=uri), run())
    send(first, 100, 200, outcome="stopped")
    second = begun(Mlflow, MlflowConfig(uri=uri), run(first.id))
    assert (second.id, second.frame) == (first.id, 200)
    send(second, 300, outcome="complete")
    client = mlflow.MlflowClient(tracking_uri=uri)
    for tag, offset in (("session_1/rollout/ep_rew_mean", 1), ("rollout/ep_rew_mean", 0.5)):
        history = client.get_metric_history(first.id, tag)
        assert sorted((m.step, m.value) for m in history) == [(f, f + offset) for f in (100, 200, 300)]
    found = client.get_run(first.id)
    assert found.data.params == {name: str(value) for name, value in CONFIG.items()}
    assert (found.info.run_name, found.info.status, found.data.tags["group"]) == ("mine", "FINISHED", "study")
    assert found.data.metrics["score/final_return"] == 7.5
    paths = {each.path for each in client.list_artifacts(first.id)}
    assert paths == {"notes_0.txt", "learning_curve", "episode", "model"}


def table(run, session, name, tag):
    with (run / f"session_{session}" / f"{name}.csv").open() as file:
        return [(int(row["frame"]), float(row[tag])) for row in csv.DictReader(file) if row[tag]]


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_in_all_three_without_gap_or_repetition(mlflow, server, tmp_path):
    """Killed with all its processes, and by itself, as it may be; W&B holds back what it has, and loses it."""
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    words = ["env.max_frame=60000", "meta.log_frequency=250", "meta.max_session=2", "meta.kernels=off", "run_dir=run"]
    words += ["meta.rigorous_eval=2", "meta.final_eval=1", "env.backend=sync", "tracker=tensorboard,wandb,mlflow"]
    words += ["tracker.wandb.mode=offline", f"tracker.mlflow.uri={server}"]
    run, train = tmp_path / "run", [sys.executable, str(ROOT / "train.py")]
    for number, end in enumerate((os.killpg, os.kill, os.killpg)):
        process = subprocess.Popen([*train, *words], cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True)
        rows = len(table(run, 0, "train", "time/fps")) if number else 0
        while not (run / "session_0" / "train.csv").exists() or len(table(run, 0, "train", "time/fps")) < rows + 20:
            time.sleep(0.05)
            assert process.poll() is None
        end(process.pid, signal.SIGKILL)
        process.wait()
        words = ["meta.resume=run"]
    subprocess.run([*train, *words], cwd=tmp_path, check=True)

    ids = json.loads((run / "trackers.json").read_text())
    (by_wandb, _), client = logged(run, ids["wandb"]), mlflow.MlflowClient(tracking_uri=server)
    columns = [("train", "rollout/ep_rew_mean"), ("train", "train/value_loss"), ("eval", "eval/mean_reward")]
    for session, (name, tag) in itertools.product((0, 1), columns):
        wanted = table(run, session, name, tag)
        history = client.get_metric_history(ids["mlflow"], f"session_{session}/{tag}")
        for found in (
            EventAccumulator(str(run / f"session_{session}"), size_guidance={"scalars": 0}).Reload().Scalars(tag),
            [ScalarEvent(0, step, value) for step, value in by_wandb[f"session_{session}/{tag}"]],
            sorted((ScalarEvent(0, m.step, m.value) for m in history), key=lambda event: event.step),
        ):
            assert [event.step for event in found] == [frame for frame, _ in wanted]
            np.testing.assert_allclose([event.value for event in found], [value for _, value in wanted], rtol=1e-5)
    assert client.get_run(ids["mlflow"]).info.status == "FINISHED"


@pytest.mark.slow
def test_trials_that_run_side_by_side_are_one_group(mlflow, tmp_path):
    """They all make the tables of the same new database, too."""
    words = ["-m", "agent.lr=1e-3,3e-4,1e-4", "env.max_frame=4000", "meta.max_session=1", "meta.final_eval=0"]
    words += ["hydra.sweep.dir=study", "tracker=mlflow", "tracker.mlflow.uri=sqlite:///all.db"]
    subprocess.run([sys.executable, str(ROOT / "train.py"), *words], cwd=tmp_path, check=True)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'all.db'}")
    runs = client.search_runs([client.get_experiment_by_name("rllab").experiment_id])
    (group,) = {each.data.tags["group"] for each in runs}
    assert {each.info.run_name for each in runs} == {f"{group}/{number}" for number in range(3)}
    assert {each.data.params["agent.lr"] for each in runs} == {"0.001", "0.0003", "0.0001"}
    assert {each.info.status for each in runs} == {"FINISHED"}
