"""What docs/architecture.md says how to add works when it is typed in."""

import ast
import dataclasses
import inspect
import json
import re
import sys
from pathlib import Path

import pytest

from rllab import algorithms, config
from rllab.algorithms import Algorithm

PAGE = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text("utf-8")
FILES = re.findall(
    r"^```(?:python|yaml)\n((?:# @[^\n]+\n)?# (my_(?:pkg|conf)/\S+)\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL
)
COMMANDS = re.findall(r"^rllab-train (--config-dir my_conf .+)$", PAGE, re.MULTILINE)
SHORT = "env.max_frame=12000 meta.max_session=2 meta.final_eval=0 meta.num_threads=1"


@pytest.fixture
def _packages_of_other_tests():
    """`my_pkg` is that of the page in this test, and what it was in all others."""

    def forget():
        return {name: sys.modules.pop(name) for name in [*sys.modules] if name.split(".")[0] == "my_pkg"}

    before = forget()
    yield
    forget()
    sys.modules.update(before)


@pytest.fixture
def project(tmp_path, monkeypatch, _packages_of_other_tests):
    """The page's files, in the working directory."""
    for text, name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # folders of other tests, with a `my_pkg` too, may be there
    return tmp_path


@pytest.mark.usefixtures("no_picture", "project")
def test_the_example_trains_as_the_page_says(command, tmp_path):
    for number, line in enumerate(COMMANDS):
        result = command(f"{line} {SHORT} run_dir=run{number}")
        assert result.code == 0, result.err
        chosen = re.findall(r"(\w+)=(?:tensorboard,)?(\w+)(?: |$)", line)  # rllab has an agent of that name too
        taken = json.loads((tmp_path / f"run{number}" / "provenance.json").read_text("utf-8"))["presets"]
        assert set(taken) == {str(tmp_path / "my_conf" / group / f"{name}.yaml") for group, name in chosen}
    assert ("agent", "a2c") in chosen
    assert config.load_file(tmp_path / f"run{number}" / "config.yaml").agent.name == "my_pkg.a2c:A2C"
    (lines,) = tmp_path.glob("run*/all.jsonl")
    rows = [json.loads(line) for line in lines.read_text("utf-8").splitlines()]
    assert [row["frame"] for row in rows] == [*range(1000, 13000, 1000)]
    assert {"rollout/ep_rew_mean", "time/fps"} <= rows[-1]["session_1"].keys()
    found = json.loads((tmp_path / f"run{number}" / "trial.json").read_text("utf-8"))
    assert found["final_return"]["mean"]["value"] == pytest.approx(-8, abs=1)  # straight to the end


def contract():
    """The members of `Algorithm` as rows of a table: what each is, from its docstring."""
    source = Path(inspect.getsourcefile(Algorithm)).read_text("utf-8")
    (protocol,) = (node for node in ast.parse(source).body if getattr(node, "name", None) == "Algorithm")
    for member, after in zip(protocol.body, [*protocol.body[1:], None], strict=True):
        if isinstance(member, ast.AnnAssign):
            yield member.target.id, after.value.value
        elif isinstance(member, ast.FunctionDef):
            arguments = ast.unparse(ast.arguments(**without_types(member.args)))
            yield f"{member.name}({arguments.removeprefix('self, ').removeprefix('self')})", ast.get_docstring(member)


def without_types(arguments):
    names = {kind: [ast.arg(x.arg) for x in getattr(arguments, kind)] for kind in ("posonlyargs", "args", "kwonlyargs")}
    return names | {"kw_defaults": [None] * len(names["kwonlyargs"]), "defaults": []}


def test_the_table_of_the_contract_is_made_from_it():
    rows = [f"| `{name}` | {' '.join(text.split()).replace('``', '`')} |" for name, text in contract()]
    table = "\n".join(["| member | is |", "|---|---|", *rows])
    assert table in PAGE, f"docs/architecture.md should have this table:\n{table}"


@pytest.mark.parametrize("name", algorithms.names())
def test_each_algorithm_has_what_the_contract_says(name):
    """mypy compares the types, for each is a subclass."""
    algorithm = algorithms.find(name)
    assert Algorithm in algorithm.__mro__
    assert not inspect.isabstract(algorithm)
    assert algorithm.action_spaces
    assert set(algorithm.counted_in_frames) <= {field.name for field in dataclasses.fields(algorithm.Config)}
