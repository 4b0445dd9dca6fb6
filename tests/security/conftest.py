"""A run directory that somebody sent, and its reader, who looks at it with every verb: docs/security.md."""

import contextlib
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from rllab import command as rllab_command
from rllab.analysis import plots
from rllab.report import plots as report_plots

SECRET = "the-secret-of-the-reader"
TRAP = """
from pathlib import Path

Path({sprung!r}).touch()
"""
"""A module that leaves a file behind when it is imported."""


class Stranger:
    """The directory of somebody else, in the working directory of its reader."""

    def __init__(self, home: Path, path: Path) -> None:
        self.home, self.path = home, path
        self.sprung, self.victim, self.folder = home / "sprung", home / "victim", home / "folder"
        (home / "evil.py").write_text(TRAP.format(sprung=str(self.sprung)))
        self.victim.write_text(SECRET)
        self.folder.mkdir()

    def edit(self, **sections) -> None:
        """Change fields of its config.yaml: `edit(env={"id": "evil:X-v0"})`."""
        config = self.path / "config.yaml"
        content = yaml.safe_load(config.read_text())
        for name, fields in sections.items():
            content[name] = content[name] | fields if isinstance(fields, dict) else fields
        config.write_text(yaml.safe_dump(content))

    def link(self, name: str) -> None:
        """Put a link to a file of the reader in the place of one of its own; for a folder, one to a folder."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, self.folder, dirs_exist_ok=True)  # so that all is there that is looked for
            shutil.rmtree(path)
            path.symlink_to(self.folder)
        else:
            path.unlink(missing_ok=True)
            path.symlink_to(self.victim)

    def has_run(self) -> bool:
        return self.sprung.exists()

    def has_written(self, before: set[Path]) -> bool:
        """Whether the reader's file is another one, or there is something new in the reader's folder."""
        return self.victim.read_text() != SECRET or set(self.folder.rglob("*")) != before

    def leaked_into(self) -> list[Path]:
        """Files that hold the secret, apart from the one that is secret."""
        files = [path for path in self.home.rglob("*") if path.is_file() and not path.is_symlink()]
        return [path for path in files if path != self.victim and SECRET.encode() in path.read_bytes()]


@pytest.fixture
def stranger(cases, tmp_path, monkeypatch, capsys):
    """A run that somebody else made, with nothing in it yet that is not as it should be."""
    path = shutil.copytree(cases("ppo, CartPole"), tmp_path / "run")
    (path / "config.yaml.hmac").unlink()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", SECRET)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("evil", None)
    return Stranger(tmp_path, path)


@pytest.fixture
def secret():
    return SECRET


@pytest.fixture
def rllab(capsys, monkeypatch):
    """`rllab("ls", "runs")` is what this says, on both streams together."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*words):
        capsys.readouterr()
        with contextlib.suppress(SystemExit):
            rllab_command.main(list(map(str, words)))
        return "".join(capsys.readouterr())

    return run


@pytest.fixture
def look(rllab, monkeypatch):
    """`look(path)` is what all verbs say that only read. Their plots, which take most of the time, stay empty."""
    monkeypatch.setattr(report_plots, "learning_curve", lambda _: None)
    monkeypatch.setattr(report_plots, "metrics", lambda _: {})
    monkeypatch.setattr(plots, "comparison", lambda *_, **__: None)

    def every(path):
        return rllab("ls", path) + rllab("report", path) + rllab("compare", path)

    return every


@pytest.fixture
def play(rllab):
    """`play(path, "--trust")` is what all verbs say that play a policy."""

    def every(path, *words):
        exported = rllab("export", path, "--format", "torchscript", *words)
        return exported + rllab("eval", path, "--episodes", 1, *words) + rllab("enjoy", path, "--video", *words)

    return every


class Page(HTMLParser):
    """What could act in an HTML page: its elements, the names of their attributes, and all addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value for name, value in attrs if name in ("href", "src")]


@pytest.fixture
def page():
    return Page
