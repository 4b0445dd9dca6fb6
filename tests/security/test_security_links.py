"""Links (13): none that leads out of the directory is read from, or written through."""

import shutil

import pytest

from rllab.files import write_text
from rllab.links import leads_out
from strangers import some

WRITTEN = [
    "report.html",
    "eval.json",
    "export/policy.pt",
    "export/README.md",
    "videos/best_greedy_session_0.mp4",
    "learning_curve.png",
    "trial.json",
    "provenance.json",
    "config.yaml",
    "config.yaml.hmac",
    "error.txt",
    ".lock",
    "checkpoints/last.safetensors",
    "checkpoints/before.safetensors",
    "checkpoints/best.safetensors",
    "checkpoints/last.tmp",
    ".config.yaml.0.tmp",
    "session_0/train.csv",
    "session_0/eval.csv",
    "session_0/train.csv.tmp",
]
FOLDERS = ["checkpoints", "session_0", "session_1", "videos", "export"]
READ = ["error.txt", "config.yaml", "eval.json", "trial.json", "provenance.json", "session_0/train.csv", "videos/a.mp4"]


def prepared(stranger, name):
    for folder in FOLDERS:
        (stranger.path / folder).mkdir(exist_ok=True)
    stranger.link(name)
    return set(stranger.folder.rglob("*"))


def untouched(stranger, before, said, secret):
    return secret not in said and not stranger.leaked_into() and not stranger.has_written(before)


@pytest.mark.parametrize(
    "name", some([*READ, *WRITTEN, *FOLDERS], "error.txt", "videos/a.mp4", "eval.json", "checkpoints")
)
def test_verbs_neither_read_nor_write_through_it(name, stranger, look, play, secret):
    before = prepared(stranger, name)
    said = look(stranger.path) + play(stranger.path)
    assert untouched(stranger, before, said, secret)
    assert "Traceback" not in said


@pytest.mark.parametrize("name", some([*WRITTEN, *FOLDERS], "session_0", "checkpoints/last.safetensors"))
def test_a_run_that_goes_on_does_not_write_through_it(name, stranger, command, secret):
    before = prepared(stranger, name)
    result = command("meta.resume=run")
    assert untouched(stranger, before, result.out + result.err, secret)
    assert result.code == 1
    assert result.err.count("\n") == 1, result.err


@pytest.mark.parametrize("name", some([*WRITTEN, *FOLDERS], "session_0/train.csv"))
def test_a_new_run_does_not_write_through_it(name, stranger, command, secret):
    """In a directory where there are links, and no run yet."""
    before = prepared(stranger, name)
    if name != "config.yaml":
        (stranger.path / "config.yaml").unlink()
    result = command("run_dir=run meta=quick_dev env.max_frame=512")
    assert untouched(stranger, before, result.out + result.err, secret)
    assert result.code == 1
    assert result.err.count("\n") == 1, result.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["report.html", "picture.png"])
def test_files_of_ones_own_choice_are_not_written_through_a_link(name, stranger, rllab):
    before = set(stranger.folder.rglob("*"))
    (stranger.home / name).symlink_to(stranger.victim)
    rllab("report", stranger.path, "--out", name)
    rllab("compare", stranger.path, "--out", f"{name}")
    assert not stranger.has_written(before)


def test_what_is_written_takes_the_place_of_a_link(tmp_path):
    (tmp_path / "other").write_text("other")
    (tmp_path / "file").symlink_to(tmp_path / "other")
    write_text(tmp_path / "file", "new")
    assert (tmp_path / "other").read_text() == "other"
    assert not (tmp_path / "file").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"file", "other"}


def test_links_within_the_directory_and_to_it_are_fine(stranger, rllab):
    """As where checkpoints lie on another disk, and the run as a whole with them."""
    (stranger.path / "checkpoints" / "best.safetensors").rename(stranger.path / "kept")
    (stranger.path / "checkpoints" / "best.safetensors").symlink_to("../kept")
    (stranger.home / "link").symlink_to("run")
    assert "error" not in rllab("eval", "link", "--episodes", 1)
    assert (stranger.path / "eval.json").exists()


def test_a_link_to_itself_leads_out(tmp_path):
    (tmp_path / "x").symlink_to("x")
    assert leads_out(tmp_path / "x", tmp_path)


STUDY = [
    "trials.csv",
    "best.yaml",
    "best.yaml.hmac",
    "slice.png",
    "optimization_history.png",
    "study.db",
    "study.db-journal",
    "study.db-wal",
    "study.db-shm",
    ".sweepers/recovery.lock",
    "0/output.log",
    "0/report.html",
    "0",
    ".sweepers",
    "multirun.yaml",
    ".hydra",
]


@pytest.fixture
def study(stranger):
    """The directory of a study whose first trial is the stranger's run."""
    stranger.path = stranger.path.rename(stranger.home / "0")
    (stranger.home / "study" / ".sweepers").mkdir(parents=True)
    stranger.path = shutil.move(stranger.path, stranger.home / "study" / "0").parent
    return stranger


@pytest.mark.parametrize("name", some(STUDY))
def test_a_search_does_not_write_through_it(name, study, command, look, secret):
    study.link(name)
    before = set(study.folder.rglob("*"))
    said = look(study.path)
    result = command("-m meta=quick_dev meta.seed=0,1 env.max_frame=512 hydra.sweep.dir=study hydra/launcher=basic")
    assert untouched(study, before, said + result.out + result.err, secret)
    assert result.code == 1
    assert result.err.count("\n") == 1, result.err
