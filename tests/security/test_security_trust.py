"""Code that a run names (11): it is imported for a run that this user made here, and with --trust."""

import hmac
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rllab.config import load_file, trust
from rllab.errors import ConfigError
from rllab.text import printable
from strangers import some

WRAPPER = "gymnasium.wrappers.TimeAwareObservation"
CONFIGS = {
    "an env's package": {"env": {"id": "evil:X-v0"}},
    "a module in a package": {"env": {"id": "evil.envs:CartPole-v1"}},
    "a package of Gymnasium's name": {"env": {"id": "gymnasium_evil:CartPole-v1"}},
    "an agent": {"agent": {"name": "evil:Agent"}},
    "an agent beside rllab's": {"agent": {"name": "rllab.algorithms_evil:Agent"}},
    "a network": {"agent": {"network": "evil:Net"}},
    "a network beside rllab's": {"agent": {"network": "rllab.nets/../evil:Net"}},
    "a network of a part": {"agent": {"network": {"camera": "evil:Net", "state": "mlp"}}},
    "a network with axes that there are not": {"agent": {"network": "cnn:evil"}},
    "a wrapper": {"env": {"wrappers": ["evil.Wrapper"], "backend": "sync"}},
    "a wrapper after one of Gymnasium's": {"env": {"wrappers": [WRAPPER, "evil:Wrapper"]}},
    "a wrapper with arguments": {"env": {"wrappers": [{"evil.Wrapper": {"size": 4}}]}},
    "a wrapper that writes": {"env": {"wrappers": [{"gymnasium.wrappers.RecordVideo": {"video_folder": "evil"}}]}},
    "a function that is no wrapper": {"env": {"wrappers": ["gymnasium.wrappers.common.deepcopy"]}},
    "wrappers as text": {"env": {"wrappers": "evil.Wrapper"}},
    "a file that the env reads": {"env": {"id": "HalfCheetah-v5", "kwargs": {"xml_file": "/etc/passwd"}}},
    "an argument that imports": {"env": {"kwargs": {"entry_point": "evil:make"}}},
    "an argument whose name is code": {"env": {"kwargs": {"x=print(); y": 1}}},
    "an env of evaluations": {"eval_env": {"id": "evil:X-v0"}},
    "a wrapper of evaluations": {"eval_env": {"wrappers": ["evil.Wrapper"]}},
    "a file for evaluations": {"eval_env": {"kwargs": {"xml_file": "/etc/passwd"}}},
    "a callback": {"callbacks": ["evil.Callback"]},
    "a callback after one of rllab's": {"callbacks": [{"rllab.callbacks.Video": {}}, {"evil:Callback": {"size": 4}}]},
    "a tracker": {"tracker": {"x": {"name": "evil:Tracker"}}},
    "a server that is told": {"tracker": {"mlflow": {"name": "mlflow", "uri": "http://evil"}}},
    "a service that is told": {"tracker": {"evil": {"name": "wandb", "mode": "online"}}},
    "a name with a line break": {"env": {"id": "evil:X-v0\nerror: none"}},
}
NAMED = {"evil", "deepcopy", "passwd", "print()", "mlflow"}


@pytest.fixture(params=CONFIGS)
def attack(request, stranger):
    stranger.edit(**CONFIGS[request.param])
    return stranger


def refused(said, path, *, times):
    """Each line says what the run would import, and how to let it."""
    lines = said.splitlines()
    assert len(lines) == times, said
    for line in lines:
        assert line.startswith(f"error: {path}/config.yaml: not written by you on this machine, or edited since; ")
        assert line.endswith("; add --trust if you trust whoever wrote it")
        assert any(name in line for name in NAMED), line


def test_no_verb_imports_it(attack, play):
    refused(play(attack.path), attack.path, times=3)
    assert not attack.has_run()


@pytest.mark.parametrize("config", some(CONFIGS, "an agent", "a wrapper"))
def test_no_resume_imports_it(config, stranger, command):
    stranger.edit(**config)
    result = command("meta.resume=run")
    refused(result.err, "run", times=1)
    assert not stranger.has_run()


@pytest.mark.parametrize("config", ["an env's package", "an agent", "a network", "a wrapper"])
def test_trusting_it_imports_it(config, stranger, rllab):
    """The trap is one, and --trust is what opens it."""
    stranger.edit(**CONFIGS[config])
    rllab("eval", stranger.path, "--trust")
    assert stranger.has_run()


def test_a_search_trusts_what_its_own_command_line_names(stranger, load_config):
    """As where another machine has begun the trial; and nothing else."""
    stranger.edit(agent={"network": "evil:Net"})
    own = load_config("agent.network=evil:Net")
    with pytest.raises(ConfigError, match="add --trust"):
        load_file(stranger.path / "config.yaml", own=load_config("agent.network=other:Net"))
    load_file(stranger.path / "config.yaml", own=own)


def own_signature_of_another_config(stranger, original):
    shutil.copy(original / "config.yaml.hmac", stranger.path)


def key_of_the_stranger(stranger, _original):
    content = (stranger.path / "config.yaml").read_bytes()
    (stranger.path / "config.yaml.hmac").write_text(hmac.digest(bytes(32), content, "sha256").hex() + "\n")


def empty(stranger, _original):
    (stranger.path / "config.yaml.hmac").write_text("")


def no_text(stranger, _original):
    (stranger.path / "config.yaml.hmac").write_bytes(b"\xff" * 64)


@pytest.mark.parametrize("forge", [own_signature_of_another_config, key_of_the_stranger, empty, no_text])
def test_signatures_cannot_be_forged(forge, stranger, cases, rllab):
    stranger.edit(env={"id": "evil:X-v0"})
    forge(stranger, cases("ppo, CartPole"))
    refused(rllab("eval", stranger.path), stranger.path, times=1)
    assert not stranger.has_run()


def test_a_key_that_others_can_read_signs_nothing(stranger, rllab, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(stranger.home / "data"))
    stranger.edit(env={"id": "evil:X-v0"})
    trust.sign(stranger.path / "config.yaml")
    (stranger.home / "data" / "rllab" / "key").chmod(0o644)
    refused(rllab("eval", stranger.path), stranger.path, times=1)


def test_a_key_in_the_working_directory_signs_nothing(stranger, rllab, monkeypatch):
    stranger.edit(env={"id": "evil:X-v0"})
    with monkeypatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(stranger.home / "data"))
        trust.sign(stranger.path / "config.yaml")
    monkeypatch.setenv("XDG_DATA_HOME", "data")
    monkeypatch.setenv("HOME", str(stranger.home / "home"))
    refused(rllab("eval", stranger.path), stranger.path, times=1)


def test_own_runs_need_no_word(stranger, rllab):
    """Wherever they are moved to; those of rllab's and Gymnasium's own names need none either, whoever made them."""
    assert "error" not in rllab("eval", stranger.path, "--episodes", 1)
    stranger.edit(env={"id": "evil:X-v0"})
    trust.sign(stranger.path / "config.yaml")
    moved = stranger.path.rename(stranger.home / "moved")
    rllab("eval", moved)
    assert stranger.has_run()


@pytest.mark.slow
def test_the_working_directory_is_not_searched(stranger, play):
    play(stranger.path)
    assert str(stranger.home) not in sys.path


@pytest.mark.slow
def test_a_module_in_the_working_directory_takes_nobodys_place(stranger):
    """In processes of their own, where nothing has been imported yet."""
    for name in (
        "ale_py",
        "onnxruntime",
        "onnxscript",
        "moviepy",
        "pygame",
        "Box2D",
        "mujoco",
        "yaml",
        "rllab",
        "json",
    ):
        shutil.copy(stranger.home / "evil.py", stranger.home / f"{name}.py")
    for words in ("ls", "report run", "compare run", "eval run --episodes 1", "export run", "enjoy run --video"):
        subprocess.run([Path(sys.executable).with_name("rllab"), *words.split()], check=False, timeout=120)
    subprocess.run([Path(sys.executable).with_name("rllab-train"), "meta.resume=run"], check=False, timeout=120)
    assert (stranger.path / "eval.json").exists()
    assert not stranger.has_run()


BEST = {
    "a searchpath": "hydra:\n  searchpath: [pkg://evil]\n",
    "a callback": "hydra:\n  callbacks: {x: {_target_: evil.run}}\n",
    "a launcher": "hydra:\n  launcher: {_target_: evil.run}\n",
    "logging": "hydra:\n  job_logging: {version: 1, handlers: {x: {class: evil.Handler}}}\n",
    "a preset beside its own": "defaults: [config, {override agent: ../../evil}, _self_]\n",
    "a preset of a package": "defaults: [config, {override hydra/job_logging: evil}, _self_]\n",
    "a package of the file": "# @package hydra\nsearchpath: [pkg://evil]\n",
    "an env": "defaults: [config, _self_]\nenv: {id: 'evil:X-v0'}\n",
    "an agent": "defaults: [config, _self_]\nagent: {name: 'evil:A'}\n",
    "a callback of a run": "defaults: [config, _self_]\ncallbacks: [evil.Callback]\n",
    "an env of evaluations": "defaults: [config, _self_]\neval_env: {id: 'evil:X-v0'}\n",
    "a resolver": "defaults: [config, _self_]\nagent: {lr: '${oc.env:SECRET}'}\n",
    "a resolver in the defaults": "defaults: [config, {override agent: '${oc.env:SECRET}'}, _self_]\n",
}


@pytest.mark.parametrize("text", BEST.values(), ids=BEST)
def test_the_best_of_somebodys_study_executes_nothing(text, stranger, command):
    (stranger.path / "best.yaml").write_text(text)
    result = command("-cd run -cn best run_dir=new")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error: run/best.yaml: not written by you on this machine"), result.err
    assert result.err.count("\n") == 1
    assert not stranger.has_run()
    assert not stranger.leaked_into()
    assert not (stranger.home / "new").exists()


@pytest.mark.parametrize(
    "name", ["config.yaml", "meta/standard.yaml", "hydra/launcher/process.yaml", "schema_ppo.yaml"]
)
@pytest.mark.parametrize("whose", ["theirs", "own"])
def test_no_preset_beside_the_best_takes_the_place_of_ours(name, whose, stranger, command):
    """Where the best is one's own, too: its signature says nothing of what lies beside it."""
    study = stranger.home / "study"
    preset = study / name
    preset.parent.mkdir(parents=True)
    preset.write_text("# @package _global_\nenv: {id: 'evil:X-v0'}\n")
    (study / "best.yaml").write_text("defaults: [config, _self_]\nagent: {lr: 1e-3}\n")
    if whose == "own":
        trust.sign(study / "best.yaml")
    result = command("-cd study -cn best run_dir=new")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"error: study/best.yaml: beside it lies {name}, which could take the place of a")
    assert not stranger.has_run()


def test_a_link_to_presets_beside_the_best_is_refused_and_trials_are_not(stranger, command):
    study = stranger.home / "study"
    (study / "0").mkdir(parents=True)
    (study / "0" / "config.yaml").write_text("env: {}\n")
    (study / "best.yaml").write_text("defaults: [config, {override tuned: null}, _self_]\nagent: {lr: 1e-3}\n")
    assert command("-cd study -cn best --cfg job").code == 0
    (study / "meta").symlink_to(stranger.folder)
    assert "beside it lies meta, which" in command("-cd study -cn best --cfg job").err


def test_the_line_is_one_that_can_be_read():
    assert printable(trust.refusal(["env.id=\x1b[2J\n"])).count("\\") == 2
