"""One trial: from a config to a run directory and a score, which is what a search maximises."""

from __future__ import annotations

import math
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rllab import distributed, envs
from rllab.analysis import summarize
from rllab.analysis.summary import NOT_EVALUATED
from rllab.callbacks import Training
from rllab.errors import ConfigError
from rllab.files import value_at
from rllab.host.process import num_cpus, stopping_on_signals, typed
from rllab.kernels import threads
from rllab.play import player
from rllab.text import from_here, one_line, shell_path
from rllab.tracking.console import Console
from rllab.tracking.trackers.deliver import Trackers
from rllab.training import initial
from rllab.training.callbacks import make as make_callbacks
from rllab.training.checks import check
from rllab.training.failures import FAILURES, failure_line
from rllab.training.final_evaluation import FinalEvaluation
from rllab.training.run_directory import CONFIG, Opened, RunDirectory, has_trained, open_run, refuse_another
from rllab.training.sessions import COMPILE, KERNELS
from rllab.training.validation import unseen_seed, validation_command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rllab.callbacks import Callback
    from rllab.config import RunConfig
    from rllab.play.player import Player
    from rllab.search.handle import TrialHandle
    from rllab.tracking.tracker import Row
    from rllab.tracking.trackers.contract import Outcome
    from rllab.training.sessions import CheckpointReport

SAVE_PERIOD = 1.0
"""Seconds between two times that log checkpoints reach the disk: what a killed run loses at most, ..."""
SAVE_SHARE = 0.02
"""... unless writing them would take more than this part of the run, as it would with a large replay buffer."""


def run(
    cfg: RunConfig,
    search: TrialHandle | None = None,
    *,
    trusted: bool = False,
    max_frame: int | None = None,
    presets: Sequence[str] = (),
    callbacks: Sequence[Callback | Callable[[Training], None]] = (),
    quiet: bool = False,
) -> float:
    """Train one trial; returns its score, the mean over sessions of the latest evaluation or training return.

    A search is told the score at each log checkpoint, and may end the trial there. A run that `meta.resume` names and
    somebody else wrote is `trusted` with the packages that its config names; with `max_frame` it gets that budget.
    `presets` are files of the user's own that the config was made of; `callbacks` are told after those of the config.
    `quiet` shows nothing.

    Raises:
        ConfigError: the config cannot be honoured, and nothing has been made yet; or one of `FAILURES` ended training.
        TakenError: where this trial of a search was to go on, a run of another config lies.
        SystemExit: Ctrl-C or SIGTERM, after `last` has been written.
    """
    cores = int(cfg.meta.search_resources.cpu) or 1 if search else num_cpus()
    try:
        if search is not None and has_trained(Path(cfg.run_dir)):
            refuse_another(cfg, check(cfg, cores=cores, begins=False)[0], trusted=trusted)
        cfg, opened = open_run(cfg, in_search=search is not None, trusted=trusted, max_frame=max_frame)
    except OSError as error:
        raise _cannot_be_written(cfg, error) from error
    with closing(opened):
        cfg, info = check(cfg, cores=cores, begins=opened.state is None)
        torch.set_num_threads(cfg.meta.num_threads)
        threads.use(cores)
        try:
            trial = Trial(cfg, info, opened, search, presets=presets, callbacks=callbacks, quiet=quiet)
        except OSError as error:
            raise _cannot_be_written(cfg, error) from error
        try:
            return trial.run()
        except (*FAILURES, OSError) as error:
            raise ConfigError(trial.fail(error)) from error
        except Exception as error:
            if search is None:  # a search has the traceback in output.log
                trial.directory.note_error(error)
            raise
        finally:
            with suppress(OSError):  # what cannot be written has ended the run above
                trial.close()
            with suppress(OSError):
                trial.trackers.close(trial.outcome)
            trial.directory.hold.release()


def _cannot_be_written(cfg: RunConfig, error: OSError) -> ConfigError:
    field, got = ("run_dir", cfg.run_dir) if cfg.meta.resume is None else ("meta.resume", cfg.meta.resume)
    remedy = "write another one" if cfg.meta.resume is None else "make it so"
    return ConfigError(f"{field}: got {got!r}, which cannot be written ({error.strerror or error}); {remedy}")


class Trial:
    """What a run leaves behind, and what happens at its checkpoints. The sessions themselves are the `crew`."""

    def __init__(
        self,
        cfg: RunConfig,
        info: envs.EnvInfo,
        opened: Opened | None = None,
        search: TrialHandle | None = None,
        *,
        presets: Sequence[str] = (),
        callbacks: Sequence[Callback | Callable[[Training], None]] = (),
        quiet: bool = False,
    ) -> None:
        """Make the crew, then the directory. `cfg` and `info` are what `check` returns."""
        self.cfg, self.info = cfg, info
        self.search = search
        self.unseen_seed = unseen_seed(cfg.meta.seed, presets)
        opened = opened or Opened()
        self.state = state = opened.state
        self.scores: list[float] = [math.nan] * cfg.meta.num_policies if state is None else state["scores"]
        self.saved_at = -math.inf
        self.silence_told = state is not None or not cfg.env.info_metrics
        self.save_seconds = 0.0  # what the latest save took
        resumed_at = None if state is None else state["frame"]
        self.console = Console(_title(cfg), cfg.env.max_frame, resumed_at=resumed_at, quiet=quiet)
        self.callbacks = make_callbacks(cfg, callbacks)
        self.crew = distributed.make_crew(cfg, info, self.console.message, callbacks=bool(self.callbacks))
        self.directory = RunDirectory(cfg, opened)
        self.best: dict[str, Any] | None = None  # what is to be saved as `best`
        if state is None and (origin := initial.read(cfg.meta)):
            self.directory.add_provenance(init_from=origin.facts())
            self.console.message(f"begins with the policies of {cfg.meta.init_from} ({cfg.meta.init_checkpoint})")
        if presets:
            self.directory.add_provenance(presets=[*presets])
            self.console.message(f"from directories of your own: {', '.join(map(from_here, presets))}")
        self.notes = [*([opened.note] if opened.note else []), *info.notes]
        for note in self.notes:
            self.console.message(note)
        folders = [f"session_{number}" for number in range(cfg.meta.num_policies)]
        if cfg.meta.distributed:
            folders += [f"worker_{number}" for number in range(cfg.meta.max_session)]
        study = search.name if search else None
        self.trackers = Trackers(
            cfg, folders, self.console.message, path=self.directory.path, study=study, resumed_at=resumed_at
        )
        self.training = Training(
            cfg, self.directory.path, set_values=self.crew.set, player=self._player, show_video=self.trackers.video
        )
        self.stopped_before = state is not None and not opened.longer and state.get("stopped")
        self.outcome: Outcome = "failed"  # until it is known

    def run(self) -> float:
        """Train to the budget, then write `trial.json` and the learning curve; returns the score.

        Raises:
            SystemExit: Ctrl-C or SIGTERM, after `last` has been written.
            ConfigError: an env failed in the final evaluation, after everything has been written.
        """
        self._train()
        score = float(np.mean(self.scores))
        if self.search:
            self._save()  # it may have been stopped between two saves
            self.search.finish(score, self.crew.frame)
        self.close()
        self.directory.settle()
        self._conclude()
        self.outcome = "complete"
        return score

    def _train(self) -> None:
        self.console.message(f"{self.console.title}, {self.cfg.env.max_frame:,} frames -> {self.directory.path}")
        notes = self._begin()
        for note in notes:
            self.console.message(note)
        self.trackers.text("notes", "\n".join([self.console.title, *self.notes, *notes]), self.crew.frame)
        with stopping_on_signals(self.crew.stop) as received:
            kernels, compiled = (
                ", ".join(note.removeprefix(what) for note in notes if note.startswith(what))
                for what in (KERNELS, COMPILE)
            )
            self.directory.add_provenance(kernels=kernels or "torch", compile=compiled or "nothing")
            if self.state is None:
                self._save()  # whatever happens, there is something to go on from
                self.saved_at = -math.inf
            if self.search:
                self.search.begin()
            self._train_with_callbacks()
        self.console.close()
        if received and not self.crew.finished:
            self._save()
            go_on = f"go on with: {self.directory.resume_command()}"
            self.console.message(f"stopped at frame {self.crew.frame:,}; {go_on}")
            self.outcome = "stopped"
            raise SystemExit(128 + received[0])

    def _train_with_callbacks(self) -> None:
        self.training.frame = self.crew.frame
        if self.stopped_before:  # by a callback, and nobody wants more
            self.training.stop(self.stopped_before)
            self.crew.stop()
        else:
            self.callbacks.start(self.training)
        self.crew.train(self._take_in)
        self.training.frame = self.crew.frame
        if self.training.stopped:
            self._save()
            self.directory.add_provenance(stopped=f"at frame {self.crew.frame:,}: {self.training.stopped}")
            self.console.message(f"stopped at frame {self.crew.frame:,}: {self.training.stopped}")
        self.callbacks.end(self.training)

    def _player(self) -> Player:
        """The policies as they are now."""
        policy = self._snapshot()["algorithm"]["policy"]
        return player.of_policies(self.cfg, self.info, policy, frame=self.training.frame)

    def _begin(self) -> list[str]:
        """Begin, or go on from the checkpoints; returns notes for a person."""
        if self.state is None:
            return self.crew.begin()
        best, problem = self.directory.read_best()
        try:
            notes = self.crew.begin(self.state, best)
        except (LookupError, ArithmeticError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise ConfigError(
                f"meta.resume: got {str(self.directory.path)!r}, whose checkpoints do not fit its {CONFIG} or this "
                f"version of rllab ({type(error).__name__}: {one_line(error)[:200]})"
            ) from error
        return [*notes, *self.callbacks.load(self.state.get("callbacks", [])), *([problem] if problem else [])]

    def _conclude(self) -> None:
        """Score the policies without exploration, sum up, and tell a person."""
        cfg, path = self.cfg, self.directory.path
        pruned = self.search is not None and self.search.pruned
        evaluation = FinalEvaluation(path, cfg, self.console.message)
        greedy = NOT_EVALUATED if pruned else evaluation.scores(self.scores if cfg.meta.evaluates else None)
        # no plot of a pruned trial: half a second that the next can use
        summary = summarize(path, plot=not pruned, greedy=greedy, infos=evaluation.infos, notes=evaluation.notes)
        self.trackers.finish(_scores(summary), self.crew.frame)
        closing = {
            "results": str(path),
            "learning curve": str(path / "learning_curve.png"),
            "look closer": f"tensorboard --logdir {shell_path(path)}",
        }
        if not cfg.meta.distributed and (command := validation_command(typed(), seed=self.unseen_seed)):
            closing["eight seeds"] = command
        threshold = cfg.env.reward_threshold
        self.console.summary(summary, threshold=threshold, evaluated=cfg.meta.evaluates, closing=closing)
        if evaluation.failure:
            raise ConfigError(
                f"env.id: {cfg.env.id} failed in the final evaluation, {evaluation.failure}; the run itself is "
                f"complete. Once the env is mended, score it with: rllab eval {shell_path(path)}"
            )

    def fail(self, error: Exception) -> str:
        """Save what there is after one of `FAILURES`; returns the line that says what happened and how to go on.

        After an env has failed the state is whole. When training has diverged, a worker is lost or a file cannot be
        written, the checkpoints stay as they were before.
        """
        self.console.close()
        if isinstance(error, envs.EnvError):
            self._save()
        return failure_line(error, self.cfg, self.directory, self.crew.frame)

    def _take_in(self, found: CheckpointReport) -> None:
        """Write down and show what the sessions report at a checkpoint."""
        self.scores = found.scores
        self.callbacks.checkpoint(self.training, found)
        if self.training.stopped:
            self.crew.stop()
        rows = [*found.rows, *found.worker_rows]
        if found.kind == "eval":
            self.trackers.eval(rows, inferred=not self.cfg.meta.evaluates)
            return
        self.trackers.train(rows)
        period = max(SAVE_PERIOD, self.save_seconds / SAVE_SHARE)
        if self.crew.finished or time.monotonic() - self.saved_at > period:
            self._save()
        self._tell_silent(found.rows)
        self.console.progress(found.rows, found.best_scores, found.worker_rows)
        if self.search:
            self._report(self.search, found.frame)

    def _tell_silent(self, rows: Sequence[Row]) -> None:
        """Say once which of `env.info_metrics` no episode has told so far: a name may be misspelt."""
        if self.silence_told or not all(row["rollout/num_episodes"] for row in rows):
            return
        self.silence_told = True
        tags = {name: f"rollout/info/{name}" for name in self.cfg.env.info_kinds}
        if silent := [name for name, tag in tags.items() if all(math.isnan(row.get(tag, math.nan)) for row in rows)]:
            names = ", ".join(silent)
            self.console.message(f"env.info_metrics: no episode has told {names} so far, its infos have no such entry")

    def _report(self, search: TrialHandle, frame: int) -> None:
        """Tell the search the mean over sessions, on a grid of frames that does not depend on `env.num_envs`."""
        period = self.cfg.meta.log_frequency
        frame = frame // period * period
        if frame and search.report(frame, float(np.mean(self.scores)), last=self.crew.finished):
            self.crew.stop()

    def _save(self) -> None:
        """Bring everything to disk: the rows first, so that `last` never knows of a frame that the curves do not."""
        started = time.monotonic()
        self.trackers.flush()
        state = self._snapshot() | {"scores": self.scores, "callbacks": self.callbacks.state()}
        self.directory.save(state | {"stopped": self.training.stopped}, self.best)
        self.best = None
        self.trackers.saved()
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - started

    def _snapshot(self) -> dict[str, Any]:
        """The state of the sessions; what is new among the best policies is kept until it is saved."""
        state, best = self.crew.snapshot()
        self.best = best or self.best
        return state

    def close(self) -> None:
        self.console.close()
        self.crew.close()
        self.trackers.flush()


def _scores(summary: dict[str, Any]) -> dict[str, float]:
    """What trial.json knows of a run, in means over sessions."""
    told = summary.get("infos", {})
    means = {name: value_at(found, "mean", "value", kind=float) for name, found in (summary | told).items()}
    return {name: value for name, value in (means | summary["metrics"]).items() if value is not None}


def _title(cfg: RunConfig) -> str:
    """What is trained, in a few words."""
    meta = cfg.meta
    who = f"{meta.distributed} worker" if meta.distributed else "session"
    who += "s" * (meta.max_session > 1) + f" in {meta.num_workers} processes" * (meta.num_workers != 1)
    return f"{cfg.agent.name} on {cfg.env.id} ({cfg.env.backend}), {meta.max_session} {who}"
