"""What the README promises, learned for real: minutes each, on seeds that nothing was tuned on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rllab.training import trial

TRAIN = Path(__file__).parents[1] / "train.py"

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


def test_search_finds_settings_that_solve_cartpole(tmp_path):
    """Half of the frames of the search are saved, and its winner holds on seeds that it has not seen."""

    def run(words):
        command = [sys.executable, TRAIN, *words.split()]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    frames = "env.max_frame=100_000 meta.log_frequency=5000"
    search = f"-m meta=asha env=cartpole search=ppo meta.seed=14 {frames} meta.search_scheduler.grace_period=20000"
    out = run(f"{search} hydra.sweep.dir=study")
    assert out.count("saved by pruning") == 1
    saved = int(out.partition("% saved by pruning")[0].split()[-1])
    assert saved >= 35
    best = yaml.safe_load((tmp_path / "study/best.yaml").read_text())
    assert 1e-5 <= best["agent"]["lr"] <= 1e-2
    run("-cd study -cn best meta=standard meta.seed=1 run_dir=winner")
    winner = json.loads((tmp_path / "winner/trial.json").read_text())
    assert winner["final_return"]["mean"]["value"] >= 450
