"""Where a study is kept: URLs, files and servers, and one line for each that cannot be used."""

import socket
import sys
import time
from pathlib import Path

import optuna
import pytest
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from rllab.errors import ConfigError
from rllab.search import storage
from rllab.search.storage import open_storage, public, resolve_url


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        (None, "sqlite:///{cwd}/multirun/k/study.db"),
        ("sqlite:///study.db", "sqlite:///{cwd}/study.db"),
        ("sqlite:///../study.db", "sqlite:///{parent}/study.db"),
        ("sqlite:////data/study.db", "sqlite:////data/study.db"),
        ("journal:///logs/study.log", "journal:///{cwd}/logs/study.log"),
        ("journal:////data/study.log", "journal:////data/study.log"),
        ("postgresql://me:secret@host:5432/name", "postgresql+psycopg://me:secret@host:5432/name"),
        ("postgres://me@host/name", "postgresql+psycopg://me@host/name"),
        ("postgresql+asyncpg://me@host/name", "postgresql+asyncpg://me@host/name"),
        ("mysql://me@host/name", "mysql://me@host/name"),
    ],
)
def test_a_url_means_the_same_in_every_process(url, resolved, tmp_path):
    expected = resolved.format(cwd=tmp_path, parent=tmp_path.parent)
    assert resolve_url(url, Path("multirun/k")) == expected
    assert resolve_url(expected, Path("elsewhere")) == expected


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_what_lives_in_one_process_is_refused(url):
    with pytest.raises(ConfigError) as error:
        resolve_url(url, Path("multirun/k"))
    assert str(error.value) == (
        f"hydra.sweeper.storage: got '{url}', which no other process can see; write sqlite:///study.db"
    )


@pytest.mark.parametrize("url", ["sqlite:///a/b/study.db", "journal:///a/b/study.log"])
def test_a_file_is_made_once_and_opened_by_others(url, tmp_path):
    resolved = resolve_url(url, tmp_path)
    optuna.create_study(storage=open_storage(resolved, create=True), study_name="k").set_user_attr("x", 1)
    assert Path(url.partition(":///")[2]).exists()
    assert optuna.load_study(storage=open_storage(resolved), study_name="k").user_attrs == {"x": 1}
    assert optuna.load_study(storage=open_storage(resolved, create=True), study_name="k").user_attrs == {"x": 1}


def test_what_only_others_make_is_missed(tmp_path):
    with pytest.raises(ConfigError, match=r"which cannot be used \(unable to open database file\)"):
        open_storage(resolve_url("sqlite:///a/study.db", tmp_path))
    assert not list(tmp_path.iterdir())


class TestTablesThatOthersMakeAtTheSameTime:
    @pytest.fixture
    def attempts(self, monkeypatch):
        """`attempts(error, times)` lets the database fail so many times; the list grows with each attempt."""
        made = []

        def fail(error, times):
            def connect(url, arguments):
                made.append(url)
                if len(made) <= times:
                    raise error
                return "storage"

            monkeypatch.setattr(storage, "RDBStorage", connect)
            monkeypatch.setattr(time, "sleep", lambda _: None)
            return made

        return fail

    @pytest.mark.parametrize(
        "error",
        [
            IntegrityError("INSERT", {}, Exception("UNIQUE constraint failed: alembic_version.version_num")),
            ProgrammingError("CREATE", {}, Exception("doppelte Relation")),
            OperationalError("CREATE", {}, Exception("table studies already exists")),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_are_waited_for(self, error, attempts):
        made = attempts(error, 2)
        assert open_storage("sqlite:////tmp/study.db", create=True) == "storage"
        assert len(made) == 3

    def test_are_not_waited_for_without_end(self, attempts):
        made = attempts(IntegrityError("INSERT", {}, Exception("duplicate key")), 1000)
        with pytest.raises(ConfigError, match="duplicate key"):
            open_storage("sqlite:////tmp/study.db", create=True)
        assert len(made) == storage._ATTEMPTS

    def test_are_not_to_blame_for_a_server_that_is_not_there(self, attempts):
        made = attempts(OperationalError("SELECT", {}, Exception("Connection refused")), 1000)
        with pytest.raises(ConfigError, match="Connection refused"):
            open_storage("postgresql+psycopg://host/name", create=True)
        assert len(made) == 1


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://me:secret@host/name", "postgresql://me:***@host/name"),
        ("postgresql://me:secret@host:5432/name?sslmode=require", "postgresql://me:***@host:5432/name?sslmode=require"),
        ("postgresql://me:p@ss:w/rd@host/name", "postgresql://me:***@host/name"),
        ("postgresql://me@host/name", "postgresql://me@host/name"),
        ("postgresql://:secret@host/name", "postgresql://:***@host/name"),
        ("mysql+pymysql://me:secret@host/name", "mysql+pymysql://me:***@host/name"),
        ("postgresql:/me:secret@host/name", "postgresql:/me:***@host/name"),  # misspelt, and a password all the same
        ("sqlite:////data/a:b@c/study.db", "sqlite:////data/a:b@c/study.db"),
        ("journal:////data/study.log", "journal:////data/study.log"),
        ("rubbish", "rubbish"),
    ],
)
def test_a_password_is_never_shown(url, shown):
    assert public(url) == shown


def refused(url):
    """The line that answers, and after how many seconds."""
    began = time.monotonic()
    with pytest.raises(ConfigError) as error:
        open_storage(resolve_url(url, Path("multirun/k")), create=True)
    line = str(error.value)
    assert len(line.splitlines()) == 1
    assert "secret" not in line
    return line, time.monotonic() - began


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("rubbish", "got 'rubbish', which is no storage"),
        ("study.db", "got 'study.db', which is no storage"),
        ("", "got '', which is no storage"),
        ("nope://me:secret@host/name", "got 'nope://me:***@host/name', which is no storage"),
        ("postgresql:/me:secret@host/name", "got 'postgresql:/me:***@host/name', which is no storage"),
    ],
)
def test_what_is_no_url_is_told_what_is_one(url, line):
    urls = "sqlite:///study.db, journal:///study.log or postgresql://user@host/name"
    assert refused(url)[0] == f"hydra.sweeper.storage: {line}; write {urls}"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:////proc/nowhere/study.db", "No such file or directory: '/proc/nowhere'"),
        ("journal:////proc/nowhere/study.log", "No such file or directory: '/proc/nowhere'"),
        ("sqlite:///folder", "unable to open database file"),
        ("journal:///folder", "Is a directory: '{cwd}/folder'"),
        ("sqlite:///text", "file is not a database"),
        ("journal:///text", "Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_a_file_that_cannot_be_used(url, reason, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("neither a database\nnor a journal\nat all\n")
    resolved = resolve_url(url, tmp_path)
    reason = reason.format(cwd=tmp_path)
    assert (
        refused(url)[0]
        == f"hydra.sweeper.storage: got '{resolved}', which cannot be used ({reason}); write another file"
    )


def test_a_driver_that_is_missing(monkeypatch):
    for name in ("psycopg", "MySQLdb"):
        monkeypatch.setitem(sys.modules, name, None)
    assert refused("postgresql://me:secret@host/name")[0] == (
        "hydra.sweeper.storage: got 'postgresql://me:***@host/name', whose driver is missing "
        "(import of psycopg halted; None in sys.modules); pip install 'rllab[postgresql]'"
    )
    assert refused("mysql://me:secret@host/name")[0] == (
        "hydra.sweeper.storage: got 'mysql://me:***@host/name', whose driver is missing "
        "(import of MySQLdb halted; None in sys.modules); install it"
    )


@pytest.mark.slow
class TestServer:
    @pytest.fixture(autouse=True)
    def _driver(self):
        pytest.importorskip("psycopg")

    @pytest.fixture
    def silent(self):
        """A port that takes connections and never answers."""
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            yield server.getsockname()[1]

    def test_that_is_not_there(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            line, seconds = refused(f"postgresql://me:secret@127.0.0.1:{port}/name")
        start = f"hydra.sweeper.storage: got 'postgresql://me:***@127.0.0.1:{port}/name', which cannot be reached (conn"
        assert line.startswith(start)
        assert line.endswith("Connection refused); start it, or leave the field out to use SQLite")
        assert seconds < 3

    def test_that_does_not_answer(self, silent):
        line, seconds = refused(f"postgresql://me:secret@127.0.0.1:{silent}/name")
        assert "which cannot be reached (" in line
        assert "timeout" in line
        assert seconds < 8  # of which it waits for five
