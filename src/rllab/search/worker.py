"""The process of one job: ``python -m rllab.search.worker FD`` with the pickled job on stdin (see `plugin`)."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from pathlib import Path

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from omegaconf import open_dict

_PIPE = 32768
"""Bytes that a pipe surely holds, so that writing never waits for a reader."""


def main() -> None:
    """Run the job and answer with its `JobReturn`; what it prints goes to ``output.log`` in its directory."""
    descriptor = int(sys.argv[1])
    sys.argv, pickled = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
    threading.Thread(target=_end_with_parent, daemon=True).start()
    hydra_context, config, task_function, singletons, words, number = pickle.loads(pickled)  # noqa: S301 - as above
    setup_globals()
    Singleton.set_state(singletons)
    job = hydra_context.config_loader.load_sweep_config(config, words)
    with open_dict(job):
        job.hydra.job.id = str(number)
        job.hydra.job.num = number
    _redirect_output(Path(job.hydra.sweep.dir) / job.hydra.sweep.subdir / "output.log")
    try:
        returned = run_job(
            hydra_context=hydra_context,
            task_function=task_function,
            config=job,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except SystemExit as error:  # run_job hands on what is no Exception
        returned = JobReturn(status=JobStatus.FAILED, _return_value=RuntimeError(str(error.code)))
    if returned.status == JobStatus.FAILED:
        sys.excepthook(type(returned._return_value), returned._return_value, returned._return_value.__traceback__)  # noqa: SLF001 - the property raises
    os.write(descriptor, _answer(returned))


def _answer(returned: JobReturn) -> bytes:
    """The part of a `JobReturn` that its reader cannot know."""
    value = returned._return_value  # noqa: SLF001 - the property raises
    answer = pickle.dumps(JobReturn(status=returned.status, _return_value=value))
    if len(answer) > _PIPE:
        too_large = RuntimeError(f"{type(value).__name__} too large to hand over: {str(value)[:200]}")
        answer = pickle.dumps(JobReturn(status=JobStatus.FAILED, _return_value=too_large))
    return answer


def _end_with_parent() -> None:
    """Nothing more comes through stdin: its end is that of the parent."""
    os.read(sys.stdin.fileno(), 1)
    os.killpg(0, signal.SIGKILL)  # with the sub-processes of envs


def _redirect_output(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
