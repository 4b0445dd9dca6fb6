"""A run directory that somebody sent: what it may try, and the one who looks at it with every verb."""

import contextlib
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from rllab import command as rllab_command

SECRET = "the-secret-of-the-reader"
TRAP = """
from pathlib import Path

Path({sprung!r}).touch()


def __getattr__(name):
    Path({sprung!r}).touch()
    raise AttributeError(name)
"""
"""A module that leaves a file behind when it is imported."""


class Stranger:
    """The directory of somebody else, in the working directory of its reader."""

    def __init__(self, home: Path, run: Path) -> None:
        self.home, self.path = home, run
        self.sprung = home / "sprung"
        (home / "evil.py").write_text(TRAP.format(sprung=str(self.sprung)))
        self.victim = home / "victim"
        self.victim.write_text(SECRET)

    def edit(self, **sections) -> None:
        """Change fields of its config.yaml: `edit(env={"id": "evil:X-v0"})`."""
        content = yaml.safe_load((self.path / "config.yaml").read_text())
        for name, fields in sections.items():
            content[name] |= fields
        (self.path / "config.yaml").write_text(yaml.safe_dump(content))

    def link(self, name: str, target: Path | None = None) -> None:
        """Put a link to a file of the reader in the place of one of its own."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.symlink_to(self.victim if target is None else target)

    def nothing_ran(self) -> bool:
        return not self.sprung.exists() and "evil" not in sys.modules

    def nothing_overwritten(self) -> bool:
        return not self.victim.is_symlink() and self.victim.read_text() == SECRET

    def leaked_into(self) -> list[Path]:
        """Files of the reader that hold the secret now, apart from the one that did before."""
        files = [path for path in self.home.rglob("*") if path.is_file() and not path.is_symlink()]
        return [path for path in files if path != self.victim and SECRET.encode() in path.read_bytes()]


@pytest.fixture
def stranger(cases, tmp_path, monkeypatch, capsys):
    """The directory of a run that somebody else made: whole, and in nothing suspicious yet."""
    path = shutil.copytree(cases("ppo, CartPole"), tmp_path / "run")
    (path / "config.yaml.hmac").unlink()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", SECRET)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield Stranger(tmp_path, path)
    sys.modules.pop("evil", None)


@pytest.fixture
def rllab(capsys, monkeypatch):
    """`rllab("ls", "runs")` -> exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*words):
        code = 0
        capsys.readouterr()
        try:
            rllab_command.main(list(map(str, words)))
        except SystemExit as stop:
            code = stop.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def look(rllab):
    """Everything that the verbs which only read say of a directory."""

    def every(path):
        said = [rllab("ls", path), rllab("report", path), rllab("compare", path, "--out", path.parent / "picture.png")]
        return "".join(out + err for _code, out, err in said)

    return every


@pytest.fixture
def play(rllab):
    """Everything that the verbs which play its policies say of a run."""

    def every(path, *words):
        said = [rllab(verb, path, *words) for verb in ("eval --episodes 1", "export --format torchscript")]
        return "".join(out + err for _code, out, err in said)

    return every
