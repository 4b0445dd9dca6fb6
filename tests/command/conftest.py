"""`rllab` in this process."""

import pytest

from rllab import command


@pytest.fixture
def rllab(capsys, monkeypatch):
    """`rllab("presets", "mta")` -> exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*words):
        code = 0
        try:
            command.main(list(map(str, words)))
        except SystemExit as stop:
            code = stop.code or 0
        return code, *capsys.readouterr()

    return run
