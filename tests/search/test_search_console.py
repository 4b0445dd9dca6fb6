from __future__ import annotations

import io
import math
import re

import pytest
from rich.console import Console as RichConsole

from rllab.search import console as module
from rllab.search.console import SearchConsole
from rllab.search.trials import TrialRow

TITLE = "ppo on [Acrobot-v1], 10 trials"


class Clock:
    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def make(monkeypatch, clock):
    """A console that prints into `console.rich.file`, on a terminal of this size if one is given."""

    def console(*, terminal=None, total=10, slots=2, live=True):
        width, height = terminal or (200, 24)

        def rich(**options):
            return RichConsole(
                file=io.StringIO(), force_terminal=terminal is not None, width=width, height=height, **options
            )

        monkeypatch.setattr("rllab.tracking.console._Console", rich)
        return SearchConsole(TITLE, total=total, slots=slots, max_frame=1000, live=live)

    return console


def row(index, state, *, frame=1000, value=math.nan, seconds=60.0, reason="", **params):
    return TrialRow(index, state, {f"agent.{name}": v for name, v in params.items()}, frame, value, seconds, reason)


def printed(console):
    """The lines since the last call."""
    text = console.rich.file.getvalue()
    console.rich.file.seek(0)
    console.rich.file.truncate()
    return text.splitlines()


def table(console, rows):
    """The lines of the table that these rows make."""
    console.update(rows)
    lines = console.rich.render_lines(console.live.get_renderable())
    console.close()
    return ["".join(segment.text for segment in line).strip() for line in lines]


def test_a_line_for_each_trial_when_it_ends_and_only_then(make):
    console = make()
    ended = row(0, "complete", value=12.34, seconds=125, lr=0.00123456, sizes="[64,64]", flag=None)
    console.update([ended, row(1, "running", frame=500)])
    console.update([ended, row(1, "pruned", frame=500, value=-3, reason="below the\nmedian [/b]")])
    console.update([ended, row(1, "pruned", frame=500, value=-3, reason="below the\nmedian [/b]")])
    first, second = printed(console)
    assert first.split() == [
        *("trial", "0", "complete", "value", "12.3", "frame", "1,000", "2:05"),
        *("lr=0.001235", "sizes=[64,64]", "flag=null"),
    ]
    assert second.split()[:8] == ["trial", "1", "pruned", "value", "-3.0", "frame", "500", "1:00"]
    assert second.endswith("below the median [/b]")


def test_a_trial_that_goes_on_ends_again(make):
    console = make()
    for state in ("failed", "running", "complete"):
        console.update([row(0, state)])
    assert [line.split()[2] for line in printed(console)] == ["failed", "complete"]


def test_a_progress_line_every_ten_seconds(make, clock):
    console = make()
    rows = [
        row(0, "complete", value=10, seconds=100),
        row(1, "pruned", frame=200, value=50, seconds=50),
        row(2, "running", frame=500, value=99.5),
        row(3, "waiting", frame=0),
    ]
    console.update(rows)
    assert len(printed(console)) == 2  # those that have ended
    clock.now += 9.9
    console.update(rows)
    assert printed(console) == []
    clock.now += 0.1
    console.update(rows)
    console.update(rows)
    # 75 s on average; 10 - 2 ended - 0.5 trained by trial 2 = 7.5 left; in 2 slots: 75 * 7.5 / 2 = 281 s
    assert printed(console) == ["8 of 10 trials left   best so far 10.0 (trial 0)   eta 4:41   running 2: 500 (99.5)"]


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([], "-"),
        ([row(0, "failed", value=9), row(1, "running"), row(2, "waiting")], "-"),
        ([row(0, "failed", value=9), row(1, "running", value=2), row(2, "pruned", value=1)], "2.0 (trial 1, running)"),
        ([row(1, "running", value=2), row(2, "pruned", value=3)], "3.0 (trial 2, pruned)"),
        ([row(1, "running", value=2), row(2, "complete", value=-3), row(3, "complete", value=-2)], "-2.0 (trial 3)"),
    ],
)
def test_best_so_far(make, clock, rows, best):
    console = make()
    clock.now += 10
    console.update(rows)
    assert f"best so far {best}   eta" in printed(console)[-1]


def test_no_eta_before_the_first_end(make, clock):
    console = make()
    clock.now += 10
    console.update([row(0, "running", frame=999)])
    assert "   eta -   running 0: 999 (-)" in printed(console)[0]


def test_the_table(make):
    rows = [
        row(0, "complete", value=10, seconds=100, lr=0.1, sizes="[64,64]"),
        row(1, "pruned", frame=200, value=50, seconds=50, lr=1e-5, sizes="[32]", reason="stop [/b]"),
        row(2, "running", frame=500, value=99.5, lr=0.3),
        row(3, "complete", value=9, lr=0.2),
    ]
    lines = table(make(terminal=(100, 24)), rows)
    assert lines[0] == TITLE
    cells = [[cell.strip() for cell in line.strip("│┃").split("│" if "│" in line else "┃")] for line in lines[2:8]]
    assert cells[0] == ["trial", "state", "frame", "value", "lr", "sizes", "reason"]
    assert cells[2:] == [
        ["* 0", "complete", "1,000", "10.0", "0.1", "[64,64]", ""],  # the best, those that run, the latest that ended
        ["2", "running", "500", "99.5", "0.3", "", ""],
        ["3", "complete", "1,000", "9.0", "0.2", "", ""],
        ["1", "pruned", "200", "50.0", "1e-5", "[32]", "stop [/b]"],
    ]
    # 70 s on average; 10 - 3 ended - 0.5 trained by trial 2 = 6.5 left; in 2 slots: 70 * 6.5 / 2 = 227.5 s
    assert lines[-2:] == [
        "best so far 10.0 (trial 0)   7 of 10 trials left   1 of 2 slots busy",
        "elapsed 0:00   eta 3:47",
    ]


@pytest.mark.parametrize("height", [24, 14])
def test_many_trials_fit_a_terminal(make, height):
    rows = [row(index, "complete", value=index == 77, lr=0.1, reason="out of memory " * 20) for index in range(195)]
    rows += [row(index, "running", lr=0.1) for index in (195, 196, 197)]
    lines = table(make(terminal=(80, height), total=200), rows)
    assert len(lines) == height - 1
    shown = [found[0] for line in lines if (found := re.match(r"(\* )?\d+ ", line.strip("│ ")))]
    shown = [name.strip() for name in shown]
    assert shown[:6] == ["* 77", "195", "196", "197", "194", "193"][: len(shown)]
    assert f"... and {198 - len(shown)} more trials" in lines


def test_columns_that_do_not_fit_are_counted(make):
    rows = [row(0, "running", reason="x", **{f"parameter_{number}": 0.5 for number in range(9)})]
    lines = table(make(terminal=(80, 24)), rows)
    assert "parameter_3" not in " ".join(lines)
    assert "... and 7 more columns" in lines  # of 10, (80 - 46) // 11 = 3 fit
    assert lines[4].count("0.5") == 3


def test_the_table_is_drawn_when_something_changed_but_not_too_often(make, clock, monkeypatch):
    console = make(terminal=(100, 24))
    drawn = []
    monkeypatch.setattr(console, "show", lambda _: drawn.append(clock.now - 1000))
    frame = 0
    for tick in range(33):  # eight times a second
        clock.now = 1000 + tick / 8
        frame += 10 * (tick < 9)
        console.update([row(0, "running", frame=frame, seconds=tick / 8)])
    # every quarter of a second while there is news, then once a second for the clock
    assert drawn == [0, 0.25, 0.5, 0.75, 1, 2, 3, 4]
    console.close()


def test_close_leaves_the_last_state_on_the_screen(make, clock):
    console = make(terminal=(100, 24))
    console.update([row(0, "running", frame=7)])
    console.update([row(0, "complete", value=3.5)])  # too early to be drawn
    assert "3.5" not in "".join(printed(console))
    console.close()
    assert "3.5" in "".join(printed(console))
    assert console.live is None


def test_failures_are_told_above_the_table(make):
    console = make(terminal=(200, 24))
    console.update([row(0, "failed", reason="out of [red]memory"), row(1, "pruned", reason="late")])
    console.close()
    lines = printed(console)
    assert [line.split()[:3] for line in lines if line.startswith("trial")] == [["trial", "0", "failed"]]
    assert lines[0].endswith("out of [red]memory")


def test_plain_lines_on_a_terminal_if_wished(make):
    console = make(terminal=(200, 24), live=False)
    console.update([row(0, "complete", value=1)])
    console.close()
    assert [line.split()[:3] for line in printed(console)] == [["trial", "0", "complete"]]


def test_summary(make):
    console = make()
    rows = [
        row(0, "pruned", frame=250, value=99),
        row(1, "complete", value=10, lr=0.001, sizes="[64,64]"),
        row(2, "complete", value=9),
        row(3, "failed", frame=10, reason="no [/b]\n memory"),
        row(4, "pruned", frame=500),
        row(5, "failed", frame=0, reason="no [/b] memory"),
        row(6, "failed", frame=0),
    ]
    console.summary(rows, {"train it": "python train.py -cn best"})
    # saved: 750 + 500; spent: 2000 + 750 + 10; 1250 / (2760 + 1250) = 31.2 %
    assert printed(console) == [
        "best trial     1   value 10.0",
        "lr             0.001",
        "sizes          [64,64]",
        "state          trials         frames          saved",
        "complete            2          2,000",
        "pruned              2            750          1,250",
        "failed              3             10",
        "all                 7          2,760          1,250   31% saved by pruning",
        "failed         2 x no [/b] memory",
        "failed         1 x no reason known",
        "train it       python train.py -cn best",
    ]


def test_summary_without_a_complete_trial(make):
    console = make()
    console.summary([row(0, "running", frame=5, value=7)], {"a label that is long": "text"})
    assert printed(console) == [
        "best trial            none: no trial is complete",
        "state                 trials         frames          saved",
        "running                    1              5",
        "all                        1              5              0",
        "a label that is long  text",
    ]
    console.summary([], {})
    assert printed(console)[0] == "best trial     none: no trial is complete"


def test_messages_are_no_markup(make):
    console = make()
    console.message("sampler [tpe] [/b]")
    assert printed(console) == ["sampler [tpe] [/b]"]


def test_what_matters_fits_a_small_terminal(make):
    rows = [row(index, "running", lr=0.1, gamma=0.9) for index in range(12)]
    lines = table(make(terminal=(50, 10), total=200), rows)
    assert len(lines) == 9
    assert "... and 9 more trials and 2 more columns" in lines
    assert lines[-2:] == ["200 of 200 trials left   12 of 2 slots busy", "elapsed 0:00   eta -"]
