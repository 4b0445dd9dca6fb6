"""`rllab presets`: the presets of a group side by side."""

import functools

import pytest
from rich.console import Console

from rllab import command
from rllab.command import preset_tables

cached = functools.cache(preset_tables.load_preset)  # each composes a config


@pytest.fixture
def show(monkeypatch):
    """`show("meta", width=80)` is what `rllab presets meta` prints on a terminal that wide."""
    monkeypatch.setattr(preset_tables, "load_preset", cached)

    def shown(group, *, width=80, **options):
        console = Console(width=width, record=True, highlight=False, **options)
        preset_tables.show_presets(group, console)
        return console.export_text(styles=bool(options))

    return shown


def rows(text):
    """Cells by field and preset, whatever the number of tables."""
    cells = {}
    *tables, _closing_lines = text.split("\n\n")
    for table in tables:
        header, *lines = (line.split() for line in table.splitlines())
        for field, *values in lines:
            if len(values) == len(header) - 1:
                cells |= {(field, preset): value for preset, value in zip(header[1:], values, strict=True)}
    return cells


def test_what_a_preset_changes_has_a_star(show):
    cells = rows(show("meta", width=300))
    assert cells["max_session", "default"] == "4"
    assert cells["max_session", "quick_dev"] == "1*"
    assert cells["max_session", "standard"] == "4"
    assert cells["search_scheduler.grace_period", "asha"] == "100_000*"
    assert cells["rigorous_eval", "atari"] == "0*"


@pytest.mark.parametrize(
    "group", ["meta", "agent", *(pytest.param(group, marks=pytest.mark.slow) for group in ("env", "tuned"))]
)
def test_it_fits_the_terminal_and_loses_nothing(show, group):
    everything = rows(show(group, width=1000))
    for width in (80, 160):
        text = show(group, width=width)
        assert max(len(line.rstrip()) for line in text.splitlines()) <= width
        assert rows(text) == everything
        assert "…" not in text


def test_a_field_that_no_preset_changes_stands_in_one_line(show):
    text = show("meta", width=300)
    (line,) = [line for line in text.splitlines() if line.startswith("all presets: ")]
    assert "distributed=false" in line
    assert "search_resources.cpu=1" in line
    assert "max_session" not in line
    assert all(field != "distributed" for field, _ in rows(text))


def test_colour_takes_the_place_of_the_star(show):
    text = show("meta", width=300, force_terminal=True, color_system="standard")
    assert "\x1b[1m16" in text
    assert "*" not in text


def test_agents_have_fields_of_their_own(show):
    lines = show("agent").splitlines()
    assert any(line.split()[:1] == ["gae_lambda"] for line in lines)


def test_tuned_shows_what_differs_from_agent_and_env(show, monkeypatch):
    monkeypatch.setattr(
        preset_tables, "preset_names", lambda _: ["none", "a2c/pendulum", "ppo/pendulum"]
    )  # not all of them
    cells = rows(show("tuned", width=300))
    assert cells["agent.gae_lambda", "ppo/pendulum"] == "0.9*"
    assert ("env.id", "ppo/pendulum") not in cells


def test_a_field_that_a_preset_has_not_is_a_dash(show):
    assert rows(show("env", width=300))["id", "default"] == "-"
    assert rows(show("agent"))["gae_lambda", "random"] == "-"


def test_without_a_group_all_presets_are_listed(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    command.main(["presets"])
    out = capsys.readouterr().out
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert "acrobot, ant, atari" in lines["env"]
    assert "none, " in lines["tuned"]
    assert "csv, mlflow, tensorboard, wandb" in lines["tracker"]
    assert "ppo/acrobot" in out


def test_an_unknown_group_is_refused_in_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(["presets", "mta"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: GROUP: got 'mta'; did you mean rllab presets meta?\n"
