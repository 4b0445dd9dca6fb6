"""Studies (14): nothing in a database is unpickled, becomes a command line, names a directory, or deletes a file."""

import pickle
import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import CmaEsSampler, PartialFixedSampler

from rllab.search import cmaes
from rllab.search.cmaes import without_pickles
from rllab.training import trial
from strangers import some

SEARCH = (
    "-m meta=quick_dev env.max_frame=512 meta.max_trial={} hydra.sweep.dir=study hydra/launcher=basic "
    "hydra/sweeper/sampler=cmaes meta.search_scheduler.kind=none agent.gamma=interval(0.9,0.99) "
    "agent.ent_coef=interval(0,0.1)"
)


class Bomb:
    """What touches a file when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self):
        return Path.touch, (self.sprung,)


@pytest.fixture
def search(stranger, command, monkeypatch):
    """`search(3)` goes on to three trials, which train nothing. The study is that of a stranger once it is there."""

    def run(cfg, held, *, trusted, presets):
        score = cfg.agent.gamma
        held.finish(score, 512)
        return score

    monkeypatch.setattr(trial, "run", run)
    monkeypatch.setattr("rllab.search.plots.write_plots", lambda *_: [])
    stranger.path = stranger.home / "study"
    return lambda trials: command(SEARCH.format(trials))


@pytest.fixture
def database(search, stranger):
    """The database of a study of three trials, one of which waits, to be changed by hand."""
    assert search(2).code == 0
    url = f"sqlite:///{stranger.path / 'study.db'}"
    optuna.load_study(study_name=None, storage=url).enqueue_trial({})
    with closing(sqlite3.connect(stranger.path / "study.db", isolation_level=None)) as connection:
        yield connection


def spring(kind):
    """Pickles in the place where Optuna keeps the state of CMA-ES."""

    def put(database, stranger):
        text = pickle.dumps(Bomb(stranger.sprung)).hex()
        for (identity,) in database.execute("select trial_id from trials").fetchall():
            attribute = identity, f"{kind}:optimizer:0", f'"{text}"'
            database.execute(
                "insert into trial_system_attributes(trial_id, key, value_json) values (?, ?, ?)", attribute
            )

    return put


def params(name, value, distribution):
    """A parameter of the trial that waits."""

    def put(database, _stranger):
        (identity,) = database.execute("select max(trial_id) from trials").fetchone()
        text = optuna.distributions.distribution_to_json(distribution)
        words = "insert into trial_params(trial_id, param_name, param_value, distribution_json) values (?, ?, ?, ?)"
        database.execute(words, (identity, name, value, text))

    return put


def change(sql):
    def put(database, stranger):
        database.executescript(sql.format(home=stranger.home))

    return put


def fixed(text):
    return change(
        "insert or replace into trial_system_attributes(trial_id, key, value_json) "
        f"select max(trial_id), 'fixed_params', '{text}' from trials"
    )


def attribute(name, text, table="study_user", identity="study_id", source="studies"):
    return change(
        f"insert or replace into {table}_attributes({identity}, key, value_json) "
        f"select max({identity}), '{name}', '{text}' from {source}"
    )


UNIT = FloatDistribution(0.9, 0.99)
ATTACKS = {
    "a pickle of CMA-ES": spring("cma"),
    "a pickle of separable CMA-ES": spring("sepcma"),
    "a pickle of CMA-ES with margin": spring("cmawm"),
    "text in the place of a number": params("agent.gamma", "${oc.env:SECRET}", UNIT),
    "a choice in the place of a number": params("agent.gamma", 0, CategoricalDistribution(["${oc.env:SECRET}"])),
    "a field that is not searched": params("env.id", 0, CategoricalDistribution(["evil:X-v0"])),
    "a field of Hydra": params("hydra.searchpath", 0, CategoricalDistribution(["[pkg://evil]"])),
    "a parameter that waits": fixed('{{"agent.gamma": "${{oc.env:SECRET}}", "env.id": "evil:X-v0"}}'),
    "a number that is a path": change("update trials set number = '../' || number"),
    "an owner that is a path": attribute("owner", '"../../victim"', "trial_user", "trial_id", "trials"),
    "another search": attribute("search", '{{"agent.lr": "${{oc.env:SECRET}}"}}'),
    "a search that is none": attribute("search", "[]"),
    "a scheduler that is none": attribute("scheduler", '{{"kind": "evil"}}'),
    "an attempt that is none": attribute("attempt", '"; evil"', "trial_user", "trial_id", "trials"),
    "a distribution that is none": change("update trial_params set distribution_json = 'evil'"),
    "a class for a distribution": change(
        """update trial_params set distribution_json = '{{"name": "evil.X", "attributes": {{}}}}'"""
    ),
    "a view in the place of a table": change(
        "alter table studies rename to others; "
        "create view studies as select study_id, study_name || load_extension('{home}/evil.so') study_name from others"
    ),
}


@pytest.mark.parametrize("attack", some(ATTACKS))
def test_a_search_that_goes_on_executes_nothing(attack, database, stranger, search, look, secret):
    attack(database, stranger)
    database.close()
    said = look(stranger.path)
    result = search(4)
    assert not stranger.has_run()
    assert secret not in said + result.out + result.err
    assert not stranger.leaked_into()
    assert stranger.victim.read_text() == secret
    assert "Traceback" not in said + result.out + result.err


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["cma", "sepcma", "cmawm"])
def test_no_sampler_unpickles_what_a_study_holds(kind, tmp_path):
    settings = {"sepcma": {"use_separable_cma": True}, "cmawm": {"with_margin": True}}.get(kind, {})
    bomb = Bomb(tmp_path / "sprung")
    study = optuna.create_study()
    space = {"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)}
    for _ in range(2):
        asked = study.ask(fixed_distributions=space)
        study._storage.set_trial_system_attr(asked._trial_id, f"{kind}:optimizer:0", pickle.dumps(bomb).hex())
        study.tell(asked, 1.0)
    study.sampler = without_pickles(CmaEsSampler(seed=0, **settings))
    study.ask(fixed_distributions=space)
    assert not bomb.sprung.exists()
    study.sampler = CmaEsSampler(seed=0, **settings)
    study.ask(fixed_distributions=space)
    assert bomb.sprung.exists()  # the trap is one


@pytest.mark.slow
def test_a_journal_of_sqlite_does_not_delete_another_file(search, stranger, look):
    """Such a one names a file, which SQLite deletes once it has rolled back."""
    assert search(2).code == 0
    make_hot_journal(stranger.path / "study.db", stranger.victim)
    said = look(stranger.path)
    assert (
        "study.db-journal beside it would make SQLite delete another file"
        in (stranger.path / "report.html").read_text()
    )
    assert "Traceback" not in said
    result = search(3)
    assert result.err == (
        f"error: hydra.sweeper.storage: got 'sqlite:///{stranger.path / 'study.db'}', which cannot be used "
        "(study.db-journal beside it would make SQLite delete another file); write another file\n"
    )
    assert stranger.victim.exists()
    sqlite3.connect(stranger.path / "study.db").execute("select * from trials").fetchall()
    assert not stranger.victim.exists()  # the trap is one


def make_hot_journal(database: Path, victim: Path) -> None:
    """What a transaction over several databases leaves behind that is cut off before its end."""
    copy = database.with_name("copy")
    shutil.copy(database, copy)
    connection = sqlite3.connect(copy, isolation_level=None)
    connection.execute("pragma cache_size = 1")
    connection.execute("create table filler(text)")
    connection.executemany("insert into filler values (?)", [("x" * 3000,)] * 50)
    connection.execute("begin")
    connection.execute("update filler set text = text || 'x'")
    database.write_bytes(copy.read_bytes())
    journal = bytearray(copy.with_name("copy-journal").read_bytes())
    connection.execute("rollback")
    connection.close()
    size, page = struct.unpack(">I", journal[20:24])[0], struct.unpack(">I", journal[24:28])[0]
    journal[8:12] = struct.pack(">I", (len(journal) - size) // (page + 8))
    name = str(victim).encode()
    tail = struct.pack(">I", 1 + 0x40000000 // page) + name + struct.pack(">II", len(name), sum(name))
    database.with_name("study.db-journal").write_bytes(bytes(journal) + tail + bytes.fromhex("d9d505f920a163d7"))


SPACE = {
    "a": FloatDistribution(0, 1),
    "b": FloatDistribution(1e-5, 1, log=True),
    "c": IntDistribution(1, 9),
    "d": CategoricalDistribution(["x", "y"]),
}


def proposals(sampler, *, restarts, num_trials=40):
    """What is proposed, and what the study holds, where the sampler is made anew before some of the trials."""
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage, study_name="k", sampler=sampler(), direction="maximize")
    for number in range(num_trials):
        if number in restarts:
            study = optuna.load_study(storage=storage, study_name="k", sampler=sampler())
        asked = study.ask(fixed_distributions=SPACE)
        study.tell(asked, -((asked.params["a"] - 0.3) ** 2) - (asked.params["c"] - 4) ** 2 / 50 - asked.params["b"])
    return [asked.params for asked in study.trials], study.trials


SETTINGS = {
    "plain": {},
    "separable": {"use_separable_cma": True},
    "with margin": {"with_margin": True},
    "with an adapted rate": {"lr_adapt": True},
    "of few": {"popsize": 5},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("restarts", [(), (1, 6, 9, 17, 30)])
@pytest.mark.parametrize("settings", some(SETTINGS, "plain", "with margin"))
def test_cmaes_proposes_what_it_did_with_pickles(settings, restarts):
    """To the last bit."""
    expected, _ = proposals(lambda: CmaEsSampler(seed=3, **settings), restarts=restarts)
    found, trials = proposals(lambda: without_pickles(CmaEsSampler(seed=3, **settings)), restarts=restarts)
    assert found == expected
    assert not [key for each in trials for key in each.system_attrs if "optimizer" in key]


@pytest.mark.filterwarnings("ignore")
def test_one_inside_another_sampler_has_no_pickles_either():
    inner = CmaEsSampler(seed=0)
    without_pickles(PartialFixedSampler({"a": 0.5}, inner))
    assert type(inner) is cmaes.CmaEsSampler


@pytest.mark.filterwarnings("ignore")
def test_trials_that_end_out_of_order_change_nothing_that_was_told():
    """Two at a time: the first generation is those that ended first, whatever ends later."""
    study = optuna.create_study(sampler=without_pickles(CmaEsSampler(seed=0, popsize=4, n_startup_trials=0)))
    space = {"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)}
    slow, *others = [study.ask(fixed_distributions=space) for _ in range(6)]
    for number, each in enumerate(others):
        study.tell(each, number)
    before = study.sampler._restore_optimizer(study.get_trials())
    assert before is None
    told = [each.number for each in study.sampler._get_solution_trials(study.get_trials(), 0)]
    study.tell(slow, -100.0)
    assert [each.number for each in study.sampler._get_solution_trials(study.get_trials(), 0)][: len(told)] == told
