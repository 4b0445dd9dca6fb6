"""`experiment=`: a whole command line by its name."""

import dataclasses
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))


def test_the_rows_of_the_results():
    rows = re.findall(
        r"^\| `python train\.py experiment=(\w+)` \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert sorted(rows) == NAMES


@pytest.mark.parametrize(
    ("words", "same"),
    [
        ("experiment=ppo_acrobot", "meta=classic_control env=acrobot agent=ppo"),
        ("experiment=ppo_acrobot meta=quick_dev agent=a2c", "meta=quick_dev env=acrobot agent=a2c"),
        ("experiment=ppo_cartpole", "meta=standard env=cartpole meta.rigorous_eval=100"),
        ("experiment=ppo_bipedalwalker", "meta=box2d env=bipedalwalker meta.log_frequency=2e4 meta.eval_frequency=2e4"),
    ],
)
def test_it_is_the_same_as_its_words(load_config, words, same):
    assert load_config(*words.split()) == load_config(*same.split())


@pytest.mark.parametrize("name", NAMES)
def test_each_names_its_agent_and_env(load_config, name):
    agent, _, env = name.partition("_")
    cfg = load_config(f"experiment={name}")
    assert cfg.agent.name == agent
    assert cfg.env == load_config(f"env={env}").env
    assert dataclasses.replace(cfg.meta, max_session=4) == cfg.meta
