"""Secrets of the reader (12): a config is read without resolvers, and nothing of what they would give is ever said."""

import json

import pytest

from strangers import some

LEAK = "${oc.env:SECRET}"
CONFIGS = {
    "an env's id": {"env": {"id": LEAK}},
    "a package": {"env": {"id": f"{LEAK}:X-v0"}},
    "an agent's name": {"agent": {"name": LEAK}},
    "a number": {"agent": {"lr": LEAK}},
    "a choice": {"agent": {"activation": LEAK}},
    "a list": {"agent": {"hidden": [LEAK]}},
    "an argument of the env": {"env": {"kwargs": {"sutton_barto_reward": LEAK}}},
    "the name of an argument": {"env": {"kwargs": {LEAK: 1}}},
    "a game": {"env": {"game": LEAK}},
    "a wrapper": {"env": {"wrappers": [LEAK]}},
    "the seed": {"meta": {"seed": LEAK}},
    "the device": {"meta": {"device": LEAK}},
    "the run's directory": {"run_dir": f"/tmp/{LEAK}"},
    "what makes a config": {"agent": {"network": "${oc.create:{a: ${oc.env:SECRET}}}"}},
    "what is read from elsewhere": {"agent": {"lr": "${env.kwargs.x}"}, "env": {"kwargs": {"x": LEAK}}},
    "a field that is not there": {"agent": {LEAK: 1}},
    "what was escaped": {"agent": {"network": "\\${oc.env:SECRET}"}},
}


QUICK = ["an env's id", "an agent's name", "a number", "a list", "a game", "a wrapper", "the seed"]


@pytest.fixture(params=some(CONFIGS, *QUICK))
def attack(request, stranger):
    stranger.edit(**request.param)
    return stranger


def test_no_verb_says_it(attack, look, play, secret):
    said = look(attack.path) + play(attack.path) + play(attack.path, "--trust")
    assert secret not in said
    assert not attack.leaked_into()


@pytest.mark.parametrize("config", some(CONFIGS, "a number"))
def test_no_resume_says_it(config, stranger, command, secret):
    stranger.edit(**config)
    result = command("meta.resume=run")
    assert secret not in result.out + result.err
    assert not stranger.leaked_into()


@pytest.mark.parametrize("name", some(["provenance.json", "trial.json", "eval.json"]))
def test_no_other_file_is_resolved(name, stranger, look, play, secret):
    facts = {"command": LEAK, "agent": LEAK, "env": LEAK, "host": LEAK, "time": LEAK, "git_sha": LEAK}
    (stranger.path / name).write_text(json.dumps(facts | {"versions": {LEAK: LEAK}}))
    assert secret not in look(stranger.path) + play(stranger.path)
    assert not stranger.leaked_into()
