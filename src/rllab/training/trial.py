"""One trial: a resolved config, S seeds in lockstep, a run directory; its score is what a search maximises."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rllab import algorithms, checkpoint, config, distributed, envs
from rllab.analysis import summarize
from rllab.analysis.summary import NOT_EVALUATED
from rllab.config import ConfigError, RunConfig
from rllab.functional.checks import BudgetError
from rllab.host import provenance
from rllab.host.process import LOCK, Hold, is_held, program, stopping_on_signals
from rllab.tracking.console import Console
from rllab.tracking.writers import SessionWriter
from rllab.training.evaluation import Progress
from rllab.training.final_evaluation import FinalEvaluation
from rllab.training.sessions import Sessions

if TYPE_CHECKING:
    from rllab.search.handle import TrialHandle
    from rllab.training.sessions import Checkpoint

LAST = Path("checkpoints") / "last.safetensors"
BEST = Path("checkpoints") / "best.safetensors"
ERROR = "error.txt"
SAVE_PERIOD = 1.0
"""Seconds between two times that log checkpoints reach the disk: what a killed run loses at most, ..."""
SAVE_SHARE = 0.02
"""... unless writing them would take more than this part of the run, as it would with a large replay buffer."""


def run(cfg: RunConfig, search: TrialHandle | None = None) -> float:
    """Train one trial and return its score: the mean over sessions of the final evaluation or training return.

    A search is told the score at each log checkpoint, and may end the trial there.

    Raises:
        ConfigError: the config cannot be honoured; nothing has been made yet.
        ConfigError: an env failed while it trained, or training diverged; `last` is from before.
        SystemExit: Ctrl-C or SIGTERM, after `last` has been written.
    """
    state = None
    if cfg.meta.resume is not None:
        cfg, state = _load_run(Path(cfg.meta.resume), in_search=search is not None)
    elif (Path(cfg.run_dir) / "config.yaml").exists():
        raise ConfigError(
            f"run_dir: got {cfg.run_dir!r}, which holds a run already; write another one, or meta.resume={cfg.run_dir}"
        )
    cfg, info = check(cfg, cores=int(cfg.meta.search_resources.cpu) or 1 if search else None)
    torch.set_num_threads(cfg.meta.num_threads)
    trial = Trial(cfg, info, state, search)
    try:
        return trial.run()
    except envs.EnvError as error:
        raise ConfigError(trial.give_up(error)) from error
    except envs.DivergedError as error:
        raise ConfigError(trial.diverge(error)) from error
    except distributed.WorkerError as error:
        raise ConfigError(trial.lose(error)) from error
    except Exception as error:
        if search is None:  # a search has the traceback in output.log, and somebody else may have the directory
            trial.note_error(error)
        raise
    finally:
        trial.close()
        trial.hold.release()


def check(cfg: RunConfig, *, cores: int | None = None) -> tuple[RunConfig, envs.EnvInfo]:
    """Refuse what cannot be honoured, before any env or directory is made; fill in what only env and machine know.

    `cores`: those that this trial may use; None takes all that this process may.
    """
    cfg = dataclasses.replace(cfg, meta=dataclasses.replace(cfg.meta, device=_check_device(cfg.meta.device)))
    meta = cfg.meta
    num_sharing = meta.max_session if meta.distributed else 1  # workers that share out the budget
    try:
        info = envs.inspect(cfg.env, num_sessions=meta.max_session)
        agent, sizes = distributed.share(cfg), {"num_sessions": meta.max_session, "num_envs": cfg.env.num_envs}
        max_frame = cfg.env.max_frame // num_sharing
        shown = str(info.actions.env_space)
        algorithms.check(agent, info.obs_space, info.action_space, shown=shown, max_frame=max_frame, **sizes)
    except BudgetError as error:  # of a worker, perhaps
        what = f"{error.what}, in each of {num_sharing} workers" if num_sharing > 1 else error.what
        raise ConfigError(str(BudgetError(what, num_sharing * error.needed, cfg.env.max_frame))) from error
    except ValueError as error:
        raise ConfigError(" ".join(str(error).split())) from error
    env = dataclasses.replace(cfg.env, id=info.id, backend=info.backend, reward_threshold=info.reward_threshold)
    return dataclasses.replace(cfg, meta=distributed.resolve(cfg, info, cores=cores), env=env), info


def _check_device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError):
        raise ConfigError(
            f"meta.device: got {name!r}, which this machine or torch does not have; write meta.device=cpu"
        ) from None
    return name


def _load_run(directory: Path, *, in_search: bool = False) -> tuple[RunConfig, dict[str, Any]]:
    """Config and `last` checkpoint of a run that was stopped."""
    if not (directory / "config.yaml").is_file():
        raise ConfigError(
            f"meta.resume: got {str(directory)!r}, which is no run directory; write one that holds config.yaml"
        )
    if is_held(directory / LOCK) and not in_search:
        raise ConfigError(
            f"meta.resume: got {str(directory)!r}, which another process is still writing; end that first"
        )
    try:
        state = checkpoint.read(directory / LAST)
    except checkpoint.CheckpointError as error:
        raise ConfigError(f"meta.resume: got {str(directory)!r}, whose checkpoint cannot be used: {error}") from None
    if "scores" not in state:
        raise ConfigError(
            f"meta.resume: got {str(directory)!r}, which an older version of rllab wrote; it can be played and "
            "reported on, but not go on"
        )
    cfg = config.load_file(directory / "config.yaml")
    return dataclasses.replace(cfg, run_dir=str(directory)), state


class Trial:
    """What a run leaves behind, and what happens at its checkpoints. The sessions themselves are the `crew`."""

    def __init__(
        self, cfg: RunConfig, info: envs.EnvInfo, state: dict[str, Any] | None = None, search: TrialHandle | None = None
    ) -> None:
        self.cfg = cfg
        self.search = search
        self.directory = Path(cfg.run_dir)
        self.crew = distributed.make_crew(cfg, info)
        self.state = state
        self.scores: list[float] = [math.nan] * cfg.meta.num_policies if state is None else state["scores"]
        self.saved_at = -math.inf
        self.save_seconds = 0.0  # that the latest save took
        self.console = Console(_title(cfg), cfg.env.max_frame)
        if isinstance(self.crew, Sessions):
            num_episodes = (cfg.meta.rigorous_eval or 0) * cfg.meta.max_session
            hint = "env.max_episode_steps ends episodes sooner"
            self.crew.watch = Progress("evaluation", num_episodes, self.console.message, hint)
        self._open_directory()
        for note in info.notes:
            self.console.message(note)
        folders = [f"session_{number}" for number in range(cfg.meta.num_policies)]
        if cfg.meta.distributed:
            folders += [f"worker_{number}" for number in range(cfg.meta.max_session)]
        resumed_at = None if state is None else state["frame"]
        self.writers = [SessionWriter(self.directory / folder, resumed_at=resumed_at) for folder in folders]

    def _open_directory(self) -> None:
        (self.directory / "checkpoints").mkdir(parents=True, exist_ok=True)
        self.hold = Hold(self.directory)
        meta = self.cfg.meta
        facts = provenance.collect(meta.seed, env_backend=self.cfg.env.backend, distributed=meta.distributed)
        path = self.directory / "provenance.json"
        if self.state is not None:
            (self.directory / ERROR).unlink(missing_ok=True)
            first = json.loads(path.read_text()) if path.exists() else {}
            facts = first | {"resumed": [*first.get("resumed", []), facts]}
        else:
            config.save(self.cfg, self.directory / "config.yaml")
        path.write_text(json.dumps(facts, indent=2) + "\n")

    def run(self) -> float:
        """Train to the budget, then write `trial.json` and the learning curve."""
        cfg = self.cfg
        self.console.message(f"{self.console.title}, {cfg.env.max_frame:,} frames -> {self.directory}")
        with stopping_on_signals(self.crew.stop) as received:
            for note in self.crew.begin(self.state, self._read_best()):
                self.console.message(note)
            if self.state is None:
                self._save()  # whatever happens, there is something to go on from
                self.saved_at = -math.inf
            self.crew.train(self._checkpoint)
        self.console.close()
        if received and not self.crew.finished:
            self._save()
            self.console.message(f"stopped at frame {self.crew.frame:,}; go on with: {self._resume_command()}")
            raise SystemExit(128 + received[0])
        score = float(np.mean(self.scores))
        if self.search:
            self._save()  # it may have been stopped between two saves
            self.search.finish(score, self.crew.frame)
        self.close()
        pruned = self.search is not None and self.search.pruned
        known = self.scores if cfg.meta.rigorous_eval else None
        evaluation = FinalEvaluation(self.directory, cfg, self.console.message)
        greedy = NOT_EVALUATED if pruned else evaluation.scores(known)
        # no plot of a pruned trial: half a second that the next can use
        summary = summarize(self.directory, plot=not pruned, greedy=greedy, notes=evaluation.notes)
        self.console.summary(
            summary,
            threshold=cfg.env.reward_threshold,
            evaluated=bool(cfg.meta.rigorous_eval),
            closing={
                "results": str(self.directory),
                "learning curve": str(self.directory / "learning_curve.png"),
                "look closer": f"tensorboard --logdir {self.directory}",
            }
            | (
                {"eight seeds": command}
                if not cfg.meta.distributed and (command := validation_command(sys.argv))
                else {}
            ),
        )
        if evaluation.failure:
            raise ConfigError(
                f"env.id: {cfg.env.id} failed in the final evaluation, {evaluation.failure}; the run itself is "
                f"complete. Once the env is mended, score it with: rllab eval {shlex.quote(str(self.directory))}"
            )
        return score

    def diverge(self, error: envs.DivergedError) -> str:
        """Leave `last` and `best` as they were before training diverged; returns the line that says what happened."""
        self.console.close()
        self.note_error(error)
        agent = self.cfg.agent
        lower = f"lower agent.lr={agent.lr}" if hasattr(agent, "lr") else "lower the learning rate"
        frame = self.crew.frame if error.frame is None else error.frame
        if frame == 0:
            lower = "look at the settings of its network"
        try:
            saved = f"is that of frame {checkpoint.read(self.directory / LAST, 'frame'):,}"
        except checkpoint.CheckpointError:
            saved = "was not saved before"
        return (
            f"agent: {agent.name} diverged before frame {frame:,}, {error}; {lower}, or the scale of "
            f"rewards and observations. `last` {saved}, in {self.directory}"
        )

    def give_up(self, error: envs.EnvError) -> str:
        """Save what there is after an env has failed; returns the line that says what happened."""
        self.console.close()
        self._save()
        path = self.note_error(error)
        return (
            f"env.id: {self.cfg.env.id} failed at frame {self.crew.frame:,}, {error} "
            f"(the traceback is in {path}); once it is mended go on with: {self._resume_command()}"
        )

    def lose(self, error: distributed.WorkerError) -> str:
        """A worker was lost, and with it what came after the last checkpoint; returns the line that says so."""
        self.console.close()
        line = f"{error} (see {self.note_error(error)})"
        try:
            frame = checkpoint.read(self.directory / LAST)["frame"]
        except checkpoint.CheckpointError:
            return f"{line}; nothing had been saved, so begin anew in another run_dir"
        return f"{line}; go on from frame {frame:,} with: {self._resume_command()}"

    def note_error(self, error: Exception) -> Path:
        """Leave the traceback in the run directory, where it tells a run that failed from one that was stopped."""
        path = self.directory / ERROR
        path.write_text("".join(traceback.format_exception(error)))
        return path

    def _resume_command(self) -> str:
        return f"{program(sys.argv)} {shlex.quote(f'meta.resume={self.directory}')}"

    def _checkpoint(self, found: Checkpoint) -> None:
        """Write down what the sessions say."""
        self.scores = found.scores
        rows = zip(self.writers, [*found.rows, *found.worker_rows], strict=False)  # only policies are evaluated
        if found.kind == "eval":
            for writer, row in rows:
                writer.write_eval(row, inferred=not self.cfg.meta.rigorous_eval)
            return
        for writer, row in rows:
            writer.write_train(row)
        period = max(SAVE_PERIOD, self.save_seconds / SAVE_SHARE)
        if self.crew.finished or time.monotonic() - self.saved_at > period:
            self._save()
        self.console.progress(found.rows, found.best_scores, found.worker_rows)
        if self.search:
            self._report(self.search, found.frame)

    def _report(self, search: TrialHandle, frame: int) -> None:
        """Tell the search the mean over sessions, on a grid of frames that does not depend on `env.num_envs`."""
        period = self.cfg.meta.log_frequency
        frame = frame // period * period
        if frame and search.report(frame, float(np.mean(self.scores)), last=self.crew.finished):
            self.crew.stop()

    def _save(self) -> None:
        """Bring everything to disk: the rows first, so that `last` never knows of a frame that the curves do not."""
        started = time.monotonic()
        for writer in self.writers:
            writer.flush()
        state, best = self.crew.snapshot()
        if best is not None:
            checkpoint.write(self.directory / BEST, best)
        checkpoint.write(self.directory / LAST, state | {"scores": self.scores})
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - started

    def _read_best(self) -> dict[str, Any] | None:
        """Of the run that goes on."""
        path = self.directory / BEST
        return checkpoint.read(path) if self.state is not None and path.exists() else None

    def close(self) -> None:
        self.console.close()
        self.crew.close()
        for writer in getattr(self, "writers", []):
            writer.close()


def _title(cfg: RunConfig) -> str:
    """What is trained, in a few words."""
    meta = cfg.meta
    who = f"{meta.distributed} worker" if meta.distributed else "session"
    who += "s" * (meta.max_session > 1) + f" in {meta.num_workers} processes" * (meta.num_workers != 1)
    return f"{cfg.agent.name} on {cfg.env.id} ({cfg.env.backend}), {meta.max_session} {who}"


def validation_command(argv: list[str]) -> str | None:
    """The command line of this run, with the meta preset that validates a result; None for a grid or a resumed run."""
    if {"-m", "--multirun"} & set(argv) or any("meta.resume=" in word for word in argv):
        return None
    kept = [w for w in argv[1:] if not w.startswith(("meta", "run_dir=", "hydra.")) and w != "env=gymnasium"]
    return f"{program(argv)} {shlex.join([*kept, 'meta=validate'])}"
