"""Trained runs that play again: every algorithm, kind of space and network; what cannot be loaded says so."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml

from played import CASES
from rllab import algorithms, checkpoint
from rllab.config import trust
from rllab.errors import ConfigError
from rllab.play import player


def test_every_algorithm_has_a_case():
    assert {words[0].removeprefix("agent=") for words in CASES.values()} >= set(algorithms.names())


def test_it_has_the_policies_of_the_checkpoint(case):
    for which in ("best", "last"):
        loaded = player.load(case, which)
        file = checkpoint.read(case / "checkpoints" / f"{which}.safetensors")
        policy = file["policy"] if which == "best" else file["algorithm"]["policy"]
        mine = loaded.agent.state_dict()["policy"]
        assert mine.keys() == policy.keys()
        assert all(torch.equal(mine[name], policy[name]) for name in policy)
    assert loaded.frames == [file["step"] * 3] * 2


def test_it_plays_greedily_and_exploring(case):
    loaded = player.load(case)
    both = loaded.evaluate([0, 1], num_episodes=4)
    assert np.isfinite(both.returns).all()
    if loaded.config.agent.name == "random":
        return
    alone = loaded.evaluate([1], num_episodes=4)
    np.testing.assert_allclose(alone.returns[0], both.returns[1], rtol=1e-5)
    explored = player.load(case, explore=True).evaluate([0, 1], num_episodes=4)
    assert np.isfinite(explored.returns).all()


def test_act_is_the_policy(case):
    loaded = player.load(case)
    if loaded.config.agent.name == "random":
        pytest.skip("it never does the same twice")
    obs = np.stack([loaded.info.obs_space.sample() for _ in range(2)])
    obs = obs if obs.dtype == np.uint8 else obs.astype(np.float32)
    expected = loaded.policy(1)(torch.from_numpy(obs))[0].numpy()
    np.testing.assert_allclose(loaded.act([1])(obs[None], np.ones((1, 2), bool))[0], expected, rtol=1e-5, atol=1e-6)


@pytest.fixture
def run(cases, tmp_path):
    """A copy of PPO's run, to be damaged."""
    return shutil.copytree(cases("ppo"), tmp_path / "run")


def edit(run, **groups):
    path = run / "config.yaml"
    content = yaml.safe_load(path.read_text())
    for group, fields in groups.items():
        content[group] |= fields
    path.write_text(yaml.safe_dump(content))
    trust.sign(path)


def test_a_run_of_an_older_version_loads_without_the_fields_that_are_new(run):
    path = run / "config.yaml"
    content = yaml.safe_load(path.read_text())
    del content["meta"]["final_eval"], content["env"]["wrappers"]
    path.write_text(yaml.safe_dump(content))
    trust.sign(path)
    assert player.load(run).config.meta.final_eval == 20


def test_the_best_session_is_the_one_that_scored_best(run):
    path = run / "checkpoints" / "best.safetensors"
    checkpoint.write(path, checkpoint.read(path) | {"score": [1.0, 3.0]})
    assert player.load(run).best_session == 1
    assert player.load(run, "last").best_session == 1


def test_a_run_that_has_no_best_yet_plays_its_last(run):
    (run / "checkpoints" / "best.safetensors").unlink()
    assert player.load(run, "last").best_session == 0


def no_best(run):
    (run / "checkpoints" / "best.safetensors").unlink()


def other_shapes(run):
    path = run / "checkpoints" / "best.safetensors"
    best = checkpoint.read(path)
    best["policy"]["actor_head.weight_0"] = torch.zeros(2, 5, 64)
    checkpoint.write(path, best)


def half_a_file(run):
    path = run / "checkpoints" / "best.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def other_layout(run):
    checkpoint.write(run / "checkpoints" / "best.safetensors", {"networks": {}})
    provenance = json.loads((run / "provenance.json").read_text())
    provenance["versions"]["rllab"] = "0.0.1"
    (run / "provenance.json").write_text(json.dumps(provenance))


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (shutil.rmtree, "RUN: no run directory: it has no config.yaml"),
        (no_best, "BEST: not there: no episode had finished, or the search kept other trials; try --checkpoint last"),
        (lambda run: edit(run, agent={"sped": 3}), "RUN/config.yaml: agent.sped: no such field; *"),
        (lambda run: edit(run, agent={"gamma": 3}), "RUN/config.yaml: agent.gamma: got 3*"),
        (lambda run: edit(run, env={"id": "Gone-v0"}), "RUN/config.yaml: env.id: got 'Gone-v0', which is not *"),
        (
            lambda run: edit(run, agent={"hidden": [5]}),
            "BEST: actor_* is (2, 64, 1) where config.yaml makes (2, 5, 1) (*",
        ),
        (
            other_shapes,
            "BEST: actor_head.weight_0 is (2, 5, 64) where config.yaml makes (2, 2, 64) (written by rllab *)",
        ),
        (half_a_file, "BEST: truncated, damaged, or not a checkpoint (*"),
        (other_layout, "BEST: *'policy'* (written by rllab 0.0.1, this is *)"),
    ],
)
def test_what_cannot_be_loaded_says_what_is_missing(run, damage, line):
    damage(run)
    with pytest.raises(ConfigError) as refused:
        player.load(run)
    pattern = line.replace("BEST", "RUN/checkpoints/best.safetensors").replace("RUN", str(run))
    start, *rest = pattern.split("*")
    text = str(refused.value)
    assert "\n" not in text
    assert text.startswith(start)
    assert all(part in text for part in rest), text


def test_a_folder_of_runs_names_one_of_them(run):
    with pytest.raises(ConfigError, match=f"holds several runs; write one of them, e.g. {run}"):
        player.load(run.parent)
