"""Callbacks: what they are told, what they may do, and that a run with them resumes exactly."""

import csv
import json
import math
from fnmatch import fnmatch
from pathlib import Path

import pytest

import rllab
from rllab import checkpoint
from rllab.errors import ConfigError
from rllab.training import checks, trial

SMALL = ["tuned=none", "agent.num_steps=32", "env.max_frame=1024", "meta.log_frequency=256", "meta.eval_frequency=512"]
SMALL += ["meta.max_session=2"]
CLOCKS = ("elapsed_s", "time/fps", "time/env_share", "time/act_share", "time/update_share", "time/log_share")


class Watch(rllab.Callback):
    """Counts log checkpoints, and at one of them sets the learning rate to 0."""

    def __init__(self, freeze_at=math.inf, raise_at=math.inf):
        self.freeze_at, self.raise_at, self.count = freeze_at, raise_at, 0
        self.told, self.episodes = [], []

    def on_start(self, training):
        self.told.append(("start", training.frame))

    def on_log(self, training):
        self.count, self.score = self.count + 1, training.score
        training.log("watch/count", self.count)
        training.log("watch/session", range(len(training.rows)))
        self.told.append(("log", training.frame))
        if training.frame == self.freeze_at:
            training.set("agent.lr", 0)
        if training.frame == self.raise_at:
            self.raise_at = math.inf
            raise ValueError("no\nmore")

    def on_eval(self, training):
        training.log("watch/half", training.score / 2)
        self.told.append(("eval", training.frame))

    def on_episode(self, training, session, episode):
        self.episodes.append((training.frame, session, *episode[:3]))

    def on_end(self, training):
        self.told.append(("end", training.frame))

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


def stop_soon(training):
    if training.frame >= 512:
        training.stop("it is enough")


def set_nothing(training):
    training.set("agent.foo", 1)


def rows(run, name="train", session=1):
    with (Path(run) / f"session_{session}" / f"{name}.csv").open() as file:
        return [{key: value for key, value in row.items() if key not in CLOCKS} for row in csv.DictReader(file)]


def policy(run):
    read = checkpoint.read(Path(run) / "checkpoints" / "last.safetensors")
    return {name: x.tolist() for name, x in read["algorithm"]["policy"].items()}


pytestmark = pytest.mark.usefixtures("no_picture")


def test_what_it_is_told_and_what_it_may_do(load_config, capsys):
    watch, scores = Watch(freeze_at=512), []
    cfg = load_config(*SMALL)
    trial.run(cfg, callbacks=[watch, lambda training: scores.append(training.score)])
    checkpoints = [("log", 256), ("eval", 512), ("log", 512), ("log", 768), ("eval", 1024), ("log", 1024)]
    assert watch.told == [("start", 0), *checkpoints, ("end", 1024)]
    assert len(scores) == 4
    found = rows(cfg.run_dir)
    assert [row["watch/count"] for row in found] == ["1", "2", "3", "4"]
    assert {row["watch/session"] for row in found} == {"1"}
    assert 2 * float(rows(cfg.run_dir, "eval")[-1]["watch/half"]) == pytest.approx(watch.score)
    assert len(watch.episodes) == sum(int(rows(cfg.run_dir, session=n)[-1]["rollout/num_episodes"]) for n in range(2))
    assert all(at - 256 <= frame < at and value == length for at, _, frame, value, length in watch.episodes)
    assert {session for _, session, *_ in watch.episodes} == {0, 1}
    assert [frame for _, _, frame, *_ in watch.episodes] == sorted(frame for _, _, frame, *_ in watch.episodes)
    kl = [abs(float(row["train/approx_kl"])) for row in found]
    assert min(kl[:2]) > 1e-4  # it learned
    assert max(kl[2:]) < 1e-6  # and then it did not
    assert "watch" not in capsys.readouterr().err


@pytest.mark.parametrize("num_workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_it_stops_a_run_which_is_then_complete(load_config, num_workers, capsys):
    cfg = load_config(*SMALL, f"callbacks=[{__name__}.stop_soon]", f"meta.num_workers={num_workers}")
    trial.run(cfg)
    assert [row["frame"] for row in rows(cfg.run_dir)] == ["256", "512"]
    assert json.loads((Path(cfg.run_dir) / "trial.json").read_text())["frames"] == 512
    assert json.loads((Path(cfg.run_dir) / "provenance.json").read_text())["stopped"] == "at frame 512: it is enough"
    assert "stopped at frame 512: it is enough" in capsys.readouterr().out
    resume = load_config(f"meta.resume={cfg.run_dir}")
    trial.run(resume)
    assert [row["frame"] for row in rows(cfg.run_dir)] == ["256", "512"]
    trial.run(resume, max_frame=2048)  # asked for: it goes on, and is stopped again
    assert [row["frame"] for row in rows(cfg.run_dir)] == ["256", "512", "768"]


def test_a_resumed_run_goes_on_with_what_it_knew_and_had_set(load_config, monkeypatch):
    monkeypatch.setattr(trial, "SAVE_PERIOD", 0)
    monkeypatch.setattr(trial, "SAVE_SHARE", math.inf)
    whole, broken = (load_config(*SMALL, run_dir=name) for name in ("whole", "broken"))
    trial.run(whole, callbacks=[all_of_them := Watch(freeze_at=512)])
    with pytest.raises(ConfigError) as refused:
        trial.run(broken, callbacks=[Watch(freeze_at=512, raise_at=1024)])
    line = f"callbacks: {__name__}.Watch failed in on_log, ValueError: no more (see *); go on from frame 768 with: *"
    assert fnmatch(str(refused.value), line), str(refused.value)
    assert "no\nmore" in (Path(broken.run_dir) / "error.txt").read_text()
    again = Watch()
    trial.run(load_config(f"meta.resume={broken.run_dir}"), callbacks=[again])
    assert again.episodes == [episode for episode in all_of_them.episodes if episode[0] == 1024]
    assert rows(broken.run_dir) == rows(whole.run_dir)
    assert rows(broken.run_dir, "eval") == rows(whole.run_dir, "eval")
    assert policy(broken.run_dir) == policy(whole.run_dir)


def test_those_of_python_are_missed_on_a_command_line(load_config, capsys):
    cfg = load_config(*SMALL)
    trial.run(cfg, callbacks=[Watch()])
    trial.run(load_config(f"meta.resume={cfg.run_dir}"), max_frame=1280)
    assert f"callbacks: {__name__}.Watch of the run before is not there" in capsys.readouterr().out


@pytest.mark.slow
def test_several_processes_give_the_numbers_of_one(load_config):
    calls = f"callbacks=[{{{__name__}.Watch: {{freeze_at: 512}}}}]"
    one, two = (load_config(*SMALL, calls, f"meta.num_workers={n}", run_dir=str(n)) for n in (1, 2))
    watches = [Watch(), Watch()]
    for cfg, watch in zip((one, two), watches, strict=True):
        trial.run(cfg, callbacks=[watch])
    assert watches[0].episodes == watches[1].episodes
    assert watches[0].told == watches[1].told
    assert rows(one.run_dir) == rows(two.run_dir)
    assert rows(one.run_dir, "eval") == rows(two.run_dir, "eval")
    assert policy(one.run_dir) == policy(two.run_dir)


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [1, 2])
def test_what_cannot_be_set_is_said_in_one_line(load_config, num_workers):
    cfg = load_config(*SMALL, f"callbacks=[{__name__}.set_nothing]", f"meta.num_workers={num_workers}")
    with pytest.raises(ConfigError, match=r"agent\.foo: cannot be set; ppo has .*: agent\.lr, .*; go on from"):
        trial.run(cfg)


@pytest.mark.slow
def test_hogwild_can_be_stopped_but_not_set(load_config):
    words = [*SMALL, "meta.distributed=shared", "env.max_frame=1e5"]
    cfg = load_config(*words, f"callbacks=[{__name__}.stop_soon]", run_dir="stopped")
    trial.run(cfg)
    assert 512 <= json.loads((Path(cfg.run_dir) / "trial.json").read_text())["frames"] < 50_000
    cfg = load_config(*words, f"callbacks=[{{{__name__}.Watch: {{freeze_at: 256}}}}]", run_dir="set")
    with pytest.raises(ConfigError, match=r"meta\.distributed: got 'shared', .* told to set agent\.lr"):
        trial.run(cfg, callbacks=[lambda training: training.set("agent.lr", 0)])


@pytest.mark.parametrize(
    ("scores", "arguments", "stopped_at"),
    [
        ([1, 5, 9, 9], {"score": 9}, 300),
        ([math.nan, 5, 6, 6, 5, 6], {"patience": 200}, 500),
        ([1, 2, 3, 4, 5, 6], {"patience": 200}, None),
        ([1, 2, 3, 4, 5, 6], {"patience": 200, "min_delta": 10}, 300),
        ([math.nan] * 3, {"score": 9, "patience": 1000}, None),
    ],
)
def test_early_stopping(load_config, tmp_path, scores, arguments, stopped_at):
    from rllab.callbacks import Training

    training = Training(load_config(*SMALL), tmp_path, set_values=None, player=None, show_video=None)
    stopping = rllab.EarlyStopping(**arguments)
    for index, score in enumerate(scores):
        training.frame, training.scores = 100 * (index + 1), [score, score]
        again = rllab.EarlyStopping(**arguments)
        again.load_state_dict(stopping.state_dict())
        stopping = again
        stopping.on_eval(training)  # scores are those of training: nothing is looked at twice
        stopping.on_log(training)
        if training.stopped:
            break
    assert (training.frame if training.stopped else None) == stopped_at


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["meta.num_workers=2"], ["meta.distributed=synced"]])
def test_a_film_at_every_second_evaluation(load_config, words):
    pytest.importorskip("moviepy")
    cfg = load_config(*SMALL, *words, "callbacks=[{rllab.callbacks.Video: {every: 2}}]", "meta.eval_frequency=256")
    trial.run(cfg)
    films = sorted((Path(cfg.run_dir) / "videos").glob("*.mp4"))
    assert len(films) == 2 or "meta.distributed=synced" in words  # which may skip one
    assert all(film.stat().st_size > 1000 for film in films)


REFUSED = {
    "rllab.callbacks.Nope": "callbacks: got 'rllab.callbacks.Nope', which cannot be imported (*); write e.g. *",
    "nowhere": "callbacks: got 'nowhere', which cannot be imported (*); write e.g. [{rllab.callbacks.EarlyStopping: *",
    "rllab.callbacks.EarlyStopping": "callbacks: got *, which cannot be made: EarlyStopping: got None; *",
    "{rllab.callbacks.EarlyStopping: {patience: 0}}": "callbacks: got *: EarlyStopping.patience: got 0; *",
    "{rllab.callbacks.EarlyStopping: {scor: 9}}": "callbacks: got * with scor, which it does not take; *",
    "{rllab.callbacks.Video: {every: 0}}": "callbacks: got *: Video.every: got 0; write an integer of at least 1",
    "{rllab.callbacks.Video: {session: 2}}": "callbacks: Video.session: got 2; write a number from 0 to 1",
    "{test_callbacks.stop_soon: {a: 1}}": "callbacks: got * with arguments, but a function takes none; write a class",
    "math.pi": "callbacks: got 'math.pi', which is neither a function nor derived from rllab.callbacks.Callback",
    "fractions.Fraction": "callbacks: got 'fractions.Fraction', which is neither a function nor derived from *",
    "7": "callbacks: got 7; write its dotted name, or {my_pkg.MyCallback: {size: 4}} with arguments",
}


@pytest.mark.parametrize("callback", REFUSED)
def test_what_is_refused_before_anything_is_made(load_config, callback):
    with pytest.raises((ConfigError, ValueError)) as refused:
        checks.check(load_config(*SMALL, f"callbacks=[{callback}]"))
    assert fnmatch(str(refused.value), REFUSED[callback]), str(refused.value)
