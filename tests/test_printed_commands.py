"""Commands that are printed, typed as they stand, whatever the names in them hold."""

import re
import subprocess

import pytest

from rllab.text import word
from test_trial import ROOT, SMALL

pytestmark = pytest.mark.usefixtures("no_picture")

NAMES = [
    "lr=3",
    "a,b",
    "x=1, y z",
    "ü/é",
    "it's",
    "both ' and \"",
    "back\\slash",
    "end\\",
    "[1]",
    "{a: 1}",
    "${oc.env:HOME}",
    "$HOME",
    "null",
    "123",
    "1e3",
    "true",
    "run;rm `x` $(x)",
    "#x",
    "~x",
    "*?!",
    "-lead",
    "(x)",
    "a%20&b|c",
    "tab\tnew\nline",
    "choice(a,b)",
    "日本",
]
QUICK = [*SMALL, "meta.max_session=1", "meta.final_eval=0", "env=cartpole"]


def typed(line):
    """The words that bash makes of a line."""
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True, text=True, encoding="utf-8"
    )
    return done.stdout.split("\0")[:-1]


@pytest.fixture
def typing(command, monkeypatch, tmp_path):
    """`typing(line)` runs a printed line of train.py; the `Result`."""
    monkeypatch.chdir(tmp_path)

    def run(line):
        python, script, *words = typed(line)
        assert (python, script) == ("python", "train.py")
        return command(words)

    return run


@pytest.mark.parametrize("name", [*NAMES[:3], *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[3:])])
def test_of_a_run_that_was_stopped(typing, stop_at, tmp_path, name):
    stop_at(512)
    first = typing(f"python train.py {word('run_dir', name)} {' '.join(QUICK)}")
    assert first.code == 143, first
    assert (tmp_path / name / "config.yaml").is_file()
    (resume,) = re.findall(r"go on with: (.*)", first.out)
    second = typing(resume)
    assert second.code == 0, second
    (eight,) = re.findall(r"eight seeds +(.*)", typing(f"python train.py run_dir=other {' '.join(QUICK)}").out)
    assert typed(eight)[-1] == "meta=validate"
    (look,) = re.findall(r"look closer +tensorboard --logdir (.*)", second.out)
    assert (tmp_path / typed(look)[0] / "trial.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if "${" not in name])  # that is refused
def test_of_a_study(process, tmp_path, name):
    words = [typed(word("hydra.sweep.dir", name))[0], *QUICK, "agent.lr=1e-3,3e-4"]
    done = process(ROOT / "train.py", "-m", *words, cwd=tmp_path)
    assert done.code == 0, done
    (best,) = re.findall(r"train the best +(.*)", done.out)
    python, script, *words = typed(best)
    assert (python, script) == ("python", str(ROOT / "train.py"))
    again = process(script, *words, *QUICK[:-1], "meta=quick_dev", "run_dir=best", cwd=tmp_path)
    assert again.code == 0, again
    assert (tmp_path / name / "best.yaml").is_file()
