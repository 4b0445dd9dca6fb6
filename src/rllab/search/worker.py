"""The process of one job: ``python -m rllab.search.worker FD`` with the pickled job on stdin (see `plugin`)."""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from omegaconf import open_dict

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

_PIPE = 32768
"""Bytes that a pipe surely holds, so that writing never waits for a reader."""


def main() -> None:
    """Run the job and answer with its `JobReturn`; what it prints goes to ``output.log`` in its directory."""
    descriptor = int(sys.argv[1])
    atexit.register(_end_group)  # the first one registered is the last one to run
    try:
        sys.argv, pickled = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
    except EOFError:
        sys.exit(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        returned = _run(*pickle.loads(pickled))  # noqa: S301 - as above
    except (Exception, SystemExit) as error:  # noqa: BLE001 - run_job hands on SystemExit; Hydra refuses bad configs
        returned = JobReturn(status=JobStatus.FAILED, _return_value=error)
    if returned.status == JobStatus.FAILED:
        traceback.print_exception(returned._return_value)  # noqa: SLF001 - the property raises
    os.write(descriptor, _answer(returned))


def _run(
    hydra_context: HydraContext,
    config: DictConfig,
    task_function: TaskFunction,
    singletons: dict[type, Any],
    words: list[str],
    number: int,
) -> JobReturn:
    setup_globals()
    Singleton.set_state(singletons)
    job = hydra_context.config_loader.load_sweep_config(config, words)
    with open_dict(job):
        job.hydra.job.id = str(number)
        job.hydra.job.num = number
    _redirect_output(Path(job.hydra.sweep.dir) / job.hydra.sweep.subdir / "output.log")
    return run_job(
        hydra_context=hydra_context,
        task_function=task_function,
        config=job,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def _answer(returned: JobReturn) -> bytes:
    """The part of a `JobReturn` that its reader cannot know."""
    value = returned._return_value  # noqa: SLF001 - as above
    answer = pickle.dumps(JobReturn(status=returned.status, _return_value=value))
    if len(answer) > _PIPE:
        too_large = RuntimeError(f"{type(value).__name__} too large to hand over: {str(value)[:200]}")
        answer = pickle.dumps(JobReturn(status=JobStatus.FAILED, _return_value=too_large))
    return answer


def _end_with_parent() -> None:
    """Nothing more comes through stdin: its end is that of the parent."""
    os.read(sys.stdin.fileno(), 1)
    _end_group()


def _end_group() -> None:
    """End this process with all that it has started, sub-processes of envs for one."""
    os.killpg(0, signal.SIGKILL)


def _redirect_output(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
