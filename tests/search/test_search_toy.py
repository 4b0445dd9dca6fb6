"""A search through the real command line, over an objective that trains nothing: what it does, and what it survives."""

import csv
import logging
import os
import random
import shutil
import signal
from collections import Counter

import pytest
from optuna.trial import TrialState

from search.toy.running import (
    Toy,
    check_exactly_once,
    end_all,
    interrupt,
    kill_at_random,
    needs_proc,
    slot_use,
    wait_until,
)

SPACE = "agent.x=interval(0,1)"
LOG = logging.getLogger(__name__)
K = "hydra.sweeper.study_name=k"


@pytest.fixture(scope="module")
def make_toy(tmp_path_factory):
    """`make_toy("-m", ...)` has a directory of its own; what still runs at the end is killed."""
    toys = []

    def make(*words):
        toys.append(Toy(tmp_path_factory.mktemp("toy"), *words))
        return toys[-1]

    yield make
    for toy in toys:
        end_all(toy)


def table(toy, name="k"):
    with (toy.directory / "multirun" / name / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def states(toy, name="k"):
    return [trial.state.name for trial in toy.trials(name)]


@pytest.fixture(scope="module")
def sampled(make_toy):
    toy = make_toy("-m", SPACE, "agent.width=choice(1,2)", "meta.keep_trials=2", K)
    toy.first = toy.run("meta.max_trial=3", pictures=True)
    toy.first_table, toy.first_trials = table(toy), toy.trials()
    return toy


class TestSampled:
    """One study: three trials, the same command again, then two more."""

    @pytest.fixture
    def toy(self, sampled):
        return sampled

    def test_every_trial_is_complete_and_within_the_space(self, toy):
        assert toy.first.code == 0, toy.first.err
        assert [trial.state.name for trial in toy.first_trials] == ["COMPLETE"] * 3
        for trial in toy.first_trials:
            assert 0 <= trial.params["agent.x"] <= 1
            assert trial.params["agent.width"] in {1, 2}
            assert trial.value == trial.params["agent.x"]
            assert sorted(trial.intermediate_values) == list(range(100, 1001, 100))

    def test_table(self, toy):
        assert [row["trial"] for row in toy.first_table] == ["0", "1", "2"]
        assert all((row["state"], row["frames"], row["reason"]) == ("complete", "1000", "") for row in toy.first_table)
        assert [float(row["value"]) for row in toy.first_table] == [trial.value for trial in toy.first_trials]
        assert [float(row["agent.x"]) for row in toy.first_table] == [trial.value for trial in toy.first_trials]
        assert all(float(row["seconds"]) > 0 for row in toy.first_table)

    def test_models_of_the_best_trials_stay(self, toy):
        kept = [trial.number for trial in toy.first_trials if (toy.folder(trial.number) / "checkpoints").exists()]
        best = sorted(toy.first_trials, key=lambda trial: trial.value)[1:]
        assert kept == sorted(trial.number for trial in best)

    def test_output_says_how_to_look_and_where_to_go_on(self, toy):
        out = toy.first.out
        assert "3 trials (tpe), " in out
        advertised = "optuna-dashboard sqlite:///multirun/k/study.db" in out
        assert advertised == bool(shutil.which("optuna-dashboard"))
        assert "-cd multirun/k -cn best meta=standard" in out
        pictures = {path.stem for path in (toy.directory / "multirun" / "k").glob("*.png")}
        assert pictures == {"intermediate_values", "optimization_history", "parallel_coordinate"}
        assert "none of fields by themselves: that needs 10 complete trials, and there are 3" in out

    @pytest.mark.slow
    def test_same_command_runs_nothing_again_and_more_trials_go_on(self, toy):
        again = toy.run("meta.max_trial=3")
        assert again.code == 0
        assert toy.trials() == toy.first_trials
        assert [len(toy.lines(number, "starts")) for number in range(3)] == [1] * 3

        more = toy.run("meta.max_trial=5")
        assert more.code == 0
        trials = check_exactly_once(toy, 5)
        assert trials[:3] == toy.first_trials
        assert len({trial.params["agent.x"] for trial in trials}) == 5, "a proposal was repeated"
        assert [row["trial"] for row in table(toy)] == list("01234")

    def test_best_is_a_config(self, toy):
        best = max(toy.trials(), key=lambda trial: trial.value)
        folder = toy.directory / "multirun" / "k"
        result = Toy(toy.directory).run("-cd", str(folder), "-cn", "best")
        assert result.out == f"one run: x={best.value}\n"


def test_ordered_grid(make_toy):
    """What Hydra users expect of `-m a=1,2 b=3,4`: its order, its directories, nothing pruned, nothing deleted."""
    toy = make_toy("-m", "agent.x=1,0.5", "env.id=a,b", "meta.search_scheduler.kind=median", "meta.keep_trials=1", K)
    result = toy.run("hydra/launcher=basic")
    assert result.code == 0, result.err
    assert "4 trials (grid), " in result.out
    trials = check_exactly_once(toy, 4)
    points = [(trial.params["agent.x"], trial.params["env.id"]) for trial in trials]
    assert [(float(x), env) for x, env in points] == [(1, "a"), (1, "b"), (0.5, "a"), (0.5, "b")]
    assert states(toy) == ["COMPLETE"] * 4
    assert [trial.value for trial in trials] == [1, 1, 0.5, 0.5]
    assert all((toy.folder(number) / "checkpoints" / "model").exists() for number in range(4))


@pytest.fixture(scope="module")
def failed(make_toy):
    toy = make_toy("-m", "agent.trouble=none,crash,kill,memory,diverge", K)
    toy.result = toy.run("hydra.sweeper.max_failure_rate=1")
    return toy


class TestFailures:
    """One study with every way in which a trial can fail."""

    @pytest.fixture
    def toy(self, failed):
        return failed

    def test_study_goes_on(self, toy):
        assert toy.result.code == 0, toy.result.err
        check_exactly_once(toy, 5)
        assert states(toy) == ["COMPLETE"] + ["FAIL"] * 4

    def test_reasons(self, toy):
        reasons = [row["reason"] for row in table(toy)]
        assert reasons == [
            "",
            "ZeroDivisionError: as asked",
            "killed (SIGKILL: by hand, or for want of memory)",
            "MemoryError",
            "ValueError: the score is nan: no episode ended, or training diverged",
        ]
        assert [row["frames"] for row in table(toy)] == ["1000", "400", "400", "400", "1000"]

    def test_output_of_each_trial_is_in_its_directory(self, toy):
        outputs = [(toy.folder(number) / "output.log").read_text() for number in range(5)]
        assert all(output.startswith(f"trial {number}: x=1.0\n") for number, output in enumerate(outputs))
        assert "Traceback" in outputs[1]
        assert outputs[1].endswith("ZeroDivisionError: as asked\n")
        assert "Traceback" not in toy.result.out + toy.result.err

    def test_too_many_are_one_line(self, toy):
        result = toy.run("hydra.sweeper.max_failure_rate=0.5")
        assert result.code == 1
        assert result.err.startswith("error: 4 of 5 trials failed, more than hydra.sweeper.max_failure_rate=0.5 allows")
        assert result.err.count("\n") == 1
        assert "multirun/k/4/output.log" in result.err


def test_too_many_failures_end_the_search_at_once(make_toy):
    toy = make_toy("-m", "agent.trouble=diverge,crash,none,none", "hydra.sweeper.max_failure_rate=0.3", K)
    result = toy.run("hydra/launcher=basic")
    assert result.code == 1
    assert result.err.splitlines()[-1].startswith("error: 2 of 4 trials failed")
    assert not (toy.folder(2) / "starts").exists()


@pytest.mark.slow  # test_search_launchers.py prunes by default
def test_bad_trials_are_pruned_and_free_their_slot(make_toy):
    """The last two are bad, whatever the others have reported when they come to the frame."""
    scheduler = "meta.search_scheduler={kind:median,grace_period:300}"
    toy = make_toy("-m", "hydra/sweeper/sampler=grid", "agent.x=1,0.9,0.8,0.7,0.2,0.1", scheduler, K)
    result = toy.run("meta.max_trial=6", "hydra.sweeper.n_jobs=2", seconds=1)
    assert result.code == 0, result.err
    trials = check_exactly_once(toy, 6)
    assert trials[0].state == TrialState.COMPLETE
    for trial, row in list(zip(trials, table(toy), strict=True))[4:]:
        assert trial.state == TrialState.PRUNED
        assert (row["reason"], row["frames"]) == ("below the median at frame 300", "300")
        assert trial.value == pytest.approx(0.3 * float(trial.params["agent.x"]))
        assert len(toy.lines(trial.number, "ends")) == 1
    saved = sum(1000 - int(row["frames"]) for row in table(toy))
    assert f"{saved:,}" in result.out
    assert "median pruning from frame 300" in result.out
    assert slot_use(trials, 2) > 0.6


def start_both(toy, attempt):
    """Start the search and wait until both slots run, each with a process of its own."""
    process = toy.start(seconds=4)
    wait_until(lambda: all(len(toy.lines(number, "starts")) == attempt + 1 for number in (0, 1)), 60)
    everybody = "the search, two trials, a process of each, and the two of multiprocessing that started them"
    wait_until(lambda: len(toy.processes()) == 7, 60, everybody)
    frames = [trial.last_step or 0 for trial in toy.trials()]
    wait_until(lambda: all((t.last_step or 0) > f for t, f in zip(toy.trials(), frames, strict=True)), 60)
    return process


SIGNALS = [(signal.SIGINT,), pytest.param((signal.SIGINT, signal.SIGTERM, signal.SIGKILL), marks=pytest.mark.slow)]


@needs_proc
@pytest.mark.parametrize("numbers", SIGNALS)
def test_stopped_by_signals_and_finished(make_toy, numbers):
    """One study: Ctrl-C, SIGTERM and SIGKILL each leave no process behind, and then each trial ends once."""
    toy = make_toy("-m", SPACE, "meta.max_trial=2", "hydra.sweeper.n_jobs=2", "agent.child=true", K)
    for attempt, number in enumerate(numbers):
        process = start_both(toy, attempt)
        if number == signal.SIGKILL:
            process.kill()
            process.wait()
            gone = wait_until(lambda: not toy.processes(), 3, "processes gone")
            LOG.info("processes gone %.2f s after SIGKILL", gone)
            assert states(toy) == ["RUNNING", "RUNNING"]
            continue
        seconds = interrupt(process, number)
        LOG.info("ended %.2f s after %s", seconds, number.name)
        assert seconds < 5  # about one on a quiet machine
        assert process.returncode == 128 + number
        wait_until(lambda: not toy.processes(), 3, "processes gone")
        assert states(toy) == ["WAITING", "WAITING"]
        assert "stopped with 0 of 2 trials done; the same command goes on\n" in (toy.directory / "out").read_text()
        assert (toy.directory / "err").read_text() == ""

    frames = [int((toy.folder(number) / "frame").read_text()) for number in (0, 1)]
    result = toy.run(seconds=0)
    assert result.code == 0, result.err
    trials = check_exactly_once(toy, 2)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 2
    assert [len(toy.lines(number, "starts")) for number in (0, 1)] == [len(numbers) + 1] * 2
    assert [len(toy.lines(number, "ends")) for number in (0, 1)] == [1, 1]
    assert all(frame >= 100 * len(numbers) for frame in frames), "an attempt began anew"
    assert all(float(row["seconds"]) > 0.3 * len(numbers) for row in table(toy)), "seconds of attempts are lost"
    wait_until(lambda: not toy.processes(), 3, "processes gone")


def kill_study(make_toy, trials, kills, seed):
    words = ["meta.max_trial=" + str(trials), "hydra.sweeper.n_jobs=2", "hydra.sweeper.max_retries=20"]
    toy = make_toy("-m", SPACE, "hydra.sweeper.max_failure_rate=1", "agent.child=true", *words, K)
    killed = kill_at_random(toy, kills, random.Random(seed))
    ended = check_exactly_once(toy, trials)
    failed = [trial.user_attrs["reason"] for trial in ended if trial.state == TrialState.FAIL]
    assert set(failed) <= {"killed (SIGKILL: by hand, or for want of memory)"}
    assert len(failed) <= killed["trial"]
    assert sum(killed.values()) == kills
    wait_until(lambda: not toy.processes(), 3, "processes gone")
    starts = Counter(len(toy.lines(number, "starts")) for number in range(trials))
    LOG.info("killed %s; ended %s; starts %s", killed, Counter(trial.state.name for trial in ended), dict(starts))


@needs_proc
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
def test_twenty_random_kills(make_toy, seed):
    kill_study(make_toy, trials=40, kills=20, seed=seed)


@pytest.mark.slow
def test_trials_of_a_vanished_machine_run_again_up_to_a_number_of_times(make_toy):
    """Two trials in the hands of a sweeper that has no lock here and never beats; one of them was lost before."""
    toy = make_toy("-m", "agent.x=0.1,0.2,0.3", "hydra/launcher=basic", "hydra.sweeper.patience=2", K)
    process = toy.start(seconds=60)  # makes the study, as it would be elsewhere
    wait_until(lambda: toy.lines(0, "starts"), 60)
    process.kill()
    process.wait()
    study = toy.study()
    trials = [study.get_trials()[0]._trial_id, *(study.ask()._trial_id for _ in range(2))]
    for number, trial_id in enumerate(trials):
        study._storage.set_trial_user_attr(trial_id, "owner", "elsewhere")
        study._storage.set_trial_user_attr(trial_id, "attempt", 0)
        study._storage.set_trial_user_attr(trial_id, "begun", 0)
        study._storage.set_trial_user_attr(trial_id, "lost", (0, 2, 3)[number])
    result = toy.run("hydra.sweeper.max_retries=3", seconds=0)
    assert result.code == 0, result.err
    check_exactly_once(toy, 3)
    assert states(toy) == ["COMPLETE", "COMPLETE", "FAIL"]
    assert table(toy)[2]["reason"] == "its sweeper vanished 4 times"
    assert not toy.lines(2, "starts")


@needs_proc
@pytest.mark.slow
def test_sweeper_that_was_cut_off_does_not_disturb_who_took_over(make_toy, tmp_path):
    """Two machines, one database: the first sweeper freezes, the second takes its trial, the first wakes up again."""
    url = f"sqlite:///{tmp_path}/study.db"
    words = ["-m", "agent.x=0.1,0.2", f"hydra.sweeper.storage={url}", "hydra.sweeper.n_jobs=1"]
    first, second = (make_toy(*words, "hydra.sweeper.patience=2", K) for _ in range(2))
    cut_off = first.start(seconds=20)
    wait_until((first.folder(0) / "frame").exists, 60)
    os.kill(cut_off.pid, signal.SIGSTOP)
    other = second.start(seconds=10)
    wait_until(lambda: second.lines(0, "starts"), 120, "taken over")
    wait_until(lambda: "TrialCancelled" in (first.folder(0) / "output.log").read_text(), 60, "its job is cancelled")
    os.kill(cut_off.pid, signal.SIGCONT)
    assert (cut_off.wait(120), other.wait(120)) == (0, 0)
    trials = first.trials(storage=url)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 2, [trial.user_attrs for trial in trials]
    assert (first.lines(0, "ends"), len(second.lines(0, "ends"))) == ([], 1)


@pytest.mark.slow  # several processes; kills of searches cover it
def test_two_sweepers_share_a_study(make_toy):
    """Started at the same moment, in one directory: each trial is run once, by one of them."""
    toy = make_toy("-m", SPACE, "meta.max_trial=6", "hydra/launcher=basic", K)
    sweepers = [toy.start(seconds=0.6) for _ in range(2)]
    assert [sweeper.wait(120) for sweeper in sweepers] == [0, 0], (toy.directory / "err").read_text()
    trials = check_exactly_once(toy, 6)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 6
    assert [len(toy.lines(number, "starts")) for number in range(6)] == [1] * 6
    assert len({trial.user_attrs["owner"] for trial in trials}) == 2
    assert len({trial.params["agent.x"] for trial in trials}) == 6


@pytest.mark.slow
def test_slots_stay_busy_with_unequal_trials(make_toy):
    """`python -m benchmarks.search` has the strict figure: machines are noisy."""
    toy = make_toy("-m", "agent.seconds=2,0,0.1,2.1,0.2", "hydra.sweeper.n_jobs=2", K)
    result = toy.run()
    assert result.code == 0, result.err
    use = slot_use(check_exactly_once(toy, 5), 2)
    LOG.info("slots busy %.1f %% of the time", 100 * use)
    assert use > 0.8


SAMPLERS = """
import sys
import toy

toy.no_pictures()
for sampler in sys.argv[1].split(","):
    for run, trials in ("a", 4), ("b", 2):
        sys.argv = ["toy.py", "-m", "agent.x=interval(0,1)", "agent.width=choice(1,2)", f"meta.max_trial={trials}"]
        if sampler == "grid":
            sys.argv[2] = "agent.x=0.1,0.2"
        if sampler in ("tpe", "gp"):
            sys.argv += ["hydra.sweeper.sampler.n_startup_trials=2"]
        sys.argv += [f"hydra/sweeper/sampler={sampler}", "meta.seed=3", "hydra/launcher=basic"]
        sys.argv += ["hydra.sweeper.storage=journal:///study.log", f"hydra.sweeper.study_name={sampler}_{run}"]
        sys.argv += ["meta.log_frequency=500"]
        toy.main()
"""


@pytest.mark.slow
def test_samplers_are_seeded_and_journal_file_holds_studies(make_toy):
    samplers = ["random", "cmaes", "gp", "qmc", "grid", "tpe"]
    toy = make_toy()
    presets, toy.program = toy.program.parent, toy.directory / "samplers.py"
    toy.program.write_text(SAMPLERS)
    result = toy.run(",".join(samplers), PYTHONPATH=os.pathsep.join([str(presets), os.environ.get("PYTHONPATH", "")]))
    assert result.code == 0, result.err
    proposals = {}
    for sampler in samplers:
        first, second = (toy.trials(f"{sampler}_{run}", f"journal:///{toy.directory}/study.log") for run in "ab")
        assert [trial.state.name for trial in first] == ["COMPLETE"] * 4
        proposals[sampler] = [trial.params for trial in first]
        assert proposals[sampler][:2] == [trial.params for trial in second], sampler
        assert len({str(params) for params in proposals[sampler]}) == 4, sampler
    assert len({str(proposal[:2]) for proposal in proposals.values()}) >= 3
