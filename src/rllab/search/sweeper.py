"""The search itself: it fills each slot as soon as it is free, and leaves no job behind at its end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hydra.core.utils import JobStatus
from omegaconf import DictConfig, OmegaConf, read_write

from rllab import search
from rllab.config import MetaConfig, own_presets
from rllab.config.hydra_internals import OptunaSweeperImpl, returned_value, start_ray
from rllab.config.loading import own_directories
from rllab.errors import ConfigError, TakenError
from rllab.host.process import program, stopping_on_signals
from rllab.links import refuse_links
from rllab.search import place, report
from rllab.search.cmaes import without_pickles
from rllab.search.console import SearchConsole
from rllab.search.grid import GridPoints
from rllab.search.identity import describe, study_name
from rllab.search.jobs import Jobs, end_processes, reason, was_killed
from rllab.search.patience import NoAnswerError, Patience
from rllab.search.pruners import check_scheduler
from rllab.search.slots import make_slots
from rllab.search.space import corners, is_grid, read_space
from rllab.search.storage import open_storage, public, resolve_url
from rllab.search.study import SharedStudy
from rllab.search.trials import ENDED, best_row, too_few
from rllab.text import from_here, hydra_word, shell, shell_path

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

    from rllab.search.slots import Slot
    from rllab.search.trials import TrialRow

_LOOK = 0.25
"""Seconds between two looks at the study."""
_NOT_OF_BEST = ("hydra", "meta", "run_dir", "tracker")
"""Sections of a trial's config that `best.yaml` leaves to those who train it."""
_COMPARED = ("meta", "meta.max_session", "meta.log_frequency", "meta.rigorous_eval", "env", "env.id", "env.max_frame")
"""Fields that trials must have in common if one is to be stopped because of the others."""


class SearchSweeperImpl(OptunaSweeperImpl):
    """The sweep of `hydra/sweeper=rllab`; its fields are explained in ``conf/hydra/sweeper/rllab.yaml``."""

    def __init__(self, *, max_retries: int, patience: float, **options: Any) -> None:
        super().__init__(**options)
        self.max_retries = max_retries
        self.patience = patience

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Read and check everything that can be wrong, and name the study: the directories of the jobs follow from it.

        Raises:
            ConfigError: bad input; nothing has been made yet.
        """
        meta = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(MetaConfig), config.meta))
        assert isinstance(meta, MetaConfig)
        self.meta = meta
        self.max_frame = int(config.env.max_frame)
        self.space = read_space(config, hydra_context.config_loader)
        self.presets = own_presets(config.hydra, hydra_context.config_loader, self.space.fixed)
        self.grid = is_grid(config)
        if meta.max_trial > 1 and not self.space.distributions:
            raise ConfigError(
                f"meta.max_trial: got {meta.max_trial}, but nothing is searched; add a space, e.g. search=ppo or "
                "'agent.lr=tag(log,interval(1e-5,1e-2))'"
            )
        self.scheduler = check_scheduler(meta, max_frame=self.max_frame, grid=self.grid)
        for name in self.space.texts if self.scheduler["kind"] != "none" else ():
            if name in _COMPARED:
                raise ConfigError(
                    f"{name}: got {self.space.texts[name]}, but trials that are compared must have it in common; "
                    "write one value, or meta.search_scheduler.kind=none"
                )
        self.slots = make_slots(meta.search_resources, device=meta.device, num_slots=self.n_jobs)
        launcher = str(config.hydra.launcher._target_)
        if launcher.endswith(".BasicLauncher"):  # it runs jobs in this process, so only one at a time
            self.slots = self.slots[:1]
        self.live = launcher.startswith("rllab.")  # jobs of other launchers would print into the table
        self.ray = config.hydra.launcher.ray.init if launcher.endswith(".RayLauncher") else None
        self.described = describe(config, self.space) | ({"grid": True} if self.grid else {})
        if "${" in config.hydra.sweep.dir:  # Hydra would resolve it once more, and write there
            raise ConfigError(f"hydra.sweep.dir: got {config.hydra.sweep.dir!r}; write a path without ${{")
        if self.study_name is None:
            chosen = any(str(word).startswith("hydra.sweep.dir=") for word in config.hydra.overrides.hydra)
            self.study_name = (
                # "." and ".." too; what follows a $ would be resolved
                os.path.basename(os.path.abspath(config.hydra.sweep.dir)).replace("$", "_")  # noqa: PTH100, PTH119
                if chosen
                else study_name(config, self.space, self.described)
            )
            with read_write(config.hydra):
                config.hydra.sweeper.study_name = self.study_name
                config.hydra.overrides.hydra.append(  # for the jobs
                    hydra_word("hydra.sweeper.study_name", self.study_name)
                )
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.directory = Path(self.sweep_dir)
        self.url = resolve_url(self.storage, self.directory)

    def sweep(self, arguments: list[str]) -> None:  # noqa: ARG002 - `setup` has read them
        """Run every trial that has not ended yet, then sum up.

        Raises:
            SystemExit: Ctrl-C or SIGTERM; what was running waits to be taken again.
            ConfigError: the storage cannot be reached, does not answer any more or holds another search; the directory
                is that of another; or too many trials failed.
        """
        refuse_links(self.directory)
        place.check(self.directory, self.url, self.study_name or "", self.described)
        sampler: BaseSampler = self.sampler
        total = self.n_trials
        if self.grid:
            points = self.space.points()
            total = min(total, len(points)) if total > 1 else len(points)
            sampler = GridPoints(points)
        title = f"search {self.study_name}"
        console = SearchConsole(title, total=total, slots=len(self.slots), max_frame=self.max_frame, live=self.live)
        patience = Patience(self.patience, public(self.url), console.message)
        storage = open_storage(self.url, create=True, patience=patience)
        if self.ray is not None:  # it can be started in the main thread only, and launchers run in others
            start_ray(self.ray)
        self.study = SharedStudy(
            self.study_name or "",
            storage,
            patience,
            self.directory,
            without_pickles(sampler),
            total=total,
            max_retries=self.max_retries,
        )
        try:
            self.study.claim({"search": self.described, "scheduler": self.scheduler})
            if not self.study.alone():
                sampler.reseed_rng()  # with the same seed it would propose what another sweeper has proposed
            console.message(f"{title}: {self._plan()} -> {self.directory}")
            if self.presets:
                console.message(f"from directories of your own: {', '.join(map(from_here, self.presets))}")
            if which("optuna-dashboard"):
                console.message(f"watch it with: optuna-dashboard {shell(self._shown_storage())}")
            rows = self._run(console)
            self._write_results(rows)
            self._refuse_failures(rows)
            console.summary(rows, self._closing(rows))
        finally:
            console.close()
            end_processes()
            self.study.close()

    def _run(self, console: SearchConsole) -> list[TrialRow]:
        """Run trials until all have ended, or too many have failed."""
        jobs, patience = Jobs(self.slots, self._launch), self.study.patience

        def stop() -> None:
            jobs.wake()
            patience.give_up()

        with stopping_on_signals(stop) as received:
            try:
                taken = self._fill(jobs, console, received)
                for trial in jobs.running:
                    self.study.put_back(trial)
                rows = self.study.rows()
                left = f"with {sum(row.state in ENDED for row in rows)} of {self.study.total} trials done"
            except NoAnswerError:
                if not received:
                    raise
                left = f"while {patience.shown} does not answer"
        console.close()
        if received:
            console.message(f"stopped {left}; the same command goes on")
            raise SystemExit(128 + received[0])
        if taken:
            raise taken
        return rows

    def _fill(self, jobs: Jobs, console: SearchConsole, received: list[int]) -> TakenError | None:
        """Keep the slots filled; returns early if no trial should be begun, with the reason."""
        while not received:
            self.study.look_after()
            rows = self.study.rows()
            console.update(rows)
            if self._too_many(rows) or (not jobs.running and self.study.finished()):
                break
            while jobs.free and (trial := self.study.ask(self.space.distributions)):
                jobs.start(trial)
            if (end := jobs.wait(_LOOK)) and (taken := self._settle(*end)):
                return taken
        return None

    def _settle(self, trial: FrozenTrial, error: BaseException | None) -> TakenError | None:
        """A job has ended, and may have told the study why, or not; returns why no other should begin."""
        if isinstance(error, TakenError):
            self.study.put_back(trial)
            return error
        if isinstance(error, NoAnswerError):
            self.study.lose(trial, "the storage did not answer it")
        elif was_killed(error):
            self.study.fail_if_begun(trial, reason(error))
        else:
            self.study.fail(trial, reason(error))
        return None

    def _too_many(self, rows: list[TrialRow]) -> bool:
        """Whether more trials have failed than may."""
        return sum(row.state == "failed" for row in rows) > self.max_failure_rate * self.study.total

    def _refuse_failures(self, rows: list[TrialRow]) -> None:
        if self._too_many(rows):
            failed = [row for row in rows if row.state == "failed"]
            raise ConfigError(
                f"{len(failed)} of {self.study.total} trials failed, more than hydra.sweeper.max_failure_rate="
                f"{self.max_failure_rate:g} allows; the last one: {failed[-1].reason} "
                f"({self.directory / str(failed[-1].index) / 'output.log'})"
            )

    def _launch(self, trial: FrozenTrial, slot: Slot) -> BaseException | None:
        """Run one job to its end, in the thread of its slot; what went wrong, if anything did."""
        assert self.launcher is not None
        [returned] = self.launcher.launch([self._words(trial, slot)], initial_job_idx=trial.number)
        return returned_value(returned) if returned.status == JobStatus.FAILED else None

    def _words(self, trial: FrozenTrial, slot: Slot) -> list[str]:
        """Overrides of one job: the trial's own, and what ties it to the search and to its slot."""
        environment = {
            search.STORAGE: self.url,
            search.STUDY: self.study_name or "",
            search.TRIAL: f"{trial.number}/{trial.user_attrs['attempt']}/{trial.user_attrs['owner']}",
            search.PATIENCE: str(self.patience),
        }
        if slot.gpus is not None:
            environment["CUDA_VISIBLE_DEVICES"] = slot.gpus
        words = self.space.words(trial.params)
        if not any(word.startswith("meta.num_threads=") for word in words):
            words.append(f"meta.num_threads={slot.threads}")
        return words + [hydra_word(f"++hydra.job.env_set.{name}", value) for name, value in environment.items()]

    def _plan(self) -> str:
        slots = f"{len(self.slots)} slot{'s' * (len(self.slots) > 1)}"
        how = "grid" if self.grid else type(self.sampler).__name__.removesuffix("Sampler").lower()
        pruning = ""
        if self.scheduler["kind"] != "none":
            pruning = f", {self.scheduler['kind']} pruning from frame {self.scheduler['grace_period']:,}"
        return f"{self.study.total} trial{'s' * (self.study.total > 1)} ({how}{pruning}), {slots}"

    def _shown_storage(self) -> str:
        """The study's storage as optuna-dashboard wants it: a journal by its path."""
        if self.storage is None:
            return f"sqlite:///{quote(str(self.directory / 'study.db'))}"
        return self.url.removeprefix("journal:///") if self.url.startswith("journal:") else public(self.url)

    def _write_results(self, rows: list[TrialRow]) -> None:
        report.write_trials(rows, self.directory / "trials.csv")
        if best := best_row(rows):
            config, groups = self._composed(best.params)
            comment = f"Trial {best.index} of {self.study_name}: {best.value:.6g}. {self._best_command()}"
            report.write_best(self.directory / report.BEST, config=config, groups=groups, comment=comment)
            from rllab.search.plots import write_plots  # noqa: PLC0415 - matplotlib, at the end only

            write_plots(self.study.study, self.directory)
            if self.meta.max_trial > 1:
                report.remove_models(rows, self.directory, keep=self.meta.keep_trials)

    def _best_command(self) -> str:
        """Trains the best configuration on seeds that the search has not seen."""
        directory = shell_path(self.directory)
        return f"{program(sys.argv)} -cd {directory} -cn best meta=standard meta.seed={self._unseen_seed()}"

    def _closing(self, rows: list[TrialRow]) -> dict[str, str]:
        closing = {"results": str(self.directory), "trials": str(self.directory / "trials.csv")}
        if missing := too_few(sum(row.state == "complete" for row in rows)):
            closing |= {"pictures": f"none of fields by themselves: {missing}"}
        if best_row(rows):
            closing |= {"train the best": self._best_command()}
        if self.meta.max_trial > 1 and not self.grid:
            closing |= {"more trials": f"the same command with meta.max_trial={2 * self.study.total}"}
        return closing

    def _composed(self, params: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The config of one trial, apart from how it was run (`meta`), and the groups that it needs no more."""
        assert self.config is not None
        assert self.hydra_context is not None
        job = self.hydra_context.config_loader.load_sweep_config(self.config, self.space.words(params))
        names = [str(name) for name in job if name not in _NOT_OF_BEST]
        whole: Any = OmegaConf.to_container(OmegaConf.masked_copy(job, names), resolve=True)
        whole["meta"] = {"seed": self._unseen_seed()}
        if job.meta.init_from is not None:
            whole["meta"] |= {name: value for name, value in job.meta.items() if name.startswith("init_")}
        if own := own_directories(self.config.hydra):  # for meta=...: --config-dir can name one directory only
            whole["hydra"] = {"searchpath": [f"file://{folder}" for folder in own]}
        chosen = {str(group).split("/")[0] for group in job.hydra.runtime.choices}  # also of tuned/ppo: cartpole
        return whole, [group for group in ("env", "agent", "tuned") if group in chosen]

    def _unseen_seed(self) -> int:
        """One of which the search has seen no stream: no trial had it."""
        searched = self.space.distributions.get("meta.seed")
        return 1 + max([self.meta.seed, *(map(int, corners(searched)) if searched else [])])
