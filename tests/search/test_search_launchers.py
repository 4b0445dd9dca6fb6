"""Every launcher that jobs can be given to: a small search with pruning, a crash, and Ctrl-C in each of them."""

import importlib.util
import logging
import os
import shutil
import signal
import tempfile

import pytest
from optuna.trial import TrialState

from search.toy.running import Toy, check_exactly_once, end_all, interrupt, needs_proc, wait_until

LOG = logging.getLogger(__name__)
WORDS = {
    "basic": [],
    "joblib": [],
    "submitit_local": [],
    "ray": [
        "+hydra.launcher.ray.init.num_cpus=2",
        "+hydra.launcher.ray.init.include_dashboard=false",
        "+hydra.launcher.ray.remote.max_retries=0",
    ],
}
"""What each launcher is told; Ray would run a task three times more when its process is killed."""


def some(*fast, slow):
    return [*fast, *(pytest.param(name, marks=pytest.mark.slow) for name in slow)]


@pytest.fixture
def make_toy(tmp_path):
    toys = []

    def make(launcher, *words):
        package = f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher"
        if launcher != "basic" and importlib.util.find_spec(package) is None:
            pytest.skip(f"needs an extra: pip install 'rllab[{launcher.partition('_')[0]}]'")
        extra = list(WORDS[launcher])
        if launcher == "ray":  # its sockets need a short path
            extra.append(f"+hydra.launcher.ray.init._temp_dir={tempfile.mkdtemp(prefix='ray')}")
        toy = Toy(tmp_path, "-m", f"hydra/launcher={launcher}", *extra, "hydra.sweeper.n_jobs=2", *words)
        toy.words += ("hydra.sweeper.study_name=k",)
        toys.append(toy)
        return toy

    yield make
    for toy in toys:
        end_all(toy)
        for word in toy.words:
            if "_temp_dir=" in word:
                shutil.rmtree(word.partition("=")[2], ignore_errors=True)


@pytest.mark.parametrize("launcher", some("basic", slow=["joblib", "submitit_local", "ray"]))
def test_pruned_search(make_toy, launcher):
    grid = ["hydra/sweeper/sampler=grid", "agent.x=1,0.9,0.8,0.2,0.1", "meta.max_trial=5"]
    toy = make_toy(launcher, *grid, "meta.search_scheduler={kind:asha,grace_period:300,reduction_factor:2}")
    result = toy.run()
    assert result.code == 0, result.err
    trials = check_exactly_once(toy, 5)
    assert trials[0].state == TrialState.COMPLETE
    for trial in trials[3:]:
        assert trial.state == TrialState.PRUNED
        assert trial.user_attrs["reason"] == "not in the best 1/2 at frame 300"
        assert trial.user_attrs["frame"] == 300
    assert [len(toy.lines(number, "starts")) for number in range(5)] == [1] * 5
    LOG.info("%s: %.1f s", launcher, result.seconds)
    wait_until(lambda: not toy.processes(), 5, "processes gone")


@pytest.mark.parametrize("launcher", some(slow=["basic", "joblib", "submitit_local", "ray"]))
def test_crash_is_one_trial_failed(make_toy, launcher):
    toy = make_toy(launcher, "agent.trouble=none,crash,diverge,none", "hydra.sweeper.max_failure_rate=0.5")
    result = toy.run()
    assert result.code == 0, result.err
    trials = check_exactly_once(toy, 4)
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "FAIL", "COMPLETE"]
    assert trials[1].user_attrs["reason"] == "ZeroDivisionError: as asked"
    assert trials[2].user_attrs["reason"].startswith("ValueError: the score is nan")


@pytest.mark.parametrize("launcher", some(slow=["submitit_local", "ray"]))
def test_kill_is_one_trial_failed(make_toy, launcher):
    """Not with basic, whose jobs are the sweeper, nor with joblib, whose pool breaks."""
    toy = make_toy(launcher, "agent.trouble=none,kill,none", "hydra.sweeper.max_failure_rate=0.5")
    result = toy.run()
    assert result.code == 0, result.err
    trials = check_exactly_once(toy, 3)
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    LOG.info("%s: %s", launcher, trials[1].user_attrs["reason"])


@pytest.mark.slow  # of the default launcher: test_stopped_by_three_signals_and_finished
@needs_proc
@pytest.mark.parametrize("launcher", ["basic", "joblib", "submitit_local", "ray"])
def test_stopped_and_killed_search_goes_on(make_toy, launcher):
    toy = make_toy(launcher, "agent.x=0.1,0.2")
    started = 0
    for number in (signal.SIGINT, signal.SIGKILL):
        process = toy.start(seconds=10)
        started += 1 if launcher == "basic" else 2
        wait_until(lambda count=started: sum(len(toy.lines(n, "starts")) for n in (0, 1)) >= count, 120)
        if number == signal.SIGINT:
            seconds = interrupt(process)
            assert process.returncode == 130
            assert seconds < 20
            LOG.info("%s: ended %.1f s after Ctrl-C", launcher, seconds)
            assert {trial.state.name for trial in toy.trials()} == {"WAITING"}
            gone = wait_until(lambda: not toy.processes(), 10, "processes gone")
        else:
            os.kill(process.pid, number)
            process.wait()
            gone = 0.0  # jobs of other launchers may go on until they report
        LOG.info("%s: processes gone %.1f s after %s", launcher, gone, number.name)
    result = toy.run(seconds=0)
    assert result.code == 0, result.err
    trials = check_exactly_once(toy, 2)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 2
    assert [len(toy.lines(number, "ends")) for number in (0, 1)] == [1, 1]
