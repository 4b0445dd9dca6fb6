"""A disk that is full at some moment of a run: one line, and a resume once there is room."""

import contextlib
import re
import shutil
import subprocess
import threading
import time

import pytest

from rllab.training.run_directory import LAST
from test_kills import rows, same
from test_printed_commands import typed
from test_trial import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WORDS = ["agent=ppo", "env=cartpole", "tuned=none", "agent.num_steps=32", "env.max_frame=20000", "meta.max_session=2"]
WORDS += ["meta.log_frequency=500", "meta.kernels=off", "meta.num_threads=1", "agent.hidden=[128,128]"]
MOMENTS = range(10)


@pytest.fixture
def disk(tmp_path):
    """`disk(kibibytes)` is a directory on a file system of that size; again, it grows or shrinks."""
    path = tmp_path / "disk"
    path.mkdir()

    def resize(size):
        again = ["-o", f"remount,size={size}k"] if path.is_mount() else ["-t", "tmpfs", "-o", f"size={size}k", "tmpfs"]
        if subprocess.run(["mount", *again, str(path)], capture_output=True, check=False).returncode:
            pytest.skip("nothing may be mounted here")
        return path

    yield resize
    if path.is_mount():
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture(scope="module")
def whole(process, tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole")
    assert process(ROOT / "train.py", *WORDS, "run_dir=run", cwd=directory).code == 0
    return directory / "run"


def size_of(run):
    """In KiB, as pages of a file system."""
    return sum(-(-path.stat().st_size // 4096) * 4 for path in run.rglob("*") if path.is_file())


def fill(directory, awaited, delay):
    """Leave no room in a directory, some seconds after a file has appeared there."""
    while not awaited.exists():
        time.sleep(0.01)
    time.sleep(delay)
    with (directory / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize("moment", MOMENTS)
def test_full_at_some_moment(process, disk, whole, tmp_path, moment):
    begun = moment >= len(MOMENTS) // 2
    directory = disk(100_000 if begun else 4 + moment * size_of(whole) // 5)
    run = directory / "run"
    if begun:
        threading.Thread(target=fill, args=(directory, run / LAST, 0.3 * (moment - 4))).start()
    done = process(ROOT / "train.py", *WORDS, f"run_dir={run}", cwd=tmp_path)
    (line,) = done.err.splitlines()
    assert done.code == 1, done
    assert re.match(r"error: (run_dir|meta.resume): .*cannot be written \(No space left on device\)", line), line
    print(f"{moment}: {line}")  # noqa: T201 - to be read with -s
    disk(200_000)
    if told := re.findall(r"go on with: (.*)", line):
        done = process(*typed(told[0])[1:], cwd=tmp_path)
    else:
        shutil.rmtree(run, ignore_errors=True)
        done = process(ROOT / "train.py", *WORDS, f"run_dir={run}", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    same(run, whole)
    assert rows(run)
    assert not list(run.rglob("*.tmp"))
