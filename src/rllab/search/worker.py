"""The process of one job (see `plugin`)."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobStatus, run_job, setup_globals
from omegaconf import open_dict

from rllab.config.hydra_internals import job_return, returned_value
from rllab.host.process import end_group

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


def main(answer: Connection, pickled: bytes) -> None:
    """Run the job and answer with its `JobReturn`; what it prints goes to ``output.log`` in its directory."""
    # last of all at exit, end what the job has started: the sweeper may no longer be there to do it
    Finalize(None, end_group, args=(0,), exitpriority=-1)
    try:
        returned = _run(*pickle.loads(pickled))  # noqa: S301 - from our own parent
    except BaseException as error:  # noqa: BLE001 - run_job hands on SystemExit and Ctrl-C; Hydra refuses bad configs
        returned = job_return(JobStatus.FAILED, error)
    value = returned_value(returned)
    if returned.status == JobStatus.FAILED:
        traceback.print_exception(value)
    sys.stdout.flush()
    answer.send(job_return(returned.status, value))  # the rest may not unpickle there


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


def _redirect_output(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
