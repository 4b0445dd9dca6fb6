"""Whose trials lie in a directory: a study, and a trial, goes on with its own and takes nobody else's."""

import re
import shutil

import pytest
from optuna.samplers import RandomSampler

from rllab.errors import ConfigError, TakenError
from rllab.search import place
from rllab.search.patience import Patience
from rllab.search.storage import open_storage
from rllab.search.study import SharedStudy
from rllab.training import trial

RUN = ("agent=random", "tuned=none", "meta.max_session=1", "env.max_frame=200", "meta.log_frequency=100")
HERE, OTHER = {"agent.lr": "1e-3,3e-4"}, {"agent.lr": "1e-8,0"}


class Search:
    """Of a trial that is never pruned."""

    name, pruned = "study", False

    def __init__(self):
        self.frames = []

    def begin(self):
        pass

    def report(self, frame, score, *, last):
        self.frames.append(frame)

    def finish(self, score, frame):
        pass


@pytest.fixture
def train(load_config, no_picture):
    """`train(*words)` trains a trial of a search; returns the frames that it reported."""

    def run(*words):
        search = Search()
        trial.run(load_config(*RUN, *words), search)
        return search.frames

    return run


@pytest.fixture
def directory(train, tmp_path):
    assert train() == [100, 200]
    return tmp_path / "run"


def contents(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


class TestTrial:
    def test_of_the_same_config_goes_on(self, directory, train):
        assert train() == []  # it has ended

    @pytest.mark.parametrize("word", ["meta.max_trial=9", "meta.search_resources.cpu=2", "meta.kernels=off"])
    def test_goes_on_with_what_a_search_may_change(self, directory, train, word):
        assert train(word) == []

    @pytest.mark.parametrize(
        ("word", "difference"),
        [
            ("env.max_frame=300", "env.max_frame is 200 there and 300 here"),
            ("meta.seed=1", "meta.seed is 0 there and 1 here"),
            ("env.backend=sync", "env.backend is native there and sync here"),
            ("env.max_episode_steps=50", "env.max_episode_steps is null there and 50 here"),
        ],
    )
    def test_of_another_config_is_refused(self, directory, train, word, difference):
        before = contents(directory)
        with pytest.raises(TakenError) as error:
            train(word)
        assert str(error.value) == (
            f"run_dir: got {str(directory)!r}, where a run of another config lies: {difference}; "
            "write another hydra.sweep.dir"
        )
        assert contents(directory) == before

    def test_of_another_config_is_refused_whatever_is_left(self, directory, train):
        for left in "checkpoints", "trial.json", "curves":
            with pytest.raises(TakenError, match=r"meta\.seed is 0 there and 1 here"):
                train("meta.seed=1")
            if left == "checkpoints":
                shutil.rmtree(directory / left)
            if left == "trial.json":
                (directory / left).unlink()

    def test_goes_on_with_what_was_chosen_on_another_machine(self, directory, train):
        config = directory / "config.yaml"
        text, count = re.subn("backend: native", "backend: sync", config.read_text())
        assert count == 1
        config.write_text(text)
        shutil.rmtree(directory / "checkpoints")  # which are of the other
        assert train() == [100, 200]

    def test_takes_the_place_of_one_that_was_killed_in_its_start_up(self, directory, train):
        for path in directory.iterdir():
            if path.name != "config.yaml":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert train("env.max_frame=300") == [100, 200, 300]
        assert "max_frame: 300" in (directory / "config.yaml").read_text()


class TestStudy:
    @pytest.fixture
    def start(self, tmp_path):
        """`start(directory, name, search)` is what a sweeper does before its first trial."""

        def begin(directory="a", name="a", search=HERE, storage=None):
            directory = tmp_path / directory
            url = f"journal:///{storage or directory / 'study.log'}"
            place.check(directory, url, name, search)
            patience = Patience(1, url, lambda _: None)
            study = SharedStudy(
                name,
                open_storage(url, create=True, patience=patience),
                patience,
                directory,
                RandomSampler(0),
                total=1,
                max_retries=0,
            )
            study.claim({"search": search})
            study.close()
            (directory / "0").mkdir(exist_ok=True)
            return directory

        return begin

    def refused(self, start, line, *words, **others):
        with pytest.raises(ConfigError) as error:
            start(*words, **others)
        assert re.fullmatch(re.escape(line).replace(r"\*", ".*"), str(error.value)), error.value

    def test_goes_on_also_where_it_was_moved_to(self, start, tmp_path):
        start()
        start()
        (tmp_path / "b").mkdir()
        (tmp_path / "a").rename(tmp_path / "b" / "a")
        start("b/a")

    def test_of_another_search_is_refused(self, start):
        start()
        line = (
            "hydra.sweep.dir: got '*', which holds the trials of another study, 'a': "
            "agent.lr is 1e-3,3e-4 there and 1e-8,0 here; write another one"
        )
        self.refused(start, line, "a", "other", OTHER)
        with pytest.raises(ConfigError, match=r"'a' holds another search: agent\.lr is"):
            start("a", "a", OTHER)

    def test_whose_database_is_gone_is_refused_and_nothing_is_made(self, start, tmp_path):
        (start() / "study.log").unlink()
        line = (
            "hydra.sweep.dir: got '*', which holds the trials of another study of this name, which "
            "journal:///*/a/study.log does not hold; write another one, or the hydra.sweeper.storage that does"
        )
        self.refused(start, line)
        assert not (tmp_path / "a" / "study.log").exists()
        self.refused(start, line.replace("/a/study.log", "/other.log"), storage=tmp_path / "other.log")

    def test_in_a_copied_directory_keeps_its_name(self, start, tmp_path):
        shutil.copytree(start(), tmp_path / "b")
        line = (
            "hydra.sweep.dir: got '*', which holds the trials of another study, 'a'; write another one, or "
            "hydra.sweeper.study_name=a to go on with that"
        )
        self.refused(start, line, "b", "b")
        start("b", "a")

    def test_without_a_trial_makes_room(self, start):
        (start() / "0").rmdir()
        start("a", "other", OTHER)

    def test_of_an_older_version_goes_on(self, start, train, tmp_path):
        mark = start() / ".sweepers" / "study.json"
        mark.unlink()
        train()
        (tmp_path / "a" / "0").rmdir()
        (tmp_path / "run").rename(tmp_path / "a" / "0")
        line = "hydra.sweep.dir: got '*', which holds the trials of another study; write another one"
        self.refused(start, line, "a", "other", OTHER)
        start()
        assert mark.exists()
