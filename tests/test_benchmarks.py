"""benchmarks.speed and benchmarks.gpu: what they say of what was measured, and of what could not be."""

import sys
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1])


def test_ratios_are_to_peers_on_as_many_cores_with_as_many_sessions(capsys):
    from benchmarks import speed

    rates = {
        ("Stable-Baselines3", 1, 1): [100, 90, 500],
        ("rllab", 4, 1): [800],
        ("JAX", 1, 1): [50],
        ("JAX", 4, 1): [200],
        ("Stable-Baselines3", 1, 2): [400],
        ("rllab", 4, 2): [1000],
    }
    results = {key: [speed.Measured(fps, 20.0) for fps in found] for key, found in rates.items()}
    speed.report("ppo_cartpole", results, 1000)
    *_, baseline, rllab, _, _, _, two_cores = capsys.readouterr().out.splitlines()
    assert baseline.split() == ["Stable-Baselines3", "1", "1", "100", "20.0", "90", "500", "1.00", "2.00"]
    assert rllab.split() == ["rllab", "4", "1", "800", "20.0", "800", "800", "8.00", "4.00"]
    assert two_cores.split()[-3:] == ["1,000", "1,000", "2.50"]


def test_contenders_alternate_and_have_the_cores_that_they_are_told(monkeypatch):
    from benchmarks import speed

    pinned, measured = [], []

    def measure(name):
        def measured_as(workload, frames, cores, directory):
            measured.append((name, frames, cores))
            return speed.Measured(1.0, 2.0)

        return measured_as

    monkeypatch.setattr(speed, "available_cores", lambda: [3, 5])
    monkeypatch.setattr(speed, "pin", pinned.append)
    contenders = [speed.Contender(name, 1, measure(name)) for name in "ab"]
    speed.compare("ppo_cartpole", contenders, repeats=2, frames=10, settings=[1, 2])
    assert pinned == [[3], [3, 5]] * 2
    assert measured == [("a", 10, 1), ("b", 10, 1), ("a", 10, 2), ("b", 10, 2)] * 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_cuda_there_is_one_line(monkeypatch, capsys):
    from benchmarks import gpu

    monkeypatch.setattr(sys, "argv", ["gpu"])
    assert gpu.main() == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_stage_that_takes_too_long_says_so(monkeypatch):
    from benchmarks import gpu

    monkeypatch.setitem(gpu.STAGES, "resume", gpu.Stage(0.1, gpu.resume))
    assert gpu.run_stage("resume", "cpu", quick=True) == ([], "took longer than 0 seconds")


def test_the_stages_take_eight_minutes_at_most():
    from benchmarks import gpu

    assert sum(stage.seconds for stage in gpu.STAGES.values()) <= 480


def test_one_update_is_the_same_on_the_same_device():
    from benchmarks import gpu

    rows = dict(gpu.updates("cpu", quick=True))
    assert len(rows) >= 10
    assert set(rows.values()) == {"0.0e+00"}
