"""Every YAML in conf/ composes, is typed, and fits; envs, agents and meta settings train a few frames."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from rllab.errors import ConfigError
from rllab.training import trial

pytestmark = pytest.mark.usefixtures("no_picture")

CONF = Path(__file__).parents[2] / "conf"
GAMES = ["pong", "breakout", "qbert", "seaquest", "spaceinvaders", "beamrider", "mspacman", "enduro"]
FEW = ["env.max_frame=64", "meta.max_session=1", "meta.max_trial=1"]


def presets(group):
    return sorted(path.relative_to(CONF / group).with_suffix("").as_posix() for path in (CONF / group).rglob("*.yaml"))


def train(cfg):
    unless_an_extra_is_missing(trial.run, soon(cfg))


def soon(cfg):
    """The config of an agent that learns within so few frames."""
    few = {"num_steps": 8, "num_minibatches": 1, "learning_starts": 16, "train_freq": 1}
    fields = {name: value for name, value in few.items() if hasattr(cfg.agent, name)}
    return replace(cfg, agent=replace(cfg.agent, **fields))


def unless_an_extra_is_missing(do, cfg):
    try:
        do(cfg)
    except ConfigError as error:
        if "pip install" in str(error):
            pytest.skip(str(error))
        raise


@pytest.mark.parametrize("name", presets("meta"))
def test_meta(name, load_config):
    train(load_config(f"meta={name}", *FEW))


@pytest.mark.parametrize("name", presets("env"))
def test_env(name, load_config):
    any_env = name in ("gymnasium", "atari")
    cfg = load_config(f"env={name}", *FEW, "env.num_envs=2", "agent=random")
    assert any_env or cfg.env.random_return is not None, "agent=random measures it"
    train(cfg)


def test_the_families(load_config):
    """Sub-envs and budgets, as in the published figures that they are compared with."""

    def read(name):
        return yaml.safe_load((CONF / "env" / f"{name}.yaml").read_text())

    def family(*names):
        return {(e["num_envs"], e["max_frame"]) for e in map(read, names)}

    assert family("lunarlander", "lunarlander_continuous") == {(8, 300_000)}
    assert family("bipedalwalker") == {(8, 2_000_000)}
    mujoco = "ant halfcheetah hopper humanoid humanoidstandup inverteddoublependulum pusher reacher swimmer walker2d"
    assert family(*mujoco.split()) == {(16, 1_000_000)}
    assert family("invertedpendulum") == {(16, 300_000)}
    assert all(read(name)["id"].lower() == f"{name}-v5" for name in [*mujoco.split(), "invertedpendulum"])
    assert family("atari") == {(16, 10_000_000)}
    for name in GAMES:
        assert read(name)["game"].lower() == name
    env = load_config("env=beamrider").env
    assert (env.id, env.num_envs, env.max_frame) == ("ALE/BeamRider-v5", 16, 10_000_000)
    assert env.kwargs["repeat_action_probability"] == 0.25
    assert load_config("env=atari", "env.game=Pong").env.id == "ALE/Pong-v5"


@pytest.mark.parametrize("name", presets("agent"))
def test_agent(name, load_config):
    """On the first env in which it can act."""
    for env in ("cartpole", "pendulum"):
        try:
            return train(load_config(f"agent={name}", f"env={env}", *FEW))
        except ConfigError as error:
            if "fits: agent=" not in str(error):
                raise
    return pytest.fail(f"agent={name} acts in none of these")


@pytest.mark.parametrize("name", presets("tuned"))
def test_fields_of_a_tuned_preset(name, load_config):
    """All that it sets is there and within its limits, and so is the preset that it builds on."""
    text = (CONF / "tuned" / f"{name}.yaml").read_text()
    assert text.startswith("# @package _global_\n")
    values = yaml.safe_load(text) or {}
    assert {base.removeprefix("/tuned/") for base in values.get("defaults", [])} <= set(presets("tuned"))
    words = [f"{group}.{field}={value}" for group in ("env", "agent") for field, value in values.get(group, {}).items()]
    load_config(f"agent={name.rpartition('/')[0] or 'ppo'}", *words)


@pytest.mark.slow
@pytest.mark.parametrize("name", presets("tuned"))
def test_tuned(name, load_config):
    agent, _, env = name.rpartition("/")
    cfg = load_config(
        f"agent={agent or 'ppo'}", f"env={env if agent else 'cartpole'}", f"tuned={name}", "meta.max_session=1"
    )
    if env in GAMES:  # the same for all of them, and a large network
        assert cfg.agent == load_config("env=atari", "env.game=Pong", "tuned=ppo/atari").agent
    else:
        unless_an_extra_is_missing(trial.check, cfg)


def test_tuned_is_picked_up_by_itself_and_loses_to_the_command_line(load_config):
    assert load_config("env=pendulum").agent == load_config("env=pendulum", "tuned=ppo/pendulum").agent
    assert load_config("env=pendulum", "agent.gamma=0.5").agent.gamma == 0.5


@pytest.mark.parametrize(("preset", "episodes"), [("quick_dev", 0), ("standard", 20)])
def test_only_the_quick_look_goes_without_a_final_evaluation(command, preset, episodes):
    assert f"  final_eval: {episodes}\n" in command(f"meta={preset} --cfg job").out


def test_the_presets_of_the_specification(load_config):
    def meta(name):
        m = load_config(f"meta={name}").meta
        assert m.distributed is False
        return m.max_session, m.max_trial, m.log_frequency, m.eval_frequency, m.rigorous_eval

    assert meta("quick_dev") == (1, 1, 500, 500, None)
    assert meta("standard") == (4, 1, 1000, 1000, None)
    assert meta("classic_control") == (4, 1, 500, 500, None)
    assert meta("box2d") == (4, 1, 1000, 1000, None)
    assert meta("mujoco") == (4, 1, 10_000, 10_000, None)
    assert meta("atari") == (4, 1, 10_000, 10_000, 0)
    assert meta("asha") == (1, 16, 10_000, 10_000, None)
    asha = load_config("meta=asha").meta
    assert (asha.search_resources.cpu, asha.search_resources.gpu) == (1, 0.125)
    scheduler = asha.search_scheduler
    assert (scheduler.kind, scheduler.grace_period, scheduler.reduction_factor) == ("asha", 100_000, 3)
