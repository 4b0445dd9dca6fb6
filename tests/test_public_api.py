"""What `rllab.__all__` promises: it is there, says what it does, is on the pages, and costs nothing to import."""

import ast
import dataclasses
import inspect
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import rllab
from rllab.analysis import plots

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "python.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SCRIPT = re.search(r"^## From Python$.*?^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[1]


def public():
    """Every function, class and method of the contract, by its name."""
    for name in rllab.__all__:
        found = getattr(rllab, name)
        yield name, found
        if inspect.isclass(found) and found.__module__.startswith("rllab.api"):
            for member, value in vars(found).items():
                if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                    yield f"{name}.{member}", value


@pytest.mark.parametrize(("name", "found"), [each for each in public() if each[0] != "__version__"])
def test_everything_public_says_what_it_does(name, found):
    text = inspect.getdoc(found)
    assert text, f"{name} has no docstring"
    if inspect.isfunction(found):
        signature = inspect.signature(found)
        assert "Returns:" in text or signature.return_annotation == "None", f"{name}: what does it return?"
        arguments = [argument for argument in signature.parameters if argument != "self"]
        missing = [argument for argument in arguments if f"{argument}: " not in text and argument not in text[:200]]
        assert not missing, f"{name}: what is {missing}?"
    if found in (rllab.train, rllab.compose, rllab.load_run, rllab.load_study, rllab.compare, rllab.run_search):
        assert "Raises:" in text


def test_fields_of_results_say_what_they_are():
    for cls in (rllab.Evaluation, rllab.Comparison):
        body = ast.parse(inspect.getsource(cls)).body[0].body
        for field, after in zip(body, [*body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and not field.target.id.startswith("_"):
                assert isinstance(after, ast.Expr), f"{cls.__name__}.{field.target.id} has no docstring"
    assert dataclasses.is_dataclass(rllab.RunConfig)


def test_the_page_lists_what_there_is():
    rows = re.findall(r"^\| (`.+?`) \|", PAGE, re.MULTILINE)
    assert sorted(name.strip("`") for row in rows for name in row.split(", ")) == sorted(rllab.__all__)
    assert {*rllab.__all__} <= {*dir(rllab)}


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'play_back'"):
        _ = rllab.play_back


def test_importing_it_imports_nothing_heavy(process, tmp_path):
    code = "import rllab, sys; print({'torch', 'numpy', 'hydra', 'gymnasium', 'matplotlib'} & {*sys.modules})"
    assert process("-c", code, cwd=tmp_path).out == "set()\n"


def test_the_script_of_the_readme(tmp_path, monkeypatch, capsys, request):
    import gymnasium

    request.addfinalizer(lambda: gymnasium.registry.pop("LongPole-v0"))
    monkeypatch.setattr(plots, "learning_curve", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    assert len(SCRIPT.splitlines()) <= 20
    exec(SCRIPT.replace("4e4", "4e3"), {"__name__": "script"})
    said = capsys.readouterr().out
    assert re.search(r"^Comparison\(ppo: .*, a2c: .*\)$", said, re.MULTILINE)
    assert re.search(r"^Evaluation\(LongPole-v0: .*, 20 episodes of each of 4 sessions\)$", said, re.MULTILINE)
    assert (tmp_path / "better.png").exists()


@pytest.mark.slow
def test_the_examples_of_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "learning_curve", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    names = {}
    for example in EXAMPLES:
        exec(re.sub(r"4e4|50_000|2e4", "3e3", example.replace("5e4", "4e3")), names)
    assert (tmp_path / "both.png").exists()
    assert names["again"].config.meta.seed == 1


@pytest.mark.slow
def test_the_tutorial(tmp_path):
    notebook = nbformat.read(ROOT / "docs" / "tutorial.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("4e4", "4e3")
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    (table,) = (each.data["text/html"] for each in shown if each.output_type == "display_data")
    assert "<tr><td>1</td><td>4,000</td>" in table  # the live one, as it was at the end
    assert sum("data:image/png" in each.get("data", {}).get("text/html", "") for each in shown) == 1
    assert sum("image/png" in each.get("data", {}) for each in shown) == 1
    assert sum("frame 4,000 of 4,000" in each.get("text", "") for each in shown) == 0  # no lines beside it
