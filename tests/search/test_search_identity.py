"""The same command goes on with a search, another one must not: what a study's name and its record depend on."""

import json
import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from rllab.search.identity import describe, differences, study_name
from rllab.search.space import Space, read_space

ROOT = Path(__file__).parents[2]
WORDS = ("agent.lr=1e-3,3e-4", "meta.max_trial=4")


@pytest.fixture(scope="module")
def identify(multirun):
    """`identify("agent.lr=1e-3,3e-4")` -> name and record of `-m agent.lr=1e-3,3e-4`."""

    def name_and_record(*words):
        cfg, loader = multirun(*words)
        space = read_space(cfg, loader)
        record = describe(cfg, space)
        return study_name(cfg, space, record), record

    return name_and_record


@pytest.fixture(scope="module")
def search(identify):
    return identify(*WORDS)


def test_the_record_holds_what_was_typed_and_every_other_field(search):
    _, record = search
    assert record["agent.lr"] == "1e-3,3e-4"
    assert record["agent.gamma"] == 0.99
    assert record["agent.hidden"] == [64, 64]
    assert record["env.id"] == "CartPole-v1"
    assert record["env.kwargs"] == {}
    assert record["meta.search_scheduler.kind"] == "median"
    assert record["hydra.sweeper.sampler.seed"] == 0
    assert record["hydra.sweeper.sampler._target_"] == "optuna.samplers.TPESampler"
    assert json.loads(json.dumps(record)) == record  # a study keeps it as JSON


def test_the_name_begins_with_agent_and_env(search):
    assert re.fullmatch("ppo_cartpole_[0-9a-f]{6}", search[0])


def test_what_is_searched_is_not_in_the_name(identify):
    assert re.fullmatch("ppo_[0-9a-f]{6}", identify("env=cartpole,acrobot")[0])
    assert re.fullmatch("random_cartpole_[0-9a-f]{6}", identify("agent=random", "meta.seed=0,1")[0])
    assert re.fullmatch("ppo_[0-9a-f]{6}", identify("env=atari", "env.game=Pong,Boxing")[0])


def test_an_env_without_a_preset_is_named_by_its_id(identify):
    assert re.fullmatch("ppo_FrozenLake-v1_[0-9a-f]{6}", identify("env=gymnasium", "env.id=FrozenLake-v1", *WORDS)[0])


def test_the_same_words_are_the_same_search(identify, search):
    assert identify(*WORDS) == search


@pytest.mark.parametrize(
    "words",
    [
        ("meta.max_trial=8",),
        ("meta.keep_trials=1", "meta.num_threads=2"),
        ("meta.search_resources.cpu=2", "meta.search_resources.gpu=0.5"),
        ("run_dir=elsewhere",),
        ("hydra.sweeper.n_jobs=1", "hydra.sweeper.max_failure_rate=1", "hydra/launcher=basic"),
    ],
    ids=str,
)
def test_more_trials_and_other_resources_go_on_with_it(words, identify, search):
    assert identify(*WORDS, *words) == search


@pytest.mark.parametrize(
    ("word", "field"),
    [
        ("agent.lr=1e-3,1e-4", "agent.lr"),
        ("agent.gamma=0.9", "agent.gamma"),
        ("agent.hidden=[8]", "agent.hidden"),
        ("env.max_frame=1e4", "env.max_frame"),
        ("+env.kwargs.goal=1", "env.kwargs.goal"),
        ("meta.seed=1", "meta.seed"),
        ("meta.max_session=1", "meta.max_session"),
        ("meta.log_frequency=500", "meta.log_frequency"),
        ("meta.search_scheduler.kind=asha", "meta.search_scheduler.kind"),
        ("hydra/sweeper/sampler=random", "hydra.sweeper.sampler._target_"),
        ("hydra.sweeper.sampler.n_startup_trials=1", "hydra.sweeper.sampler.n_startup_trials"),
    ],
)
def test_another_config_or_sampler_is_another_search(word, field, identify, search):
    name, record = identify(*WORDS, word)
    assert name != search[0]
    assert f"{field} is " in differences(search[1], record)


def test_the_directory_is_not_part_of_it():
    """Its name may hold the time of the start, so it is not even resolved."""
    cfg = OmegaConf.create({"run_dir": "${no_such_resolver:1}", "x": {"y": 1}, "hydra": {"sweeper": {"sampler": {}}}})
    assert describe(cfg, Space([], {}, {}, {})) == {"x.y": 1}


class TestDifferences:
    def test_show_both_values_as_they_are_typed(self):
        there = {"agent.lr": "tag(log,interval(1e-5,1e-2))", "agent.kl": None, "agent.wide": True, "seed": 0}
        here = {"agent.lr": 3e-4, "agent.kl": 0.1, "agent.wide": False, "seed": 0}
        assert differences(there, here) == (
            "agent.kl is null there and 0.1 here; "
            "agent.lr is tag(log,interval(1e-5,1e-2)) there and 0.0003 here; "
            "agent.wide is true there and false here"
        )

    def test_of_a_field_that_one_lacks(self):
        assert differences({"agent.x": 1}, {}) == "agent.x is 1 there and null here"
        assert differences({}, {"agent.x": [64, 64]}) == "agent.x is null there and [64, 64] here"

    def test_of_many_fields_only_the_first_are_shown(self):
        there, here = ({f"agent.{letter}": value for letter in "fedcba"} for value in (1, 2))
        shown = [f"agent.{letter} is 1 there and 2 here" for letter in "abcd"]
        assert differences(there, here) == "; ".join([*shown, "and 2 more"])

    def test_of_the_same_are_none(self):
        assert differences({"a": [1, 2], "b": None}, {"a": [1, 2]}) == ""


def test_the_docs_name_the_study_that_their_command_gives(identify):
    readme, *others = [(ROOT / name).read_text() for name in ("README.md", "docs/search.md", "docs/run_directory.md")]
    command = re.search(r"^python train.py -m (meta=asha env=cartpole search=ppo .*)$", readme, re.MULTILINE)[1]
    named = {name for text in (readme, *others) for name in re.findall("ppo_cartpole_[0-9a-f]{6}", text)}
    assert named == {identify(*command.split())[0]}
