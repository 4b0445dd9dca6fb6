"""The live table as HTML, with somebody else in IPython's place."""

import sys
from types import SimpleNamespace

import pytest

from rllab.tracking import notebook
from rllab.tracking.console import Console

ROW = {
    "frame": 500,
    "elapsed_s": 1.0,
    "rollout/ep_rew_mean": 20.0,
    "rollout/ep_len_mean": 20.0,
    "rollout/num_episodes": 25,
    "time/fps": 500.0,
    **{f"time/{name}_share": 0.25 for name in ("env", "act", "update", "log")},
}


@pytest.fixture
def shown(monkeypatch):
    """What a notebook has been given: what was displayed, and then what took its place."""
    found = []

    def display(content, *, display_id):
        assert display_id
        found.append(content)
        return SimpleNamespace(update=found.append)

    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(HTML=str, display=display))
    return found


def test_the_table_is_html_that_changes(shown, capsys):
    console = Console("ppo on <b>", 1000)
    console.progress([ROW], [30.0])
    console.progress([ROW | {"frame": 1000}], [40.0])
    console.message("the end")
    first, last = shown
    assert first.startswith("<b>ppo on &lt;b&gt;</b><table><tr><th>session</th><th>frame</th>")
    assert "<tr><td>0</td><td>1,000</td><td>20.0</td>" in last
    assert "<small>frame 1,000 of 1,000 " in last
    assert capsys.readouterr().out == "the end\n"


def test_a_quiet_console_says_nothing(shown, capsys):
    console = Console("ppo", 1000, quiet=True)
    console.progress([ROW | {"frame": 1000}], [40.0])
    console.message("the end")
    assert shown == []
    assert capsys.readouterr() == ("", "")


def test_a_terminal_of_ipython_is_no_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=SimpleNamespace))
    assert notebook.output() is None
