"""Trackers as a run has them: what reaches them, once, and what becomes of those that fail."""

import dataclasses
import json
import threading
import time
from dataclasses import dataclass
from typing import ClassVar

import pytest

from rllab.tracking.trackers import RunTracker, check, deliver, find, means_first
from rllab.tracking.trackers.deliver import Trackers


@dataclass(frozen=True)
class RecorderConfig:
    name: str = f"{__name__}:Recorder"
    had: int = 0
    fails_in: str = ""


class Recorder(RunTracker):
    """Writes down its calls; one of them may fail, or hang."""

    Config = RecorderConfig
    made: ClassVar = []

    def __init__(self, config, run):
        self.config, self.run, self.calls = config, run, []
        self.frame = config.had
        run.remember("one")
        self.made.append(self)
        self._call("begin")

    def _call(self, *call):
        if self.config.fails_in == call[0]:
            raise OSError(28, "No space left on device")
        if self.config.fails_in == f"{call[0]} hangs":
            threading.Event().wait(10)
        self.calls.append(call)

    def scalars(self, frame, rows):
        self._call("scalars", frame, rows)

    def text(self, tag, text, frame):
        self._call("text", tag, text, frame)

    def picture(self, tag, path, frame):
        self._call("picture", tag, path.name, frame)

    def video(self, tag, path, frame):
        self._call("video", tag, path.name, frame)

    def model(self, path):
        self._call("model", path.name)

    def scores(self, scores, frame):
        self._call("scores", scores, frame)

    def close(self, outcome):
        self._call("close", outcome)


@pytest.fixture
def begin(load_config, tmp_path, monkeypatch):
    """`begin(a={}, b={...})` begins two recorders with these settings; `said` gathers the lines for a person."""
    monkeypatch.setattr(Recorder, "made", [])
    cfg = load_config("meta.rigorous_eval=2", "tracker=csv")

    def make(*, resumed_at=None, study=None, **settings):
        chosen = {key: RecorderConfig(**each) for key, each in settings.items()}
        return Trackers(
            dataclasses.replace(cfg, tracker=chosen),
            ["session_0", "session_1"],
            make.said.append,
            path=tmp_path,
            resumed_at=resumed_at,
            study=study,
        )

    make.said = []
    return make


def rows(frame, name="rollout/ep_rew_mean"):
    return [{"frame": frame, "elapsed_s": 1.0, name: frame + session, "train/loss": float("nan")} for session in (0, 1)]


def given(frame, *names):
    return "scalars", frame, {f"session_{s}": dict.fromkeys(names, frame + s) for s in (0, 1)}


def test_rows_of_a_frame_come_together_once_the_run_has_been_saved(begin):
    run = begin(a={}, b={})
    run.eval(rows(100, "eval/mean_reward"), inferred=False)
    run.train(rows(100))
    run.train(rows(200))
    run.eval(rows(300, "eval/mean_reward"), inferred=True)  # that is known as rollout/ep_rew_mean
    run.flush()
    run.saved()
    run.train(rows(400))  # the run is killed before it is saved again
    run.close("stopped")
    first, second = (recorder.calls for recorder in Recorder.made)
    assert first == second
    both = given(100, "eval/mean_reward", "rollout/ep_rew_mean")
    assert first == [("begin",), both, given(200, "rollout/ep_rew_mean"), ("close", "stopped")]
    assert begin.said == []


def test_who_goes_on_brings_what_had_not_arrived_and_nothing_twice(begin, tmp_path):
    run = begin(a={})
    for frame in (100, 200, 300):
        run.eval(rows(frame, "eval/mean_reward"), inferred=False)
        run.train(rows(frame))
    run.flush()
    run.close("stopped")  # as if it had been killed before anything went out
    assert [call for call in Recorder.made[0].calls if call[0] == "scalars"] == []
    assert json.loads((tmp_path / "trackers.json").read_text()) == {"a": "one"}

    run = begin(a={"had": 100}, b={"had": 200}, c={"had": 300}, resumed_at=200)  # c is ahead of the checkpoint
    run.video("episode", tmp_path / "300.mp4", 300)
    run.train(rows(300))
    run.train(rows(400))
    run.saved()
    run.close("complete")
    made = {recorder.config.had: recorder for recorder in Recorder.made[1:]}
    assert made[100].run.id == "one"
    assert made[200].run.id is None
    frames = {had: [call[1] for call in each.calls if call[0] == "scalars"] for had, each in made.items()}
    assert frames == {100: [200, 300, 400], 200: [300, 400], 300: [400]}
    assert given(200, "eval/mean_reward", "rollout/ep_rew_mean") in made[100].calls
    videos = {had: [call for call in each.calls if call[0] == "video"] for had, each in made.items()}
    assert videos == {100: [("video", "episode", "300.mp4", 300)], 200: [("video", "episode", "300.mp4", 300)], 300: []}


def test_the_end_of_a_run(begin, tmp_path):
    run = begin(a={}, study="ppo_cartpole_3fa9c1")
    run.text("notes", "a\nb", 0)
    for name in ("learning_curve.png", "checkpoints/best.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    run.finish({"final_return": 3.0}, 500)
    run.close("complete")
    (recorder,) = Recorder.made
    ends = ("scores", {"final_return": 3.0}, 500), ("picture", "learning_curve", "learning_curve.png", 500)
    assert recorder.calls[1:] == [
        ("text", "notes", "a\nb", 0),
        *ends,
        ("model", "best.safetensors"),
        ("close", "complete"),
    ]
    assert recorder.run.group == "ppo_cartpole_3fa9c1"
    assert recorder.run.name == f"ppo_cartpole_3fa9c1/{tmp_path.name}"
    assert recorder.run.config["agent.gamma"] == 0.99
    assert recorder.run.config["meta.search_scheduler.kind"] == "median"
    assert not any(name.startswith("tracker") for name in recorder.run.config)


@pytest.mark.parametrize("where", ["begin", "scalars", "text", "close"])
def test_one_that_fails_is_told_once_and_the_others_go_on(begin, where):
    run = begin(bad={"fails_in": where}, good={})
    run.text("notes", "a", 0)
    for frame in (100, 200):
        run.train(rows(frame))
        run.saved()
        time.sleep(0.05)
    run.close("complete")
    line = "tracker bad: failed (OSError: [Errno 28] No space left on device); the run goes on without it"
    assert begin.said == [line]
    good = next(recorder for recorder in Recorder.made if not recorder.config.fails_in)
    assert [call[0] for call in good.calls] == ["begin", "text", "scalars", "scalars", "close"]


@pytest.mark.parametrize("where", ["begin hangs", "close hangs"])
def test_one_that_hangs_is_left_behind(begin, where, monkeypatch):
    monkeypatch.setattr(deliver, "PATIENCE", 0.1)
    run = begin(bad={"fails_in": where}, good={})
    run.train(rows(100))
    run.saved()
    started = time.monotonic()
    run.close("complete")
    assert time.monotonic() - started < 2
    assert begin.said == ["tracker bad: has not answered for 0.1 seconds; the run goes on without it"]
    good = next(recorder for recorder in Recorder.made if not recorder.config.fails_in)
    assert [call[0] for call in good.calls] == ["begin", "scalars", "close"]


def test_without_trackers_there_are_the_tables_alone(begin, tmp_path):
    run = begin()
    run.train(rows(100))
    run.saved()
    run.finish({}, 100)
    run.close("complete")
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"train.csv", "eval.csv"}
    assert Recorder.made == []


def test_means_over_sessions_and_each_session_below_its_name():
    rows = {"session_0": {"a/b": 1.0, "a/c": 5.0}, "session_1": {"a/b": 3.0}, "worker_0": {"a/b": 100.0}}
    own = {"session_0/a/b": 1.0, "session_0/a/c": 5.0, "session_1/a/b": 3.0, "worker_0/a/b": 100.0}
    assert means_first(rows) == {"a/b": 2.0, "a/c": 5.0} | own


def test_what_cannot_be_had_is_refused(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    for name in ("wandb", "mlflow"):
        with pytest.raises(ValueError, match=rf"^tracker: got '{name}', .*; type pip install 'rllab\[{name}\]'$"):
            check({name: find(name, field="x").Config()})
    with pytest.raises(ValueError, match=r"^tracker.x.name: got 'wandv', which is no tracker; did you mean wandb\?$"):
        find("wandv", field="tracker.x.name")
    with pytest.raises(ValueError, match=r"^tracker.x.name: got 'json:loads', which has no dataclass Config; "):
        find("json:loads", field="tracker.x.name")
    with pytest.raises(ValueError, match=r"^tracker.x.name: got 'nowhere:X' \(No module named 'nowhere'\); "):
        find("nowhere:X", field="tracker.x.name")
