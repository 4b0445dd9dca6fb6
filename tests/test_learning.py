"""What the README promises, learned for real: minutes each, on seeds that nothing was tuned on."""

import json

import pytest

from rllab import trial

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def train(load_config, tmp_path, *overrides):
    trial.run(load_config(*overrides))
    return json.loads((tmp_path / "run" / "trial.json").read_text())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cartpole_every_session_is_solved(load_config, tmp_path, seed):
    overrides = [
        "meta=standard",
        "env=cartpole",
        f"meta.seed={seed}",
        "meta.rigorous_eval=100",
        "meta.eval_frequency=150000",
    ]
    summary = train(load_config, tmp_path, *overrides)
    assert summary["frames"] == 150_000
    assert all(session["final_return"] >= 475 for session in summary["sessions"])
    assert all(session["final_eval"] >= 490 for session in summary["sessions"])


@pytest.mark.parametrize(("env", "score"), [("acrobot", -85), ("pendulum", -180), ("mountaincar_continuous", 88)])
def test_classic_control(load_config, tmp_path, env, score):
    summary = train(load_config, tmp_path, "meta=classic_control", f"env={env}", "agent=ppo")
    assert summary["frames"] == 300_000
    assert summary["final_return"]["mean"]["value"] >= score
