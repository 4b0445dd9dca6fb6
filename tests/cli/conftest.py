"""`rllab` in this process."""

import pytest

from rllab import cli


@pytest.fixture
def rllab(capsys, monkeypatch):
    """`rllab("presets", "mta")` -> exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*words):
        code = 0
        try:
            cli.main(list(map(str, words)))
        except SystemExit as stop:
            code = stop.code or 0
        return code, *capsys.readouterr()

    return run
