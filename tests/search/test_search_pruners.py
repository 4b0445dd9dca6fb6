"""Which trials are stopped, worked out by hand. Frames are steps; higher values are better."""

import optuna
import pytest
from optuna.trial import TrialState

from rllab.config import MetaConfig, SearchResources, SearchScheduler
from rllab.errors import ConfigError
from rllab.search.pruners import MIN_OTHERS, MedianPruner, check_scheduler, make_pruner


@pytest.fixture
def study():
    return optuna.create_study(direction="maximize")


def running(study, **reports):
    """A trial with reports: `f100=1.0` is the value at frame 100."""
    trial = study.ask()
    report(study, trial.number, **reports)
    return trial.number


def report(study, number, **reports):
    trial_id = study.get_trials(deepcopy=False)[number]._trial_id
    for frame, value in reports.items():
        study._storage.set_trial_intermediate_value(trial_id, int(frame[1:]), value)


def pruned(pruner, study, number):
    return pruner.prune(study, study.get_trials()[number])


class TestMedian:
    pruner = MedianPruner(grace_period=100)

    def test_of_an_odd_number(self, study):
        for value in (1.0, 2.0, 9.0):
            running(study, f100=value)
        assert pruned(self.pruner, study, running(study, f100=1.9))
        assert not pruned(self.pruner, study, running(study, f100=2.0))  # not below the median of 1, 1.9, 2, 9

    def test_of_an_even_number(self, study):
        for value in (1.0, 2.0, 3.0, 4.0):
            running(study, f100=value)
        assert pruned(self.pruner, study, running(study, f100=2.4))
        assert not pruned(self.pruner, study, running(study, f100=2.5))  # of 1, 2, 2.4, 3, 4 it is 2.4

    def test_the_trial_itself_does_not_count(self, study):
        trial = running(study, f100=1.0)
        for value in (2.0, 3.0):
            running(study, f100=value)
        assert not pruned(self.pruner, study, trial)  # two others: with itself there would be three
        running(study, f100=4.0)
        assert pruned(self.pruner, study, trial)

    def test_others_count_whatever_their_state(self, study):
        trial = running(study, f100=1.5)
        for value in (0.0, 0.0, 0.0, 0.0):  # without any one of the five below the median is 1 at most
            running(study, f100=value)
        running(study, f100=2.0)
        study.tell(running(study, f100=2.0), values=[2.0])
        study.tell(running(study, f100=2.0), state=TrialState.PRUNED)
        study.tell(running(study, f100=2.0), state=TrialState.FAIL)
        waiting = running(study, f100=2.0)
        study._storage.set_trial_state_values(study.get_trials()[waiting]._trial_id, TrialState.WAITING)
        assert pruned(self.pruner, study, trial)

    def test_the_best_value_so_far_counts(self, study):
        for value in (1.0, 2.0, 3.0):
            running(study, f100=0.0, f200=value)
        assert not pruned(self.pruner, study, running(study, f100=2.0, f200=0.0))
        assert pruned(self.pruner, study, running(study, f100=1.4, f200=0.0))  # of 0, 1, 2, 3 the median is 1.5

    def test_only_values_at_the_same_frame_are_compared(self, study):
        for _ in range(MIN_OTHERS):
            running(study, f100=9.0, f300=9.0)
        assert not pruned(self.pruner, study, running(study, f100=9.0, f200=0.0))
        assert not pruned(self.pruner, study, running(study, f200=0.0))

    def test_few_others_stop_nobody(self, study):
        for _ in range(MIN_OTHERS - 1):
            running(study, f100=9.0)
        assert not pruned(self.pruner, study, running(study, f100=0.0))
        assert pruned(self.pruner, study, running(study, f100=0.0))  # the former makes three

    def test_grace(self, study):
        for _ in range(MIN_OTHERS):
            running(study, f50=9.0, f100=9.0)
        trial = running(study, f50=0.0)
        assert not pruned(self.pruner, study, trial)
        report(study, trial, f100=0.0)
        assert pruned(self.pruner, study, trial)

    def test_a_trial_without_a_report_goes_on(self, study):
        for _ in range(MIN_OTHERS):
            running(study, f100=9.0)
        assert not pruned(self.pruner, study, running(study))


class TestSuccessiveHalving:
    def test_the_rungs_are_at_the_grace_period_times_powers_of_the_factor(self, study):
        pruner = make_pruner("asha", 100, 2)
        a = running(study, f50=0.0, f99=0.0)
        assert not pruned(pruner, study, a)  # before the first rung
        report(study, a, f100=1.0)
        assert not pruned(pruner, study, a)  # the first to come is in the best half
        assert pruned(pruner, study, running(study, f104=0.5))  # of 1, 0.5
        c = running(study, f100=2.0)
        assert not pruned(pruner, study, c)  # of 2, 1, 0.5 one is promoted
        assert not pruned(pruner, study, running(study, f100=1.5))  # of 2, 1.5, 1, 0.5 two are
        report(study, a, f199=0.0)
        assert not pruned(pruner, study, a)  # between two rungs
        report(study, c, f200=0.2)
        assert not pruned(pruner, study, c)
        report(study, a, f200=0.1)
        assert pruned(pruner, study, a)  # of 0.2, 0.1 at the second rung

    def test_one_in_so_many_is_kept(self, study):
        pruner = make_pruner("asha", 100, 3)
        kept = [not pruned(pruner, study, running(study, f100=value)) for value in (6.0, 5.0, 4.0, 3.0, 2.0, 5.5)]
        assert kept == [True, False, False, False, False, True]  # the best 1 of 3 to 5 trials, then the best 2 of 6


def test_none_stops_nobody(study):
    for value in (9.0, 9.0, 9.0):
        running(study, f100=value)
    assert not pruned(make_pruner("none", 0, 3), study, running(study, f100=0.0))


def test_median_has_its_grace_period(study):
    for value in (9.0, 9.0, 9.0):
        running(study, f100=value, f200=value)
    assert not pruned(make_pruner("median", 200, 3), study, running(study, f100=0.0))
    assert pruned(make_pruner("median", 200, 3), study, running(study, f200=0.0))


def meta(grace=None, *, period=1000, kind="median", trials=16):
    scheduler = SearchScheduler(kind=kind, grace_period=grace, reduction_factor=4)
    return MetaConfig(
        log_frequency=period, max_trial=trials, search_scheduler=scheduler, search_resources=SearchResources()
    )


class TestCheck:
    @pytest.mark.parametrize(
        ("grace", "period", "max_frame", "expected"),
        [
            (None, 1000, 100_000, 10_000),  # a tenth
            (None, 1000, 95_500, 10_000),  # 9550, up to the next log checkpoint
            (None, 30_000, 100_000, 30_000),
            (None, 1000, 1001, 1000),
            (5000, 1000, 100_000, 5000),
            (99_000, 1000, 100_000, 99_000),
        ],
    )
    def test_the_grace_period_is_on_the_grid_of_reports(self, grace, period, max_frame, expected):
        found = check_scheduler(meta(grace, period=period), max_frame=max_frame, grid=False)
        assert found == {"kind": "median", "grace_period": expected, "reduction_factor": 4}

    def test_a_plain_grid_is_not_pruned_and_not_checked(self):
        plain = meta(10**9, kind="asha", trials=1)
        assert check_scheduler(plain, max_frame=1000, grid=True)["kind"] == "none"
        assert check_scheduler(meta(10**9, kind="none"), max_frame=1000, grid=False)["kind"] == "none"

    def test_a_grid_with_a_number_of_trials_is_pruned(self):
        assert check_scheduler(meta(5000, kind="asha"), max_frame=100_000, grid=True)["kind"] == "asha"

    @pytest.mark.parametrize(
        ("grace", "period", "max_frame", "line"),
        [
            (
                100_000,
                1000,
                100_000,
                (
                    "meta.search_scheduler.grace_period: got 100000, so that no trial is stopped before its end at "
                    "env.max_frame=100000; write e.g. meta.search_scheduler.grace_period=10000, or "
                    "meta.search_scheduler.kind=none"
                ),
            ),
            (
                15_000,
                10_000,
                100_000,
                (
                    "meta.search_scheduler.grace_period: got 15000, which no log checkpoint meets "
                    "(meta.log_frequency=10000); write meta.search_scheduler.grace_period=10000"
                ),
            ),
            (
                500,
                10_000,
                100_000,
                (
                    "meta.search_scheduler.grace_period: got 500, which no log checkpoint meets "
                    "(meta.log_frequency=10000); write meta.search_scheduler.grace_period=10000"
                ),
            ),
            (
                None,
                100_000,
                100_000,
                (
                    "meta.log_frequency: got 100000, so that no trial reports before its end at env.max_frame=100000; "
                    "write at most 10000, or meta.search_scheduler.kind=none"
                ),
            ),
        ],
    )
    def test_what_fits_nothing_is_refused(self, grace, period, max_frame, line):
        with pytest.raises(ConfigError) as error:
            check_scheduler(meta(grace, period=period), max_frame=max_frame, grid=False)
        assert str(error.value) == line

    @pytest.mark.parametrize(("grace", "period", "max_frame"), [(10**6, 40_000, 150_000), (149_999, 40_000, 150_000)])
    def test_what_the_line_says_is_accepted(self, grace, period, max_frame):
        with pytest.raises(ConfigError) as error:
            check_scheduler(meta(grace, period=period), max_frame=max_frame, grid=False)
        offered = int(str(error.value).rpartition("grace_period=")[2].partition(",")[0])
        assert check_scheduler(meta(offered, period=period), max_frame=max_frame, grid=False)
