"""What an env tells of its episodes in its infos: per episode, in every place where a person looks."""

import csv
import dataclasses
import json
import math
from statistics import fmean

import numpy as np
import pytest
from test_envs_wrappers import NOTHING, Scripted

from rllab import config, envs
from rllab.command import main as rllab
from rllab.envs.infos import TrackInfos, measured, numbers
from rllab.envs.sub_env import OutputError
from rllab.errors import ConfigError
from rllab.training import trial

WORDS = ["env=gymnasium", "env.id=telling:Tells-v0", "env.num_envs=2", "env.max_frame=1200", "agent.num_steps=32"]
WORDS += ["meta.log_frequency=200", "meta.eval_frequency=400", "meta.max_session=2", "tracker=csv"]
ASKED = ["env.info_metrics=[length,step:sum]"]


class Telling(Scripted):
    """Tells `[T, rows]` under a name, nan where it tells nothing."""

    def __init__(self, ends, **told):
        super().__init__(np.zeros((len(ends), len(ends[0]))), ends)
        self.told = {name: np.array(values, object) for name, values in told.items()}

    def step(self, actions):
        t = self.t
        obs, reward, terminated, truncated, _ = super().step(actions)
        masks = {f"_{name}": values[t] != None for name, values in self.told.items()}  # noqa: E711 - of each element
        values = {name: np.where(masks[f"_{name}"], row[t], 0) for name, row in self.told.items()}
        return obs, reward, terminated, truncated, values | masks


@pytest.mark.parametrize(
    ("kind", "found"),
    [("last", [3, 7, math.nan]), ("sum", [6, 7, math.nan]), ("mean", [2, 7, math.nan]), ("max", [3, 7, math.nan])],
)
def test_one_number_of_each_episode(kind, found):
    # row 0: 1, 2, 3, then a reset row, whose 50 is of no episode, then nothing but nan; row 1: 7 in its one step, a
    # reset row, and an episode that is still going on
    told = [[1, 7], [2, 60], [3, 5], [50, 5], [math.nan, 5], [None, 5]]
    env = TrackInfos(Telling([".T", "..", "T.", "..", "..", "t."], fuel=told), {"fuel": kind})
    env.reset()
    infos = [env.step(NOTHING)[4].get("measured", {}) for _ in told]
    episodes = [infos[2]["info/fuel"][0], infos[0]["info/fuel"][0], infos[5]["info/fuel"][0]]
    np.testing.assert_array_equal(episodes, found)
    assert [sorted(each) for each in infos] == [["info/fuel"], [], ["info/fuel"], [], [], ["info/fuel"]]


def test_what_is_told_as_something_else():
    info = {"a": np.array([1, 2]), "b": np.array(["x", "y"]), "is_success": np.array([True, False])}
    np.testing.assert_array_equal(numbers(info, "a", 2), [1.0, 2.0])
    assert numbers(info, "c", 2) is None
    with pytest.raises(OutputError, match=r"^info\['b'\], which env.info_metrics tracks, is no number"):
        numbers(info, "b", 2)
    np.testing.assert_array_equal(measured(info, np.array([1]), 2)["success_rate"], [0.0])
    assert measured(info | {"is_success": np.array(["x", "y"])}, np.array([1]), 2) == {}


def tables(run, name="train"):
    return [[*csv.DictReader((run / f"session_{session}" / f"{name}.csv").open())] for session in (0, 1)]


def episodes(length):
    return {"info/length": length, "info/step": length * (length + 1) / 2, "success_rate": length % 2}


@pytest.mark.parametrize("backend", ["sync", "async"])
def test_every_backend_of_gymnasium_tells_the_same(backend, load_config):
    cfg = load_config(*WORDS, *ASKED, f"env.backend={backend}").env
    made = envs.make(cfg, num_sessions=2)
    made.reset([1, 2, 3, 4])
    ended = [each for _ in range(30) if (each := made.step(np.zeros((2, 2), np.int64))[4]) is not None]
    made.close()
    found = [
        ({tag: values[i] for tag, values in each.infos.items()}, each.lengths[i])
        for each in ended
        for i in range(len(each.env))
    ]
    assert len(found) > 10
    assert all(infos == episodes(length) for infos, length in found)


@pytest.mark.usefixtures("no_picture")
def test_a_run_says_it_everywhere_and_resumes_exactly(load_config, tmp_path, stop_at, capsys):
    words = [*WORDS, *ASKED, "meta.rigorous_eval=3", "meta.final_eval=4"]
    stop_at(500)
    with pytest.raises(SystemExit):
        trial.run(load_config(*words))
    trial.run(load_config(f"meta.resume={tmp_path / 'run'}"))
    trial.run(load_config(*words, run_dir="whole"))
    run = tmp_path / "run"
    tags = ["info/length", "info/step", "success_rate"]
    columns = {"train": [f"rollout/{tag}" for tag in tags], "eval": [f"eval/{tag}" for tag in tags]}
    for name, wanted in columns.items():
        for ours, whole in zip(tables(run, name), tables(tmp_path / "whole", name), strict=True):
            assert [[row[tag] for tag in wanted] for row in ours] == [[row[tag] for tag in wanted] for row in whole]
    last = tables(run)[0][-1]
    assert last["rollout/info/length"] == last["rollout/ep_len_mean"]
    assert 0 < float(last["rollout/success_rate"]) < 1
    assert tables(run, "eval")[0][-1]["eval/info/length"] == tables(run, "eval")[0][-1]["eval/mean_ep_length"]

    found = json.loads((run / "trial.json").read_text())
    assert found["sessions"][0]["infos"]["rollout/info/length"] == float(last["rollout/info/length"])
    means = [float(rows[-1]["rollout/success_rate"]) for rows in tables(run)]
    assert found["infos"]["rollout/success_rate"]["mean"]["value"] == pytest.approx(fmean(means))
    assert {f"greedy_{which}/{tag}" for which in ("best", "last") for tag in tags} <= found["infos"].keys()
    assert "rollout/success_rate" in capsys.readouterr().out

    rllab(["compare", str(run), "--json"])
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert group["infos"]["eval/success_rate"]["value"] == found["infos"]["eval/success_rate"]["mean"]["value"]
    rllab(["compare", str(run)])
    assert "rollout/info/step" in capsys.readouterr().out.splitlines()[0]
    with pytest.raises(SystemExit):
        rllab(["eval", str(run), "--episodes", "3", "--trust"])
    assert "info/step" in capsys.readouterr().out.splitlines()[0]
    greedy = json.loads((run / "eval.json").read_text())["best"]["greedy"]
    assert greedy["sessions"][1]["infos"]["info/length"] == pytest.approx(greedy["sessions"][1]["mean_length"])
    rllab(["report", str(run)])
    assert "rollout/info/step" in (run / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("no_picture")
@pytest.mark.parametrize("words", [["meta.num_workers=2"], ["meta.distributed=shared"]])
def test_in_several_processes(words, load_config, tmp_path):
    trial.run(load_config(*WORDS, *ASKED, *words))
    header, *rows = csv.reader((tmp_path / "run" / "session_0" / "train.csv").open())
    last = dict(zip(header, rows[-1], strict=True))
    assert float(last["rollout/info/length"]) == pytest.approx(float(last["rollout/ep_len_mean"]))


@pytest.mark.usefixtures("no_picture")
def test_a_name_that_no_episode_tells_is_said_once(load_config, capsys):
    trial.run(load_config(*WORDS, "env.info_metrics=[lenght,length]"))
    out = capsys.readouterr().out
    assert out.count("env.info_metrics: no episode has told lenght so far, its infos have no such entry\n") == 1


@pytest.mark.usefixtures("no_picture")
def test_success_comes_by_itself_unless_it_is_something_else(load_config, tmp_path):
    trial.run(load_config(*WORDS))
    assert float(tables(tmp_path / "run")[0][-1]["rollout/success_rate"]) > 0
    assert "rollout/info/length" not in tables(tmp_path / "run")[0][-1]
    trial.run(load_config(*WORDS, "env.id=telling:TellsOddly-v0", run_dir="odd"))
    assert "rollout/success_rate" not in tables(tmp_path / "odd")[0][-1]


def test_what_is_no_number_ends_the_run_in_one_line(load_config):
    words = [*WORDS, "env.id=telling:TellsText-v0", "env.info_metrics=[noise]"]
    with pytest.raises(ConfigError, match=r"'x' as info\['noise'\], which env.info_metrics tracks: no number"):
        trial.run(load_config(*words))


def test_backends_that_tell_nothing_are_left_alone_or_refused(load_config):
    for env in ("cartpole", "halfcheetah", "lunarlander"):
        asked = dataclasses.replace(load_config(f"env={env}").env, info_metrics=["x"])
        assert envs.inspect(asked).backend in ("vector_entry_point", "sync")
    for backend in ("native", "envpool"):
        asked = dataclasses.replace(load_config("env=cartpole").env, backend=backend, info_metrics=["x"])
        with pytest.raises(
            ValueError, match=rf"^env.info_metrics: got \['x'\], which env.backend={backend} does not tell; "
        ):
            envs.inspect(asked)


@pytest.mark.parametrize("asked", ["a:b", "a b", "", "a:", "a,b"])
def test_entries_that_are_refused(asked):
    with pytest.raises(ValueError, match=r"^env.info_metrics: got .*; write a name, or one of name:last, name:mean, "):
        config.EnvConfig(info_metrics=[asked])
    with pytest.raises(ValueError, match=r"^env.info_metrics: got \['a', 'a:sum'\]; write each name once"):
        config.EnvConfig(info_metrics=["a", "a:sum"])
