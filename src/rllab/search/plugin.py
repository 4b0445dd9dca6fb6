"""What Hydra finds by entry point: the sweeper and its launcher. Both import Optuna only when a multirun starts."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper

from rllab.config import ConfigError
from rllab.search.options import check_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


class SearchSweeper(OptunaSweeper):
    """`hydra/sweeper=rllab`: hydra-optuna-sweeper with slots in place of batches, and with pruning."""

    def __init__(self, *, max_retries: int, patience: float, **options: Any) -> None:
        check_options(max_retries=max_retries, patience=patience, **options)
        try:
            super().__init__(direction="maximize", custom_search_space=None, **options)
        except (TypeError, ValueError, HydraException) as error:  # of the sampler, which Hydra instantiates
            raise ConfigError(f"hydra.sweeper.sampler: {' '.join(str(error).split())}") from error
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

        job = (self.hydra_context, self.config, self.task_function, Singleton.get_state(), words, number)
        reader, writer = os.pipe()
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "rllab.search.worker", str(writer)],
            stdin=subprocess.PIPE,
            pass_fds=[writer],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            start_new_session=True,  # Ctrl-C is for the sweeper alone
        )
        os.close(writer)
        assert process.stdin is not None
        with os.fdopen(reader, "rb") as answer:
            with suppress(BrokenPipeError), process.stdin as stdin:  # killed at once: its exit code says so
                pickle.dump((sys.argv, cloudpickle.dumps(job)), stdin)
                stdin.flush()  # and it stays open: its end is how the job notices that this process died
                process.wait()
            code = process.wait()
            _end_group(process.pid)  # it does so itself, unless it was killed
            if pickled := answer.read():
                returned = pickle.loads(pickled)  # noqa: S301 - written by our own child
                assert isinstance(returned, JobReturn)
                return returned
        return JobReturn(status=JobStatus.FAILED, _return_value=RuntimeError(_how_it_ended(code)))


def _end_group(process_group: int) -> None:
    """End what the job left behind: sub-processes of its envs."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process_group, signal.SIGKILL)


def _how_it_ended(code: int) -> str:
    if code == -signal.SIGKILL:
        return "killed (SIGKILL: by hand, or for want of memory)"
    return f"killed ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"
