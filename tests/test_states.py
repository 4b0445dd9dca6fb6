"""What a run leaves in its directory for others to see whether it runs, has failed or has ended."""

import pytest

from rllab.analysis import shelf
from rllab.errors import ConfigError
from rllab.host.process import Hold
from rllab.training import loop, trial

RANDOM = ["agent=random", "env.max_frame=400", "meta.log_frequency=200"]


def test_a_run_holds_its_directory_while_it_writes(load_config, tmp_path, monkeypatch):
    seen = []
    due = loop.Clock.due

    def look(clock, period):
        seen.append(shelf.look(tmp_path / "run").state)
        return due(clock, period)

    monkeypatch.setattr(loop.Clock, "due", look)
    trial.run(load_config(*RANDOM))
    assert set(seen) == {"running"}
    assert shelf.look(tmp_path / "run").state == "finished"


def test_a_run_that_another_process_writes_is_not_resumed(load_config, tmp_path):
    trial.run(load_config(*RANDOM))
    hold = Hold(tmp_path / "run")
    with pytest.raises(ConfigError, match="which another process is still writing"):
        trial.run(load_config(f"meta.resume={tmp_path / 'run'}"))
    hold.release()


def test_a_crash_leaves_its_traceback_until_the_run_goes_on(load_config, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(loop.Clock, "due", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            trial.run(load_config(*RANDOM))
    assert "ZeroDivisionError" in (tmp_path / "run" / "error.txt").read_text()
    assert shelf.look(tmp_path / "run").state == "failed"
