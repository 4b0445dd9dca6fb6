"""The `rllab` command: its verbs, its help, its refusals, TAB."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from rllab import command

NAMES = [verb.NAME for verb in command.VERBS]


def test_version(rllab):
    assert rllab("--version") == (0, f"rllab {version('rllab')}\n", "")


def test_help_lists_the_verbs(rllab):
    _, out, _ = rllab("--help")
    assert [line.split()[0] for line in out.splitlines() if line.startswith("    ")] == NAMES


@pytest.mark.parametrize("verb", command.VERBS, ids=NAMES)
def test_each_verb_has_help_with_an_example_that_parses(rllab, verb):
    code, out, _ = rllab(verb.NAME, "--help")
    assert code == 0
    assert f"example: {verb.EXAMPLE}" in " ".join(out.split())
    program, *words = verb.EXAMPLE.split()
    assert program == "rllab"
    assert command._parser().parse_args(words).verb is verb


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["preset"], "rllab preset: no such verb; did you mean rllab presets?"),
        (["xyz"], f"rllab xyz: no such verb; write one of {', '.join(NAMES)}"),
        ([], "the following arguments are required: VERB; see rllab --help"),
        (["presets", "--jsno"], "--jsno: rllab presets does not take this; see rllab presets --help"),
    ],
)
def test_bad_usage_is_refused_in_one_line(rllab, words, line):
    assert rllab(*words) == (2, "", f"error: {line}\n")


def test_nothing_heavy_is_imported_to_know_the_verbs(process, tmp_path):
    heavy = "{'torch', 'hydra', 'gymnasium', 'matplotlib', 'rich', 'numpy', 'optuna', 'yaml', 'jinja2'}"
    code = f"import sys; from rllab import command; command._parser(); print({heavy} & set(sys.modules))"
    assert process("-c", code, cwd=tmp_path).out == "set()\n"


def complete(process, line, cwd):
    """What TAB offers after `line`, as bash asks for it."""
    shell = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": str(cwd / "words"), "_ARGCOMPLETE_IFS": "\n"}
    asked = {"COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_SUPPRESS_SPACE": "0"}
    process("-m", "rllab.command", cwd=cwd, **shell, **asked)
    return (cwd / "words").read_text().split("\n")


def test_tab_completes_verbs(process, tmp_path):
    assert complete(process, "rllab pre", tmp_path) == ["presets "]


def test_tab_completes_directories_where_a_run_is_meant(process, tmp_path):
    (tmp_path / "outputs" / "run").mkdir(parents=True)
    (tmp_path / "outputs" / "rubbish.txt").touch()
    assert complete(process, "rllab ls outputs/ru", tmp_path) == ["outputs/run/"]


def test_a_reader_that_has_seen_enough(tmp_path):
    command = f"{sys.executable} -m rllab.command presets | true"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
