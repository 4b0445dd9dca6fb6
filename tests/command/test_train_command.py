"""What a person can ask of `python train.py`: the whole config, help, completion, a grid, presets of one's own."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rllab.config.schema import fields_counting_frames
from rllab.host import provenance

ROOT = Path(__file__).parents[2]


def test_cfg_shows_every_field_with_its_value(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = yaml.safe_load(command("--cfg job env=pendulum run_dir=x/${env.id} env.max_frame=1e6").out)
    assert shown["run_dir"] == "x/Pendulum-v1"
    assert shown["env"]["max_frame"] == 1e6
    assert list(shown) == ["meta", "env", "agent", "eval_env", "callbacks", "tracker", "run_dir"]
    fields = "max_session max_trial log_frequency eval_frequency distributed rigorous_eval search_resources"
    assert list(shown["meta"])[:7] == fields.split()
    assert shown["meta"]["search_scheduler"] == {"kind": "median", "grace_period": None, "reduction_factor": 3}
    assert "${" not in command("--cfg all").out.partition("hydra_help")[0].partition("template")[0]
    assert not list(tmp_path.iterdir())


def test_what_was_typed_stays_as_it_was(command):
    words = ["env.id=Acrobot-v1", "--cfg", "job"]
    shown = yaml.safe_load(command(" ".join(words)).out)
    assert (shown["env"]["id"], shown["env"]["reward_threshold"]) == ("Acrobot-v1", None)  # not that of env=cartpole
    assert sys.argv[1:] == words


@pytest.mark.parametrize("field", sorted(fields_counting_frames()))
def test_a_number_of_frames_may_be_written_as_1e6(field, load_config):
    value = load_config(f"{field}=1e6")
    for name in field.split("."):
        value = getattr(value, name)
    assert (value, type(value)) == (1_000_000, int)


def test_help_tells_the_usual_commands_and_the_presets(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = command("--help").out
    assert "python train.py -m agent.lr=1e-3,3e-4" in shown
    assert "env: acrobot, ant, atari, " in shown
    assert "schema" not in shown
    assert max(len(line) for line in shown.splitlines() if ": " not in line[:24]) <= 110  # not the lists
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("env=cart", "env=cartpole"),
        ("meta=q", "meta=quick_dev"),
        ("meta.log", "meta.log_frequency="),
        ("agent.num_st", "agent.num_steps="),
        ("env=pendulum meta.search_r", "meta.search_resources."),
    ],
)
def test_tab_completes(typed, offered, command, monkeypatch):
    monkeypatch.setenv("COMP_LINE", f"python train.py {typed}")
    assert command("-sc query=bash").out.split() == [offered]


def test_tab_offers_every_preset_of_a_group_and_no_schema(command, monkeypatch):
    monkeypatch.setenv("COMP_LINE", "python train.py meta=")
    presets = {f"meta={path.stem}" for path in (ROOT / "conf/meta").glob("*.yaml")}
    assert set(command("-sc query=bash").out.split()) == presets
    monkeypatch.setenv("COMP_LINE", "python train.py ")
    assert "schema" not in command("-sc query=bash").out


def test_bash_completes_after_what_install_prints(command):
    """The word is completed by bash itself, which runs train.py to know what there is."""
    script = command("-sc install=bash").out
    ask = 'COMP_LINE="python train.py env=pend" COMP_CWORD=2; hydra_bash_completion; echo "${COMPREPLY[@]}"'
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{ask}"],
        cwd=ROOT,
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "env=pendulum\n"


def test_a_grid_trains_each_combination_in_a_directory_of_its_own(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command("-m agent.lr=1e-3,3e-4 agent.num_steps=32 env.max_frame=500 meta=quick_dev")
    assert (done.code, done.err) == (0, "")
    (sweep,) = tmp_path.glob("multirun/*")
    assert re.fullmatch("ppo_cartpole_[0-9a-f]{6}", sweep.name)
    assert {path.name for path in sweep.iterdir()} >= {"0", "1", "study.db", "trials.csv", "best.yaml"}
    for job, lr in enumerate((1e-3, 3e-4)):
        saved = yaml.safe_load((sweep / str(job) / "config.yaml").read_text())
        assert (saved["agent"]["lr"], saved["env"]["max_frame"]) == (lr, 500)
        assert saved["run_dir"] == str(sweep / str(job))
        assert json.loads((sweep / str(job) / "trial.json").read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["multirun"]


def test_hydras_own_sweeper_and_launcher_still_work(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command("-m hydra/sweeper=basic hydra/launcher=basic meta.seed=0,1 env.max_frame=512 meta=quick_dev")
    assert (done.code, done.err) == (0, "")
    (sweep,) = tmp_path.glob("multirun/*")
    assert [json.loads((sweep / job / "provenance.json").read_text())["seed"] for job in "01"] == [0, 1]


def test_provenance_holds_no_password(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "hydra.sweeper.storage=postgresql://me:secret@server/rllab"])
    assert (
        provenance.collect(0, env_backend="sync")["command"]
        == "train.py hydra.sweeper.storage=postgresql://me:***@server/rllab"
    )


@pytest.mark.slow  # four processes; test_docs.py covers it in one
def test_presets_and_a_package_of_ones_own(process, workplace, tmp_path):
    """From another directory, with the installed command: env, agent and meta settings that rllab does not know."""
    done = process(
        Path(sys.executable).with_name("rllab-train"),
        "--config-dir",
        "my_conf",
        "env=mine",
        "meta=mine",
        "agent=mine",
        "agent.speed=5",
        f"run_dir={tmp_path}/run",
        cwd=workplace,
    )
    assert (done.code, done.err) == (0, "")
    saved = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert saved["agent"] == {"name": "my_pkg.my_module:MyAlgorithm", "speed": 5}
    assert (saved["env"]["id"], saved["env"]["max_frame"], saved["env"]["kwargs"]) == (
        "my_pkg:MyEnv-v0",
        100,
        {"goal": 2.0},
    )
    assert (saved["meta"]["max_session"], saved["meta"]["log_frequency"], saved["meta"]["eval_frequency"]) == (
        2,
        50,
        1000,
    )
    assert (tmp_path / "run/session_1/train.csv").exists()
    assert not (workplace / "outputs").exists()


@pytest.mark.slow
def test_a_wheel_holds_everything_and_runs(process, tmp_path):
    pytest.importorskip("build")
    pytest.importorskip("twine")
    built = process("-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    assert built.code == 0, built.err
    (wheel,) = tmp_path.glob("*.whl")
    checked = process("-m", "twine", "check", "--strict", wheel, cwd=tmp_path)
    assert checked.code == 0, checked.out
    installed = process("-m", "pip", "install", "--quiet", "--no-deps", "--target", "site", wheel, cwd=tmp_path)
    assert installed.code == 0, installed.err
    package = ROOT / "src/rllab"
    held = {path.relative_to(package) for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {".typed", ".cpp", ".hpp", ".html", ".css"} <= {path.suffix or path.name for path in held}
    assert [path for path in held if not (tmp_path / "site/rllab" / path).is_file()] == []
    conf = tmp_path / "site/rllab/conf"
    presets = {path.relative_to(ROOT / "conf") for path in (ROOT / "conf").rglob("*.yaml")}
    assert {path.relative_to(conf) for path in conf.rglob("*.yaml")} == presets
    shown = process("site/bin/rllab-train", "--cfg", "all", cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"))
    assert shown.err == ""
    config = yaml.safe_load(shown.out)
    assert config["env"]["id"] == "CartPole-v1"
    assert str(conf) in [source["path"] for source in config["hydra"]["runtime"]["config_sources"]]


def test_env_id_alone_leaves_what_the_default_preset_knows_of_another_env(command):
    shown = yaml.safe_load(command("--cfg job env.id=Acrobot-v1").out)
    assert shown["env"]["id"] == "Acrobot-v1"
    assert shown["env"]["random_return"] is None
    assert shown["agent"]["normalize_advantage"] is True  # conf/tuned/ppo/cartpole.yaml is not for it
