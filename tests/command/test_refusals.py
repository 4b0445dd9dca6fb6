"""Bad input: one line that names the field, what it got and what to write; nothing is started, nothing is left."""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import pytest

from command_line import assert_refused, everything_in
from rllab.config import MetaConfig
from rllab.errors import ConfigError

META = ", ".join(sorted(field.name for field in fields(MetaConfig)))
FRAMES = "write a whole number of frames of at least 1, e.g."
SCHEDULE = "write a number or a schedule, e.g. linear:1e-3:0, *"
PRESET = "each group wants the name of one preset; write e.g. env=cartpole"
NOWHERE = "which this machine or torch does not have; write meta.device=cpu"

REFUSED = {
    # misspelt
    "meta.max_sesion=2": "meta.max_sesion: no such field; did you mean meta.max_session?",
    "agent.lrr=1": "agent.lrr: no such field; did you mean agent.lr?",
    "enb=cartpole": "enb: no such field; did you mean env?",
    "seed=3": "seed: no such field; did you mean meta.seed?",
    "lr=1e-3": "lr: no such field; did you mean agent.lr?",
    "meta.search_resources.cpus=2": (
        "meta.search_resources.cpus: no such field; did you mean meta.search_resources.cpu?"
    ),
    "meta.search_resources={cpu:2,gup:1}": (
        "meta.search_resources.gup: no such field; did you mean meta.search_resources.gpu?"
    ),
    "env.kwargs.goal=3": "env.kwargs.goal: not set by the preset; write +env.kwargs.goal=... to add it",
    "+meta.foo=1": f"meta.foo: no such field; write one of {META}",
    "++meta.foo=1": f"meta.foo: no such field; write one of {META}",
    "+foo=1": "foo: no such field; write one of agent, callbacks, env, eval_env, meta, *",
    # trackers
    "tracker=wnadb": "tracker=wnadb: no such option; rllab presets tracker shows those that there are",
    "tracker.wandb.mode=offline": "tracker.wandb: not chosen; write tracker=[tensorboard,wandb]",
    "tracker=csv,mlflow tracker.mlflow.url=x": "tracker.mlflow.url: no such field; did you mean tracker.mlflow.uri?",
    "tracker=wandb tracker.wandb.mode=on": "tracker.wandb.mode: got 'on'; write one of online, offline",
    "+tracker.x=3": "tracker.x: got 3; begin a preset of your own with # @package tracker.<its name>",
    "+tracker.x.y=3": "tracker.x.name: not set; choose it as tracker=[x], and others beside it",
    "env.info_metrics=[a:b]": "env.info_metrics: got 'a:b'; write a name, or one of name:last, name:mean, *",
    "+meta.seed=1": "meta.seed: is there already; write meta.seed=... without the +",
    "+env=acrobot": "env: is there already; write env=... without the +",
    # of the wrong type
    "meta.max_session=abc": "meta.max_session: got 'abc'; write an integer",
    "meta.max_session=1.5": "meta.max_session: got 1.5; write an integer",
    "meta.max_session=null": "meta.max_session: got null; write an integer",
    "agent.hidden=3": "agent.hidden: got 3; write a list, e.g. [64,64], each item an integer",
    "agent.hidden=[a]": "agent.hidden[0]: got 'a'; write a list, e.g. [64,64], each item an integer",
    "meta.search_resources=3": "meta.search_resources: got 3; write its fields one by one: cpu, gpu",
    "env.kwargs=3": "env.kwargs: got 3; write a mapping, e.g. {name:value}",
    "env.reward_threshold=high": "env.reward_threshold: got 'high'; write a number or null",
    "agent.activation=gelu": "agent.activation: got 'gelu'; write one of tanh, relu, elu",
    "meta.distributed=sharde": "meta.distributed: got 'sharde'; write one of false, shared, synced",
    # out of range
    "meta.max_session=0": "meta.max_session: got 0; write an integer of at least 1, e.g. meta.max_session=4",
    "meta.log_frequency=-5": f"meta.log_frequency: got -5; {FRAMES} meta.log_frequency=1e4",
    "meta.log_frequency=1000.5": f"meta.log_frequency: got 1000.5; {FRAMES} meta.log_frequency=1e4",
    "meta.eval_frequency=0": f"meta.eval_frequency: got 0; {FRAMES} meta.eval_frequency=1e4",
    "meta.search_scheduler.grace_period=0": (
        f"meta.search_scheduler.grace_period: got 0; {FRAMES} meta.search_scheduler.grace_period=1e4"
    ),
    "env.num_envs=0": "env.num_envs: got 0; write an integer of at least 1, e.g. env.num_envs=8",
    "env.max_frame=.inf": "env.max_frame: got '.inf'; write a number",
    "env.max_frame=inf": f"env.max_frame: got inf; {FRAMES} env.max_frame=1e4",
    "env.max_frame=nan": f"env.max_frame: got nan; {FRAMES} env.max_frame=1e4",
    "agent.gamma=1.5": "agent.gamma: got 1.5; write a number from 0 to 1, e.g. 0.95",
    "agent.gamma=nan": "agent.gamma: got nan; write a number from 0 to 1, e.g. 0.95",
    "agent.num_minibatches=7 agent.num_steps=32 env.num_envs=8": (
        "agent.num_minibatches: got 7, which does not divide agent.num_steps * env.num_envs = 256; "
        "write one that does, e.g. agent.num_minibatches=4"
    ),
    # no such preset
    "meta=quik_dev": "meta=quik_dev: no such option; did you mean meta=quick_dev?",
    "env=cartpol": "env=cartpol: no such option; did you mean env=cartpole?",
    "agent=pp0": "agent=pp0: no such option; did you mean agent=ppo?",
    "tuned=nome": "tuned=nome: no such option; did you mean tuned=none?",
    "tuned=ppo/cartpol": "tuned/ppo=cartpol: no such option; did you mean tuned/ppo=cartpole?",
    "env=null": f"env=null: {PRESET}",
    "env=[cartpole,acrobot]": f"env=[cartpole,acrobot]: {PRESET}",
    "~agent": f"~agent: {PRESET}",
    # what presets of one's own get wrong
    "--config-dir nosuchdir": "--config-dir: got '{cwd}/nosuchdir', which is no directory; write one that holds "
    "presets, e.g. env/my_env.yaml",
    "--config-dir my_conf meta=misspelt": (
        "meta/misspelt.yaml: meta.max_sesion: no such field; did you mean meta.max_session?"
    ),
    "--config-dir my_conf meta=wrong": "meta/wrong.yaml: meta.max_session: got 'two'; write an integer",
    "--config-dir my_conf agent=misspelt": "agent.sped: no such field; did you mean agent.speed?",
    # envs
    "env.id=CartPol-v1": ("env.id: got 'CartPol-v1', which is not registered; did you mean env.id=CartPole-v1?"),
    "env.id=LunarLander-v2": (
        "env.id: got 'LunarLander-v2', which is not registered; did you mean env.id=LunarLander-v3?"
    ),
    "env.id=HalfCheetah-v2": "env.id: got 'HalfCheetah-v2', which is deprecated; write env.id=HalfCheetah-v5",
    "env.id=LunarLander-v3": (
        "env.id: got 'LunarLander-v3', which is in the extra box2d; type pip install 'rllab[box2d]'"
    ),
    "env.id=HalfCheetah-v5": (
        "env.id: got 'HalfCheetah-v5', which is in the extra mujoco; type pip install 'rllab[mujoco]'"
    ),
    "env.id=nopkg:Foo-v0": (
        "env.id: got 'nopkg:Foo-v0', whose package cannot be imported (No module named 'nopkg'); "
        "install it, or start where it lies"
    ),
    "env.id=my_pkg:MyEnv-v0 +env.kwargs.gaol=2": ("env.kwargs.gaol: got 2, but my_pkg:MyEnv-v0 takes no such argument"),
    "env.id=Acrobot-v1 env.backend=vector_entry_point": (
        "env.backend: got 'vector_entry_point', which Acrobot-v1 does not have; write env.backend=sync"
    ),
    "env.id=my_pkg:DictAction-v0": "env.id: got 'my_pkg:DictAction-v0', whose action space Dict(*) has parts; *",
    "env.id=my_pkg:TupleAction-v0 agent=random": "env.id: got *, whose action space Tuple(*) has parts; *",
    "env.id=my_pkg:Graphs-v0": "env.id: got 'my_pkg:Graphs-v0', whose observations * cannot be flattened",
    # agents
    "agent.name=dqn_": "agent.name: got 'dqn_', which is no algorithm; *",
    "agent.name=random": "agent.name: got 'random' with the fields of another; write agent=random",
    "agent.name=nopkg:Foo": (
        "agent.name: got 'nopkg:Foo' (No module named 'nopkg'); write package.module:Class of an algorithm"
    ),
    "agent.name=my_pkg.envs:MyEnv": (
        "agent.name: got 'my_pkg.envs:MyEnv', which has no dataclass Config; write it as PPO does"
    ),
    "agent.network=my_pkg.nets:Wide": (
        "agent.network: got 'my_pkg.nets:Wide', which cannot take 2 observations (4,): RuntimeError: mat1 and mat2 "
        "shapes cannot be multiplied (2x4 and 10x8); write one that maps (B, 4) to (B, n)"
    ),
    "agent=qrdqn agent.network=my_pkg.nets:Recurrent": (
        "agent.network: got 'my_pkg.nets:Recurrent', which gives a tuple for 2 observations; write one that gives "
        "(2, n)"
    ),
    "-m agent.network=mlp,my_pkg.nets:Branch": (
        "agent.network: got 'my_pkg.nets:Branch', which cannot be evaluated and differentiated at once for several "
        "sessions, by torch.vmap: RuntimeError: vmap: It looks like *; write it without recurrent layers, lazy ones "
        "and branches on data"
    ),
    "agent.network=my_pkg.nets:Nobody": "agent.network: got 'my_pkg.nets:Nobody' (*); write auto, mlp, *",
    "agent.lr=sine:1:0": f"agent.lr: got 'sine:1:0'; {SCHEDULE}",
    "agent.lr=linear:1e-3": f"agent.lr: got 'linear:1e-3'; {SCHEDULE}",
    "agent.lr=linear:1e-3:-1": (
        "agent.lr: got 'linear:1e-3:-1'; write a number of at least 0, or a schedule within that"
    ),
    # syntax
    "agent.lr=linear(1e-3,0)": "agent.lr: got 'linear(1e-3,0)'; write agent.lr=linear:1e-3:0",
    "agent.lr=": f"agent.lr: got ''; {SCHEDULE}",
    "agent.lr": "agent.lr: no value; write agent.lr=...",
    "=3": "=3: names no field; write field=value, e.g. meta.seed=3",
    "agent.lr=[1": ("agent.lr: got '[1', which cannot be read; quote special characters, e.g. 'agent.lr=\"a=b\"'"),
    "agent.lr=1e-3,3e-4": "agent.lr: got several values, 1e-3,3e-4; write one, or sweep over them with -m",
    "--agent ppo": ("unrecognized arguments: --agent; fields are written as agent.lr=1e-3, and --help shows the rest"),
    "--resolve": "The --resolve flag can only be used in conjunction with --cfg or --help",
    # what cannot be had
    "meta.distributed=shared meta.max_session=1": (
        "meta.distributed: got 'shared' for one session, which has nobody to share with; write meta.max_session=2"
    ),
    "meta.distributed=synced agent=random": (
        "meta.distributed: got 'synced' for agent=random, which has nothing to share; write meta.distributed=false"
    ),
    "meta.distributed=shared meta.num_workers=2": (
        "meta.distributed: got 'shared', where each session is a worker; write meta.num_workers=1"
    ),
    "meta.num_workers=0": "meta.num_workers: got 0; write auto or an integer of at least 1, e.g. meta.num_workers=2",
    "meta.num_workers=many": "meta.num_workers: got 'many'; write an integer or one of auto",
    "meta.num_workers=5": "meta.num_workers: got 5 for meta.max_session=4; write at most 4",
    "meta.num_workers=4 meta.num_threads=64": "meta.num_threads: got 64 in each of 4 workers on *",
    "meta.worker_timeout=0": "meta.worker_timeout: got 0; write a number of seconds above 0, e.g. meta.worker*",
    "meta.num_threads=1000000": "meta.num_threads: got 1000000; write an integer from 1 to 1024, e.g. *",
    "env.timeout=inf": "env.timeout: got inf; write a number of seconds above 0, e.g. env.timeout=300",
    "env.backend=async env.num_envs=5000 env.max_frame=1e7": "env.num_envs: got 5000, and meta.max_session=4 as many "
    "times, each of which env.backend=async gives a process, and this machine has memory and files for *",
    "'env.wrappers=[{a: 1}]'": "env.wrappers: got {'a': 1}; write its dotted name, or {my_pkg.MyWrapper: {size: 4}}*",
    "'env.wrappers={a: 1}'": "env.wrappers: got a mapping; write a list, e.g. [a,b]",
    "'agent.hidden=[[64]]'": "agent.hidden: got [[64]]; write a list, e.g. [64,64], each item an integer",
    "+env.kwargs.render_mode=x": "env.kwargs.render_mode: got 'x', which CartPole-v1 does not have; write one of *",
    "run_dir=": "run_dir: got nothing; write a directory, e.g. run_dir=outputs/mine",
    "hydra.run.dir=": "hydra.run.dir: got nothing; write a directory, e.g. hydra.run.dir=outputs/mine",
    "-m hydra.sweep.dir= agent.lr=1,2": "hydra.sweep.dir: got nothing; write a directory, e.g. *",
    "'agent.lr=glob(*)'": "agent.lr: got glob(*), which chooses presets, as -m env=glob(*) does; write one value",
    "-m 'agent.lr=glob(*)'": "agent.lr: got glob(*), which chooses presets, as env=glob(*) does; write values, *",
    "-m 'agent.num_steps=range(0,1e12)'": "agent.num_steps: got range(0,1e12), which has 1,000,000,000,000 values; *",
    "-m 'agent.num_steps=range(1,1000)' 'agent.lr=range(1,1000)'": "*: got 998,001 combinations; write at most *",
    "meta.device=meta": f"meta.device: got 'meta', {NOWHERE}",
    "meta.device=cuda:9": f"meta.device: got 'cuda:9', {NOWHERE}",
    "meta.device=tpu": f"meta.device: got 'tpu', {NOWHERE}",
    "meta.resume=my_conf": ("meta.resume: got 'my_conf', which is no run directory; write one that holds config.yaml"),
    "meta.resume=outputs/x agent.lr=1": "meta.resume: got it together with agent.lr=1; write meta.resume=... alone, *",
    # several jobs: all are checked before the first
    "-m meta.max_sesion=1,2": "meta.max_sesion: no such field; did you mean meta.max_session?",
    "-m env=cartpole,acrobt": "env=acrobt: no such option; did you mean env=acrobot?",
    "-m meta.max_session=1,0": ("meta.max_session: got 0; write an integer of at least 1, e.g. meta.max_session=4"),
    "-m agent.lr=1e-3,fast": f"agent.lr: got 'fast'; {SCHEDULE}",
    "-m tuned=none,nome": "tuned=nome: no such option; did you mean tuned=none?",
    "-m env.id=CartPol-v1": ("env.id: got 'CartPol-v1', which is not registered; did you mean env.id=CartPole-v1?"),
}
"""What a person types after `python train.py`, and the line that answers; * stands for any text."""

IN_A_PROCESS = [
    "meta.max_sesion=2",
    "env.id=my_pkg:DictAction-v0",
    "-m agent.network=mlp,my_pkg.nets:Branch",
    "-m agent.lr=1e-3,fast",
]
"""Those that are run as a process too, whose whole stderr is that one line: no warnings beside it."""


@pytest.fixture(autouse=True)
def _without_extras(monkeypatch):
    """Box2D and MuJoCo are missing, whatever is installed here."""
    monkeypatch.setitem(sys.modules, "Box2D", None)
    monkeypatch.setitem(sys.modules, "mujoco", None)
    for name in list(sys.modules):
        if name.startswith(("gymnasium.envs.mujoco", "gymnasium.envs.box2d")):
            monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(("words", "line"), REFUSED.items(), ids=str)
def test_bad_input_is_refused_in_one_line(words, line, refused, recwarn):
    refused(words, line)
    assert not [warning for warning in recwarn if issubclass(warning.category, UserWarning)]


@pytest.fixture(scope="module")
def in_processes(workplace, train_process):
    """What `IN_A_PROCESS` answers, two at a time."""
    before = everything_in(workplace)
    with ThreadPoolExecutor(2) as pool:
        results = dict(zip(IN_A_PROCESS, pool.map(train_process, IN_A_PROCESS), strict=True))
    return results, before


@pytest.mark.parametrize("words", IN_A_PROCESS)
def test_the_line_is_all_that_a_process_writes(words, in_processes, workplace):
    results, before = in_processes
    assert_refused(results[words], REFUSED[words], workplace, before)


def test_broken_yaml_is_named_by_file_and_line(command, workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    result = command("--config-dir my_conf env=broken")
    assert result.code == 1
    assert len(result.err.splitlines()) == 1
    assert 'my_conf/env/broken.yaml", line 2' in result.err


def test_the_traceback_is_there_for_who_asks(command, monkeypatch):
    monkeypatch.setenv("RLLAB_TRACEBACK", "1")
    with pytest.raises(ConfigError, match="max_session"):
        command("meta.max_session=0")


class TestResume:
    @pytest.fixture
    def run_dir(self, command, tmp_path, monkeypatch):
        """A run that was stopped."""
        monkeypatch.chdir(tmp_path)
        assert command("meta=quick_dev env.max_frame=512 run_dir=run").code == 0
        return tmp_path / "run"

    def test_of_a_truncated_checkpoint_is_refused(self, run_dir, command):
        last = run_dir / "checkpoints" / "last.safetensors"
        last.write_bytes(last.read_bytes()[:-100])
        result = command("meta.resume=run")
        assert result.code == 1
        assert re.fullmatch(
            "error: meta.resume: got 'run', whose checkpoint cannot be used: .* truncated.*\n", result.err
        )

    def test_without_a_checkpoint_is_refused(self, run_dir, command):
        (run_dir / "checkpoints" / "last.safetensors").unlink()
        assert re.fullmatch("error: meta.resume: got 'run', .* no such checkpoint\n", command("meta.resume=run").err)

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("meta: [1", "error: run/config.yaml: while parsing .*\n"),
            ("meta: {max_session: 0}", "error: run/config.yaml: agent.name: not set; .*\n"),
            ("agent: {name: ppo, lrr: 1}", "error: run/config.yaml: agent.lrr: no such field; .*\n"),
        ],
    )
    def test_of_a_config_that_cannot_be_read_is_refused(self, run_dir, command, text, line):
        (run_dir / "config.yaml").write_text(text)
        result = command("meta.resume=run")
        assert result.code == 1
        assert re.fullmatch(line, result.err)
