from __future__ import annotations

import dataclasses
import math
import threading
import warnings

import matplotlib as mpl
import optuna
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from matplotlib import pyplot as plt
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from optuna.visualization import matplotlib as optuna_plots

from rllab import config
from rllab.search import plots, report, trials
from rllab.search.trials import TrialRow

SPACE = {
    "agent.lr": FloatDistribution(1e-5, 1e-1, log=True),
    "agent.gamma": FloatDistribution(0.9, 0.999),
    "agent.num_epochs": IntDistribution(1, 20),
    "agent.net.hidden_sizes": CategoricalDistribution(["[64,64]", "[256,256]"]),
}
ALL = ["intermediate_values", "optimization_history", "parallel_coordinate", "param_importances", "slice"]


def row(index, state, value=math.nan, *, params=None, reason=""):
    return TrialRow(index, state, params or {}, 100 * index, value, 1.23456, reason)


def make_study(states, fields=tuple(SPACE), frames=5):
    """A study with one trial per letter: Complete, Pruned, Failed, Running, Waiting."""
    names = {"C": "COMPLETE", "P": "PRUNED", "F": "FAIL", "R": "RUNNING", "W": "WAITING"}
    study = optuna.create_study(direction="maximize")
    for number, state in enumerate(states):
        all_params = {
            "agent.lr": 10 ** (-4 + number % 3 / 2),
            "agent.gamma": 0.9 + 0.01 * (number % 7),
            "agent.num_epochs": 1 + number % 5,
            "agent.net.hidden_sizes": "[64,64]" if number % 2 else "[256,256]",
        }
        params = {} if state in "FW" else {field: all_params[field] for field in fields}
        steps = {"C": frames, "R": 2, "P": 3}.get(state, 0)
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState[names[state]],
                params=params,
                distributions={field: SPACE[field] for field in params},
                value=100.0 - (number - 4) ** 2 if state in "CP" else None,
                intermediate_values={10_000 * step: float(step + number) for step in range(1, steps + 1)},
            )
        )
    return study


def names(paths):
    return sorted(path.stem for path in paths)


@pytest.mark.parametrize(
    ("rows", "index"),
    [
        ([], None),
        ([row(0, "pruned", 9), row(1, "failed", 9), row(2, "running", 9)], None),
        ([row(0, "complete", -2), row(1, "complete", -1), row(2, "pruned", 9)], 1),
        ([row(0, "complete"), row(1, "complete", -1), row(2, "complete", -1)], 1),
    ],
)
def test_best_row(rows, index):
    best = trials.best_row(rows)
    assert (best and best.index) == index


def test_trials_csv(tmp_path):
    rows = [
        row(0, "complete", 0.1 + 0.2, params={"agent.lr": 1e-5, "sizes": "[64,64]"}),
        row(1, "failed", params={"agent.lr": 0.5, "flag": True}, reason='it said "no"'),
        row(2, "waiting"),
    ]
    report.write_trials(rows, tmp_path / "trials.csv")
    assert (tmp_path / "trials.csv").read_text().splitlines() == [
        "trial,state,value,frames,seconds,agent.lr,sizes,flag,reason",
        '0,complete,0.30000000000000004,0,1.2,1e-05,"[64,64]",,',
        '1,failed,,100,1.2,0.5,,True,"it said ""no"""',
        "2,waiting,,200,1.2,,,,",
    ]


@pytest.mark.parametrize(
    ("keep", "left"),
    [(1, {2, 6, 7}), (2, {0, 2, 6, 7}), (3, {0, 2, 4, 6, 7}), (4, {0, 1, 2, 4, 6, 7}), (99, {0, 1, 2, 3, 4, 6, 7})],
)
def test_models_that_are_kept(tmp_path, keep, left):
    rows = [
        row(0, "complete", 5),
        row(1, "pruned", 90),
        row(2, "complete", 7),
        row(3, "pruned"),  # never reported
        row(4, "pruned", 91),
        row(5, "failed", 99),
        row(6, "running", 1),
        row(7, "waiting"),
        row(8, "failed"),  # without a directory
    ]
    for index in range(8):
        (tmp_path / str(index) / "checkpoints").mkdir(parents=True)
        (tmp_path / str(index) / "checkpoints" / "best.safetensors").touch()
        (tmp_path / str(index) / "config.yaml").touch()
    report.remove_models(rows, tmp_path, keep=keep)
    assert {index for index in range(8) if (tmp_path / str(index) / "checkpoints").exists()} == left
    assert all((tmp_path / str(index) / "config.yaml").exists() for index in range(8))


def test_the_best_config_is_written_as_a_person_would(tmp_path):
    path = tmp_path / "best.yaml"
    whole = {"agent": {"lr": 1e-05, "net": {"hidden_sizes": [64, 64]}}, "env": {"num_envs": 8}}
    report.write_best(path, config=whole, groups=["env", "agent"], comment="trial 3\nof 24")
    assert path.read_text().splitlines() == [
        "# trial 3",
        "# of 24",
        "defaults:",
        "- config",
        "- override env: null",
        "- override agent: null",
        "- _self_",
        "agent:",
        "  lr: 1.0e-05",
        "  net:",
        "    hidden_sizes:",
        "    - 64",
        "    - 64",
        "env:",
        "  num_envs: 8",
    ]


@pytest.mark.parametrize(
    "value",
    [
        *(1e-05, 1e-5 / 3, 0.1 + 0.2, 1e22, -5e-324, 1.0, 3, True, None, [1, 2.5], {"a": [1e-5]}),
        *("1e-5", "1e5", "1", "true", "null", "", "12:30:00", "[64,64]", "linear:1e-3:0", "a # b", "off", "1_000", "~"),
        "${a}",
    ],
)
def test_values_read_back_as_they_were(tmp_path, value):
    path = tmp_path / "best.yaml"
    report.write_best(path, config={"env": {"kwargs": {"x": value}}}, groups=[], comment="")
    read = OmegaConf.to_container(OmegaConf.load(path), resolve=True)["env"]["kwargs"]["x"]
    assert read == value
    assert type(read) is type(value)


def test_the_best_config_composes(tmp_path, load_config):
    """To the very env and agent, whatever the presets say today; `meta` is chosen by those who train it."""
    whole = dataclasses.asdict(load_config("env=acrobot", "agent=a2c", "agent.lr=1.5e-05", "env.max_frame=3000"))
    sections = {name: whole[name] for name in ("env", "agent")} | {"meta": {"seed": 3}}
    groups = ["env", "agent", "tuned"]
    report.write_best(tmp_path / "best.yaml", config=sections, groups=groups, comment="trial 3")
    config.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(tmp_path)):
        overrides = [f"hydra.searchpath=[file://{config.conf_dir()}]", "meta=quick_dev", f"run_dir={tmp_path / 'run'}"]
        run = config.load(compose("best", overrides))
    assert (dataclasses.asdict(run.env), dataclasses.asdict(run.agent)) == (whole["env"], whole["agent"])
    assert (run.meta.max_session, run.meta.seed) == (1, 3)


def test_pictures_of_a_search(tmp_path):
    plt.close("all")
    before = dict(mpl.rcParams)
    study = make_study("CCCPCFCPCRWCCCCC")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = plots.write_plots(study, tmp_path)
    assert names(written) == ALL
    assert sorted(tmp_path.iterdir()) == sorted(written)
    assert all(path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") for path in written)
    assert plt.get_fignums() == []
    changed = {name for name, value in mpl.rcParams.items() if before[name] != value} - {"backend", "backend_fallback"}
    assert changed == set()


@pytest.mark.parametrize(
    ("states", "fields", "expected"),
    [
        ("", 4, []),
        ("FW", 4, []),
        ("CPR", 4, ["intermediate_values"]),
        ("CC", 0, ["intermediate_values", "optimization_history"]),
        ("CCP", 1, ["intermediate_values", "optimization_history"]),
        ("CCCCCCCCCCP", 1, ["intermediate_values", "optimization_history", "slice"]),
        ("CC", 2, ["intermediate_values", "optimization_history", "parallel_coordinate"]),
        ("CCCCCCCCCCP", 2, ALL),
    ],
)
def test_what_a_study_is_too_small_for_is_left_out(tmp_path, states, fields, expected):
    assert names(plots.write_plots(make_study(states, list(SPACE)[:fields]), tmp_path)) == expected


def test_a_picture_that_fails_is_told_and_the_others_are_drawn(tmp_path, monkeypatch):
    def broken(study, target_name):
        plt.figure()
        raise KeyError(target_name)

    plt.close("all")
    monkeypatch.setattr(optuna_plots, "plot_slice", broken)
    with pytest.warns(UserWarning, match=r"slice.png could not be drawn: KeyError\('mean return'\)"):
        written = plots.write_plots(make_study("CCCCCCCCCC"), tmp_path)
    assert names(written) == sorted(set(ALL) - {"slice"})
    assert plt.get_fignums() == []


def test_pictures_are_drawn_in_any_thread(tmp_path):
    written = []
    study = make_study("CCCCCCCCCC", fields=["agent.lr"])
    thread = threading.Thread(target=lambda: written.extend(plots.write_plots(study, tmp_path)))
    thread.start()
    thread.join()
    assert names(written) == ["intermediate_values", "optimization_history", "slice"]


@pytest.fixture
def draw():
    """`draw("slice", study)` -> the figure."""
    mpl.use("agg")
    with warnings.catch_warnings(), plt.rc_context():
        warnings.simplefilter("ignore")
        yield lambda name, study: plots.PLOTS[name](study)
    plt.close("all")


def test_curves_are_told_apart_by_how_the_trial_ended(draw):
    figure = draw("intermediate_values", make_study("CCPCRCP"))
    kinds = [line.get_label() for line in figure.axes[0].lines]
    assert kinds == ["complete", "complete", "pruned", "best", "running", "complete", "pruned"]  # 100 - 1 at trial 3
    assert len({line.get_color() for line in figure.axes[0].lines}) == 4
    assert sorted(text.get_text() for text in figure.legends[0].get_texts()) == sorted(set(kinds))
    assert [axis.get_text() for axis in (figure.axes[0].xaxis.label, figure.axes[0].yaxis.label)] == [
        "frames",
        "mean return",
    ]


def test_a_curve_of_one_report_is_a_point(draw):
    figure = draw("intermediate_values", make_study("C", frames=1))
    assert figure.axes[0].lines[0].get_marker() == "o"


def test_names_are_short_and_whole(draw):
    study = make_study("CCCC")
    short = {"gamma", "lr", "net.hidden_sizes", "num_epochs"}
    importances = draw("param_importances", study).axes[0]
    assert {label.get_text() for label in importances.get_yticklabels()} == short
    assert {axes.get_xlabel() for axes in draw("slice", study).axes} == short | {""}  # "": the colour bar
    parallel = draw("parallel_coordinate", study).axes[0]
    assert [label.get_text() for label in parallel.get_xticklabels()] == ["mean return", *sorted(short)]


def test_choices_are_labelled_without_quotes(draw):
    axes = next(a for a in draw("slice", make_study("CCCC")).axes if a.get_xlabel() == "net.hidden_sizes")
    assert {label.get_text() for label in axes.get_xticklabels()} == {"[64,64]", "[256,256]"}
