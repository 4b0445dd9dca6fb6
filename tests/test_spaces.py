"""benchmarks.spaces: the page says what is true, and a cell that is wrong is found."""

from pathlib import Path

import pytest

from rllab.algorithms.reinforce import REINFORCE
from rllab.envs.actions import ActionMap

CELLS = [  # observations, actions, agent
    ("vector, float32", "Discrete(3, start=1)", "reinforce"),
    ("vector, float32", "MultiBinary, 3", "a2c"),
    ("vector, float32", "MultiDiscrete, two axes, start above 0", "ppo"),
    ("vector, float32", "Box, integers 0 to 20", "ppo"),
    ("vector, float32", "Box, one element bounded, one not", "random"),
    ("vector, float64", "Box, float64", "td3"),
    ("Box without axes", "Box without axes", "crossq"),
    ("Tuple of vectors", "Box, two axes", "sac"),
    ("image (36, 36, 3), bytes", "Discrete(3)", "dqn"),
    ("Tuple of a Dict with an image, nested", "Discrete(3)", "dqn"),
]


@pytest.fixture
def spaces(monkeypatch, tmp_path):
    """The benchmark, with a page in the test's directory."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    from benchmarks import spaces

    page = tmp_path / "spaces.md"
    page.write_text("# Spaces\n\n{}old\n{}\nThe end.\n".format(*spaces.MARKS))
    monkeypatch.setattr(spaces, "PAGE", page)
    return spaces


def shown():
    """The page of the documentation."""
    return (Path(__file__).parents[1] / "docs" / "spaces.md").read_text()


def test_the_page_says_what_is_refused(spaces):
    cells = [cell for table in spaces.tables() for row in table.rows.values() for cell in row]
    assert spaces.text({cell: spaces.check(cell) for cell in cells}) in shown()


@pytest.mark.parametrize("backend", ["sync", pytest.param("async", marks=pytest.mark.slow)])
@pytest.mark.parametrize("cell", CELLS, ids=", ".join)
def test_a_cell(spaces, cell, backend):
    assert spaces.attempt(spaces.Cell(*cell), backend) == ("yes", "")


def only(spaces, monkeypatch, *cell):
    """Let there be one cell."""
    monkeypatch.setattr(spaces, "AGENTS", cell[2:])
    monkeypatch.setattr(spaces, "tables", lambda: [spaces.Table("actions", {cell[1]: [spaces.Cell(*cell)]})])


def test_the_tables_are_put_into_their_page(spaces, monkeypatch, capsys):
    only(spaces, monkeypatch, *CELLS[0])
    spaces.main([])
    assert capsys.readouterr().out == "| Discrete(3, start=1) | yes |\n"
    before, _, rest = spaces.PAGE.read_text().partition(spaces.MARKS[0])
    new, _, after = rest.partition(spaces.MARKS[1])
    assert (before, after) == ("# Spaces\n\n", "\nThe end.\n")
    assert new.startswith("\n| actions | reinforce |\n|---|---|\n| Discrete(3, start=1) | yes |\n")


@pytest.mark.parametrize("backend", ["sync", "async"])
def test_an_action_from_outside_is_an_error(spaces, monkeypatch, capsys, backend):
    only(spaces, monkeypatch, *CELLS[0])
    monkeypatch.setattr(ActionMap, "to_env", lambda _self, action: action)
    with pytest.raises(SystemExit, match=r"reinforce: .*AssertionError: array\(0\) is not in Discrete\(3, start=1\)"):
        spaces.main(["--backend", backend])
    assert capsys.readouterr().out == "| Discrete(3, start=1) | ERROR |\n"
    assert "old" in spaces.PAGE.read_text()


def test_a_cell_in_which_nothing_is_learned_is_an_error(spaces, monkeypatch):
    monkeypatch.setattr(REINFORCE, "update", lambda *_: {})
    assert spaces.attempt(spaces.Cell(*CELLS[0])) == ("ERROR", "no parameter has moved")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("backend", ["sync", "async"])
def test_every_cell(spaces, backend):
    spaces.main(["--backend", backend])
    written = spaces.PAGE.read_text().partition(spaces.MARKS[0])[2].partition(spaces.MARKS[1])[0]
    assert written in shown()
