"""What docs/architecture.md says how to add works when it is typed in."""

import json
import re
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text("utf-8")
FILES = re.findall(r"^```(?:python|yaml)\n(# (my_(?:pkg|conf)/\S+)\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^rllab-train (--config-dir my_conf .+)$", PAGE, re.MULTILINE)
SHORT = "env.max_frame=8000 meta.max_session=2 meta.final_eval=0 meta.num_threads=1"


@pytest.fixture
def _packages_of_other_tests():
    """`my_pkg` is that of the page in this test, and what it was in all others."""

    def forget():
        return {name: sys.modules.pop(name) for name in [*sys.modules] if name.split(".")[0] == "my_pkg"}

    before = forget()
    yield
    forget()
    sys.modules.update(before)


@pytest.mark.usefixtures("no_picture", "_packages_of_other_tests")
def test_the_example_trains_as_the_page_says(command, tmp_path, monkeypatch):
    for text, name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    for number, line in enumerate(COMMANDS):
        result = command(f"{line} {SHORT} run_dir=run{number}")
        assert result.code == 0, result.err
    assert "agent=a2c" in line
    found = json.loads((tmp_path / f"run{number}" / "trial.json").read_text("utf-8"))
    assert found["final_return"]["mean"]["value"] == pytest.approx(-8, abs=1)  # straight to the end
