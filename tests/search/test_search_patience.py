"""A storage that does not answer, or whose answer is lost: what is asked again, and what comes of it."""

import random
import threading
import time

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError, ProgrammingError

from rllab.errors import ConfigError
from rllab.search import handle, study
from rllab.search.handle import TrialCancelled, TrialHandle
from rllab.search.patience import NoAnswerError, Patience, patient
from rllab.search.study import MAX_STARTS, SharedStudy

X = {"agent.x": FloatDistribution(0, 1)}


def refused():
    """As Optuna hands it on."""
    error = StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = OperationalError("SELECT", {}, Exception("connection refused\nmore"))
    return error


def journal(path):
    return JournalStorage(JournalFileBackend(str(path / "study.log")))


class Flaky:
    """A storage of which some calls fail, before they are carried out or, with the answer lost, afterwards."""

    def __init__(self, path, before=0.0, after=0.0, seed=0):
        self.storage, self.before, self.after = journal(path), before, after
        self.rng = random.Random(seed)

    def __getattr__(self, name):
        def call(*args, **options):
            if self.rng.random() < self.before:
                raise refused()
            answer = getattr(self.storage, name)(*args, **options)
            if self.rng.random() < self.after:
                raise refused()
            return answer

        return call


@pytest.fixture
def said():
    return []


@pytest.fixture
def patience(said, monkeypatch):
    monkeypatch.setattr("rllab.search.patience._FIRST", 1e-4)
    monkeypatch.setattr("rllab.search.patience._LONGEST", 1e-3)
    return Patience(60, "postgresql://host/name", said.append)


@pytest.fixture
def make_sweeper(tmp_path, patience):
    """`make_sweeper(storage)` is one of several sweepers that share a study in it."""
    sweepers = []

    def make(storage, *, total=3, max_retries=3):
        made = SharedStudy(
            "k",
            patient(storage, patience),
            patience,
            tmp_path,
            RandomSampler(0),
            total=total,
            max_retries=max_retries,
        )
        made.claim({"search": {}, "scheduler": {"kind": "none", "grace_period": 0, "reduction_factor": 3}})
        sweepers.append(made)
        return made

    yield make
    for made in sweepers:
        made.close()


@pytest.fixture
def attach(monkeypatch):
    """`attach(storage, trial)` is the job of a trial that a sweeper has taken."""

    def make(storage, trial, seconds=60):
        monkeypatch.setattr(handle, "open_storage", lambda _, patience: patient(storage, patience))
        held = {name: trial.user_attrs[name] for name in ("attempt", "owner")}
        return TrialHandle("sqlite:////study.db", "k", number=trial.number, **held, patience=seconds)

    return make


class TestAsking:
    def test_goes_on_until_there_is_an_answer(self, patience, said):
        answers = iter([refused(), refused(), OSError(28, "No space left on device"), 3])

        def call():
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

        assert patience.ask(call) == 3
        assert said == [
            "postgresql://host/name does not answer (connection refused); asking again for 60 s",
            "postgresql://host/name answers again",
        ]

    def test_ends_with_one_line(self, patience):
        patience.seconds = 0.01
        with pytest.raises(NoAnswerError) as error:
            patience.ask(lambda: (_ for _ in ()).throw(refused()))
        assert str(error.value) == (
            "hydra.sweeper.storage: got 'postgresql://host/name', which has not answered for 0 s (connection refused); "
            "start it and type the same command again, which goes on, or write more than hydra.sweeper.patience=0.01"
        )

    @pytest.mark.parametrize("error", [KeyError("no such study"), ProgrammingError("SELECT", {}, Exception("syntax"))])
    def test_an_error_is_an_answer(self, error, patience, said):
        with pytest.raises(type(error)):
            patience.ask(lambda: (_ for _ in ()).throw(error))
        assert said == []

    def test_ends_when_it_is_given_up(self, patience):
        threading.Timer(0.05, patience.give_up).start()
        with pytest.raises(NoAnswerError):
            patience.ask(lambda: (_ for _ in ()).throw(refused()))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 30))])
def test_no_trial_is_lost_or_ended_twice_though_answers_are_lost(seed, make_sweeper, attach, monkeypatch, tmp_path):
    """Three sweepers of one machine; their trials end, are put back, fail, or are forgotten with their sweeper."""
    monkeypatch.setattr(study, "BEAT", 0.0)
    monkeypatch.setattr(study, "_LEAST", 0.0)
    flaky, rng = Flaky(tmp_path, before=0.1, after=0.2, seed=seed), random.Random(seed)
    sweepers = [make_sweeper(flaky, total=8, max_retries=100) for _ in range(3)]
    finished = []
    for _ in range(400):
        sweeper = rng.choice(sweepers)
        sweeper.look_after()
        if sweeper.finished():
            break
        trial = sweeper.ask(X)
        if trial is None:
            continue
        end = rng.random()
        try:
            job = attach(flaky, trial)
            job.report(100, 0.5)
            if end < 0.5:
                job.finish(trial.params["agent.x"], 100)
                finished.append(trial.number)
        except (TrialCancelled, UpdateFinishedTrialError):
            pass
        if end < 0.6:
            sweeper.fail(trial, "ended without a result")
        elif end < 0.8:
            sweeper.put_back(trial)
        else:
            sweeper.held.clear()  # as if another one had taken its name
    trials = flaky.storage.get_all_trials(0)[:8]
    assert [trial.number for trial in trials] == list(range(8))
    assert all(trial.state.is_finished() for trial in trials), [trial.state.name for trial in trials]
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert sorted(finished) == [trial.number for trial in complete]
    assert all(trial.value == trial.params["agent.x"] for trial in complete)


def test_two_that_take_a_trial_at_once_do_not_both_run_it(make_sweeper, attach, tmp_path):
    storage = journal(tmp_path)
    first, second = (make_sweeper(storage, total=1) for _ in range(2))
    one = first.ask(X)
    first.put_back(one)
    two = second.ask(X)
    storage.set_trial_user_attr(two._trial_id, "attempt", 0)  # as if `second` had not seen the attempt of `first`
    with pytest.raises(TrialCancelled):
        attach(storage, one)
    job = attach(storage, storage.get_trial(two._trial_id))
    job.finish(1.0, 100)
    assert first.finished()


class TestLosing:
    @pytest.fixture
    def sweeper(self, make_sweeper, tmp_path):
        return make_sweeper(journal(tmp_path), total=1, max_retries=2)

    def test_a_trial_that_had_begun_counts_against_max_retries(self, sweeper, attach):
        for _ in range(3):
            trial = sweeper.ask(X)
            attach(sweeper.storage, trial).begin()
            sweeper.lose(trial, "its sweeper vanished")
        (row,) = sweeper.rows()
        assert (row.state, row.reason) == ("failed", "its sweeper vanished 3 times")

    def test_one_that_had_not_counts_in_a_row(self, sweeper, attach):
        for begins in (False, True, False):
            for _ in range(MAX_STARTS - 1 if not begins else 1):
                trial = sweeper.ask(X)
                if begins:
                    attach(sweeper.storage, trial).report(100, 1.0)
                sweeper.lose(trial, "its sweeper vanished")
        assert sweeper.rows()[0].state == "waiting"
        sweeper.lose(sweeper.ask(X), "its sweeper vanished")
        (row,) = sweeper.rows()
        reason = f"its sweeper vanished {MAX_STARTS} times in a row before training began"
        assert (row.state, row.reason) == ("failed", reason)

    def test_a_job_that_is_killed_fails_once_it_has_begun(self, sweeper, attach):
        sweeper.fail_if_begun(sweeper.ask(X), "killed (SIGKILL)")
        assert sweeper.rows()[0].state == "waiting"
        trial = sweeper.ask(X)
        attach(sweeper.storage, trial).begin()
        sweeper.fail_if_begun(trial, "killed (SIGKILL)")
        assert (sweeper.rows()[0].state, sweeper.rows()[0].reason) == ("failed", "killed (SIGKILL)")


class TestReports:
    """Of a trial whose storage falls silent."""

    @pytest.fixture
    def flaky(self, tmp_path):
        return Flaky(tmp_path)

    @pytest.fixture
    def trial(self, flaky, make_sweeper):
        return make_sweeper(flaky, total=1).ask(X)

    def test_wait_while_training_goes_on(self, flaky, trial, attach):
        job = attach(flaky, trial)
        assert not job.report(100, 1.0)
        flaky.before = 1.0
        began = time.monotonic()
        for frame in range(200, 1000, 100):
            job.report(frame, frame / 100)
        assert time.monotonic() - began < 1
        assert list(flaky.storage.get_trial(trial._trial_id).intermediate_values) == [100]
        flaky.before = 0.0
        job.finish(9.0, 1000)
        ended = flaky.storage.get_trial(trial._trial_id)
        assert ended.intermediate_values == {frame: frame / 100 for frame in range(100, 1000, 100)}
        assert (ended.state, ended.value) == (TrialState.COMPLETE, 9.0)

    def test_tell_of_the_pruner_later(self, flaky, trial, attach, monkeypatch):
        job = attach(flaky, trial)
        monkeypatch.setattr(job.pruner, "prune", lambda _, trial: trial.last_step == 200, raising=False)
        flaky.before = 1.0
        assert not job.report(200, 1.0)
        flaky.before = 0.0
        job._mail.wait(lambda: False)
        assert job.report(300, 2.0)
        job.finish(2.0, 300)
        ended = flaky.storage.get_trial(trial._trial_id)
        assert (ended.state, ended.value) == (TrialState.PRUNED, 2.0)
        assert ended.user_attrs["reason"] == "not in the best 1/3 at frame 200"

    def test_end_a_trial_that_another_has_taken_over(self, flaky, trial, attach):
        job = attach(flaky, trial)
        flaky.before = 1.0
        job.report(100, 1.0)
        flaky.storage.set_trial_user_attr(trial._trial_id, "owner", "another")
        flaky.before = 0.0
        with pytest.raises(TrialCancelled):
            job.finish(1.0, 200)

    def test_end_a_trial_when_patience_has_ended(self, flaky, trial, attach):
        job = attach(flaky, trial, seconds=0.05)
        flaky.before = 1.0
        job.report(100, 1.0)
        time.sleep(0.3)
        with pytest.raises(NoAnswerError):
            job.report(200, 1.0)


def test_a_study_is_asked_through_it(patience, tmp_path):
    made = optuna.create_study(storage=patient(journal(tmp_path), patience))
    made.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert len(made.trials) == 2


@pytest.mark.parametrize("name", ["../../x", "a/b", "a\\b", ".x", "..", "", "a\x1bb"])
def test_the_name_of_a_study_is_no_path(name):
    from rllab.search.options import check_options

    with pytest.raises(ConfigError, match=r"hydra.sweeper.study_name: got .*; write a name, without slashes"):
        check_options(study_name=name, n_trials=1, n_jobs=1, max_failure_rate=0, max_retries=0, patience=1)
