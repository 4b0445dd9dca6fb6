"""`rllab doctor` as a person types it."""

import json

import pytest

from rllab.host import installation
from rllab.host.installation import extras, missing


def test_it_says_what_is_here_and_that_the_env_is_fine(rllab):
    code, out, _ = rllab("doctor", "env=cartpole", "agent=ppo")
    assert code == 0
    assert "torch " in out
    assert " cores, GPUs: " in out
    assert "env backends: gymnasium" in out
    assert "ppo on CartPole-v1\n  ok    agent      ppo can learn here; backend native" in out
    assert out.endswith("\nverdict: fine\n")


def test_json(rllab):
    code, out, _ = rllab("doctor", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["cores"] >= 1
    assert found["versions"]["gymnasium"]
    assert {check["level"] for check in found["checks"]} == {"ok"}


def test_an_agent_that_cannot_act_there(rllab):
    code, out, _ = rllab("doctor", "env=pendulum", "agent=dqn")
    assert code == 1
    assert "  wrong agent      agent: got 'dqn', which cannot act in Box" in out
    assert out.endswith("\nverdict: wrong: agent\n")


def test_an_env_of_ones_own(rllab, workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    code, out, _ = rllab("doctor", "--config-dir", "my_conf", "env=mine", "agent=ppo", "agent.num_steps=16")
    assert (code, out.count("wrong")) == (0, 0)
    assert "ppo on my_pkg:MyEnv-v0" in out
    assert "the env knows no chance" in out
    assert rllab("doctor", "env.id=my_pkg:Graphs-v0")[0] == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("env=cartpol", "env=cartpol: no such option; did you mean env=cartpole?"),
        ("agent.lrr=1", "agent.lrr: no such field; did you mean agent.lr?"),
    ],
)
def test_misspelt_words(rllab, words, line):
    assert rllab("doctor", words) == (2, "", f"error: {line}\n")


def test_what_an_extra_lacks(monkeypatch):
    known = {
        "lab": [
            "base>=1",
            "one>=1; extra == 'a'",
            "two[more]; extra == 'a'",
            "old; python_version < '3' and extra == 'a'",
        ],
        "two": ["three; extra == 'more'", "four; extra == 'other'"],
    }
    monkeypatch.setattr(installation, "requires", known.get)
    monkeypatch.setattr(installation, "package_version", lambda name: "1" if name == "two" else None)
    assert missing("lab", "a") == ["one", "three"]
    assert missing("lab", "b") == []


def test_extras_are_those_a_person_may_want():
    assert {"box2d", "envpool"} <= set(extras())
    assert "dev" not in extras()
