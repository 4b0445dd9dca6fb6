"""What Hydra finds by entry point: the sweeper and its launcher. Both import Optuna only when a multirun starts."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from contextlib import suppress
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper

from rllab.config.hydra_internals import job_return
from rllab.errors import ConfigError
from rllab.host.process import end_group, start_process
from rllab.search.options import check_options
from rllab.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

_STARTING = threading.Lock()
"""Held to start or to join a process: multiprocessing reads the exit codes of all when it starts one, and a thread that
joins its own at that moment would find none."""


class SearchSweeper(OptunaSweeper):
    """`hydra/sweeper=rllab`: hydra-optuna-sweeper with slots in place of batches, and with pruning."""

    def __init__(self, *, max_retries: int, patience: float, **options: Any) -> None:
        check_options(max_retries=max_retries, patience=patience, **options)
        try:
            super().__init__(direction="maximize", custom_search_space=None, **options)
        except (TypeError, ValueError, HydraException) as error:  # from the sampler that Hydra instantiates
            raise ConfigError(f"hydra.sweeper.sampler: {one_line(error)}") from error
        from rllab.search.sweeper import SearchSweeperImpl  # noqa: PLC0415 - every run loads this module, few search

        self.sweeper = SearchSweeperImpl(
            direction="maximize",
            custom_search_space=None,
            max_retries=max_retries,
            patience=patience,
            **{**options, "sampler": self.sweeper.sampler},
        )


class ProcessLauncher(Launcher):
    """`hydra/launcher=process`: each job in a process of its own, started afresh and ended with its parent.

    Jobs of one `launch` run one after the other; the sweeper calls `launch` from one thread per slot.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        return [self._run(list(words), initial_job_idx + index) for index, words in enumerate(job_overrides)]

    def _run(self, words: list[str], number: int) -> JobReturn:
        import cloudpickle  # noqa: PLC0415 - as above

        from rllab.search import worker  # noqa: PLC0415 - as above

        job = (self.hydra_context, self.config, self.task_function, Singleton.get_state(), words, number)
        answers, answer = multiprocessing.Pipe(duplex=False)
        with answers:
            with answer, _STARTING:
                process = start_process(worker.main, answer, cloudpickle.dumps(job))
            wait([answers, process.sentinel])  # sub-processes of a killed job may keep its end of the pipe open
            returned = None
            with suppress(EOFError):
                returned = answers.recv() if answers.poll() else None
            wait([process.sentinel])
            with _STARTING:
                process.join()
        assert process.pid is not None
        end_group(process.pid)
        if returned is None:
            assert process.exitcode is not None
            returned = job_return(JobStatus.FAILED, _how_it_ended(process.exitcode))
        return returned


def _how_it_ended(code: int) -> Exception:
    if code >= 0:
        return RuntimeError(f"ended with exit code {code}")
    why = ": by hand, or for want of memory" if code == -signal.SIGKILL else ""
    from rllab.search.jobs import KilledError  # noqa: PLC0415 - as above

    return KilledError(f"killed ({signal.Signals(-code).name}{why})")
