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

from rllab import algorithms, checkpoint, config, envs, provenance
from rllab.analysis import summarize
from rllab.config import ConfigError, RunConfig
from rllab.evaluate import Evaluation, Evaluator
from rllab.functional.streams import session_seeds
from rllab.loop import Clock, Event, train
from rllab.process import LOCK, Hold, is_held, program, stopping_on_signals
from rllab.tracking.console import Console
from rllab.tracking.tracker import Tracker
from rllab.tracking.writers import SessionWriter

if TYPE_CHECKING:
    from rllab.search.handle import TrialHandle

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
        ConfigError: an env failed while it trained; `last` has been written.
        SystemExit: Ctrl-C or SIGTERM, after `last` has been written.
    """
    state = None
    if cfg.meta.resume is not None:
        cfg, state = _load_run(Path(cfg.meta.resume), in_search=search is not None)
    elif (Path(cfg.run_dir) / "config.yaml").exists():
        raise ConfigError(
            f"run_dir: got {cfg.run_dir!r}, which holds a run already; write another one, or meta.resume={cfg.run_dir}"
        )
    cfg, info = check(cfg)
    torch.set_num_threads(cfg.meta.num_threads)
    trial = Trial(cfg, info, state, search)
    try:
        return trial.run()
    except envs.EnvError as error:
        raise ConfigError(trial.give_up(error)) from error
    except Exception as error:
        if search is None:  # a search has the traceback in output.log, and somebody else may have the directory
            trial.note_error(error)
        raise
    finally:
        trial.close()
        trial.hold.release()


def check(cfg: RunConfig) -> tuple[RunConfig, envs.EnvInfo]:
    """Refuse what cannot be honoured, before any env or directory is made; fill in what only the env knows."""
    meta = cfg.meta
    if meta.distributed:
        raise ConfigError(
            f"meta.distributed: got {meta.distributed!r}, which is not built yet; write meta.distributed=false"
        )
    meta = dataclasses.replace(meta, device=_check_device(meta.device))
    try:
        info = envs.inspect(cfg.env, num_sessions=meta.max_session)
        sizes = {"num_sessions": meta.max_session, "num_envs": cfg.env.num_envs}
        algorithms.check_action_space(cfg.agent.name, info.action_space)
        cfg.algorithm().check(cfg.agent, info.obs_space, info.action_space, **sizes)
    except ValueError as error:
        raise ConfigError(" ".join(str(error).split())) from error
    env = dataclasses.replace(cfg.env, id=info.id, backend=info.backend, reward_threshold=info.reward_threshold)
    return dataclasses.replace(cfg, meta=meta, env=env), info


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


def _load_run(directory: Path, *, in_search: bool) -> tuple[RunConfig, dict[str, Any]]:
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
        state = checkpoint.read(directory / "checkpoints" / "last.safetensors")
    except checkpoint.CheckpointError as error:
        raise ConfigError(f"meta.resume: got {str(directory)!r}, whose checkpoint cannot be used: {error}") from None
    cfg = config.load_file(directory / "config.yaml")
    return dataclasses.replace(cfg, run_dir=str(directory)), state


class Trial:
    """What a run is made of, and what happens at its checkpoints."""

    def __init__(
        self, cfg: RunConfig, info: envs.EnvInfo, state: dict[str, Any] | None, search: TrialHandle | None = None
    ) -> None:
        self.cfg = cfg
        self.search = search
        self.directory = Path(cfg.run_dir)
        num_sessions, seed = cfg.meta.max_session, cfg.meta.seed
        self.envs = envs.make(cfg.env, num_sessions=num_sessions)
        self.algorithm = cfg.algorithm()(
            cfg.agent,
            info.obs_space,
            info.action_space,
            num_sessions=num_sessions,
            num_envs=cfg.env.num_envs,
            max_frame=cfg.env.max_frame,
            seed=seed,
            device=cfg.meta.device,
        )
        self.buffer = self.algorithm.make_buffer()
        self.tracker = Tracker(num_sessions)
        self.clock = Clock(cfg.env.num_envs, cfg.env.max_frame)
        self.evaluator = None
        if cfg.meta.rigorous_eval:
            self.evaluator = Evaluator(
                cfg.env, num_sessions=num_sessions, num_episodes=cfg.meta.rigorous_eval, seed=seed
            )
        self.evaluation: list[float] = [math.nan] * num_sessions
        self.best_scores: list[float] = [-math.inf] * num_sessions
        self.best: dict[str, Any] | None = None
        self.best_changed = False
        self.saved_at = -math.inf
        self.save_seconds = 0.0  # that the latest save took
        title = (
            f"{cfg.agent.name} on {cfg.env.id} ({cfg.env.backend}), {num_sessions} session{'s' * (num_sessions > 1)}"
        )
        self.console = Console(title, cfg.env.max_frame)
        self._open_directory(resumed=state is not None)
        for note in info.notes:
            self.console.message(note)
        self.env_state: dict[str, Any] | None = None
        if state is not None:
            self._restore(state)
        self.writers = [
            SessionWriter(self.directory / f"session_{session}", resumed_at=None if state is None else self.clock.frame)
            for session in range(num_sessions)
        ]

    def _open_directory(self, *, resumed: bool) -> None:
        (self.directory / "checkpoints").mkdir(parents=True, exist_ok=True)
        self.hold = Hold(self.directory)
        facts = provenance.collect(self.cfg.meta.seed, env_backend=self.cfg.env.backend)
        path = self.directory / "provenance.json"
        if resumed:
            (self.directory / ERROR).unlink(missing_ok=True)
            first = json.loads(path.read_text()) if path.exists() else {}
            facts = first | {"resumed": [*first.get("resumed", []), facts]}
        else:
            config.save(self.cfg, self.directory / "config.yaml")
        path.write_text(json.dumps(facts, indent=2) + "\n")

    def _env_seeds(self, *key: int) -> list[int]:
        """One seed for each sub-env, session by session."""
        num_envs = self.cfg.env.num_envs
        sessions = range(self.cfg.meta.max_session)
        return [s for session in sessions for s in session_seeds(self.cfg.meta.seed, session, "env", num_envs, *key)]

    def run(self) -> float:
        """Train to the budget, then write `trial.json` and the learning curve."""
        cfg = self.cfg
        self.console.message(f"{self.console.title}, {cfg.env.max_frame:,} frames -> {self.directory}")
        # evaluation first: a log checkpoint at the same frame then knows its score
        events = [
            Event(cfg.meta.eval_frequency, self._eval_checkpoint),
            Event(cfg.meta.log_frequency, self._log_checkpoint),
        ]
        self._begin_episodes()
        self.tracker.start(self.clock.frame)
        with stopping_on_signals(self.clock.stop) as received:
            train(self.envs, self.algorithm, self.buffer, self.tracker, events, self.clock)
        self.console.close()
        if received and not self.clock.finished:
            self._save()
            self.console.message(f"stopped at frame {self.clock.frame:,}; go on with: {self._resume_command()}")
            raise SystemExit(128 + received[0])
        score = float(np.mean(self._scores()))
        if self.search:
            self._save()  # it may have been stopped between two saves
            self.search.finish(score, self.clock.frame)
        self.close()
        pruned = self.search is not None and self.search.pruned
        summary = summarize(self.directory, picture=not pruned)  # half a second that the next trial can use
        self.console.summary(
            summary,
            threshold=cfg.env.reward_threshold,
            evaluated=self.evaluator is not None,
            closing={
                "results": str(self.directory),
                "learning curve": str(self.directory / "learning_curve.png"),
                "look closer": f"tensorboard --logdir {self.directory}",
            }
            | ({"eight seeds": command} if (command := validation_command(sys.argv)) else {}),
        )
        return score

    def give_up(self, error: envs.EnvError) -> str:
        """Save what there is after an env has failed; returns the line that says what happened."""
        self.console.close()
        self._save(envs_failed=True)
        path = self.note_error(error)
        return (
            f"env.id: {self.cfg.env.id} failed at frame {self.clock.frame:,}, {error} "
            f"(the traceback is in {path}); once it is mended go on with: {self._resume_command()}"
        )

    def note_error(self, error: Exception) -> Path:
        """Leave the traceback in the run directory, where it tells a run that failed from one that was stopped."""
        path = self.directory / ERROR
        path.write_text("".join(traceback.format_exception(error)))
        return path

    def _resume_command(self) -> str:
        return f"{program(sys.argv)} {shlex.quote(f'meta.resume={self.directory}')}"

    def _scores(self) -> list[float]:
        return self.evaluation if self.evaluator else self.tracker.mean_returns()

    def _log_checkpoint(self) -> None:
        rows = self.tracker.rows(self.clock.frame)
        for writer, row in zip(self.writers, rows, strict=True):
            writer.write_train(row)
        if not self.evaluator:
            self._keep_best()
        period = max(SAVE_PERIOD, self.save_seconds / SAVE_SHARE)
        if self.clock.finished or time.monotonic() - self.saved_at > period:
            self._save()
        self.console.progress(rows, self.best_scores)
        if self.search:
            self._report(self.search)

    def _report(self, search: TrialHandle) -> None:
        """Tell the search the mean over sessions, on a grid of frames that does not depend on `env.num_envs`."""
        period = self.cfg.meta.log_frequency
        frame = self.clock.frame // period * period
        if frame and search.report(frame, float(np.mean(self._scores())), last=self.clock.finished):
            self.clock.stop()

    def _eval_checkpoint(self) -> None:
        frame = self.clock.frame
        common = {"frame": frame, "elapsed_s": self.tracker.elapsed}
        if self.evaluator is None:
            rows = [{"eval/mean_reward": score} for score in self.tracker.mean_returns()]
        else:
            result = self.evaluator.run(self.algorithm, frame)
            rows = _evaluation_rows(result)
            self.evaluation = [row["eval/mean_reward"] for row in rows]
            self._keep_best()
        for writer, row in zip(self.writers, rows, strict=True):
            writer.write_eval(common | row, inferred=self.evaluator is None)

    def _keep_best(self) -> None:
        """Remember the policy of each session whose score is its best so far."""
        scores, frame = self._scores(), self.clock.frame
        better = [new > old for new, old in zip(scores, self.best_scores, strict=True)]
        if not any(better):
            return
        policy = self.algorithm.state_dict()["policy"]
        if self.best is None:
            self.best = {"frame": [0] * len(scores), "policy": policy}
        chosen = torch.tensor(better, device=self.algorithm.device)
        self.best["policy"] = {
            name: torch.where(chosen.view(-1, *[1] * (x.dim() - 1)), x, self.best["policy"][name].to(x.device))
            for name, x in policy.items()
        }
        self.best["frame"] = [frame if b else old for b, old in zip(better, self.best["frame"], strict=True)]
        self.best_scores = [new if b else old for b, new, old in zip(better, scores, self.best_scores, strict=True)]
        self.best_changed = True

    def _save(self, *, envs_failed: bool = False) -> None:
        """Bring everything to disk: the rows first, so that `last` never knows of a frame that the curves do not."""
        started = time.monotonic()
        for writer in self.writers:
            writer.flush()
        directory = self.directory / "checkpoints"
        if self.best_changed:
            checkpoint.write(directory / "best.safetensors", {**(self.best or {}), "score": self.best_scores})
            self.best_changed = False
        state = {
            "step": self.clock.step,
            "algorithm": self.algorithm.state_dict(),
            "buffer": self.buffer.state_dict(),
            "envs": {"envs": None} if envs_failed else self.envs.state_dict(),
            "tracker": self.tracker.state_dict(),
            "evaluation": self.evaluation,
        }
        checkpoint.write(directory / "last.safetensors", state)
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - started

    def _restore(self, state: dict[str, Any]) -> None:
        self.clock.step = state["step"]
        self.algorithm.load_state_dict(state["algorithm"])
        self.buffer.load_state_dict(state["buffer"])
        if not self.buffer.save:
            self.console.message("the replay buffer was not saved: it fills anew, up to agent.learning_starts")
        self.tracker.load_state_dict(state["tracker"])
        self.evaluation = state["evaluation"]
        best_path = self.directory / "checkpoints" / "best.safetensors"
        if best_path.exists():
            self.best = checkpoint.read(best_path)
            self.best_scores = self.best.pop("score")
        self.env_state = state["envs"]

    def _begin_episodes(self) -> None:
        """In every sub-env; a resumed run goes on where its envs were, if their state is known."""
        if self.env_state is None:
            self.envs.reset(self._env_seeds())
            return
        self.envs.reset(self._env_seeds(self.clock.frame))
        if self.env_state["envs"] is None:
            self.buffer.restart()
            self.console.message(f"the state of {self.cfg.env.id} was not saved: its episodes begin anew")
        else:
            self.envs.load_state_dict(self.env_state)

    def close(self) -> None:
        self.console.close()
        self.envs.close()
        if self.evaluator:
            self.evaluator.close()
        for writer in getattr(self, "writers", []):
            writer.close()


def validation_command(argv: list[str]) -> str | None:
    """The command line of this run, with the meta preset that validates a result; None for a grid or a resumed run."""
    if {"-m", "--multirun"} & set(argv) or any("meta.resume=" in word for word in argv):
        return None
    kept = [w for w in argv[1:] if not w.startswith(("meta", "run_dir=", "hydra.")) and w != "env=gymnasium"]
    return f"{program(argv)} {shlex.join([*kept, 'meta=validate'])}"


def _evaluation_rows(result: Evaluation) -> list[dict[str, float]]:
    return [
        {
            "eval/mean_reward": float(returns.mean()),
            "eval/std_reward": float(returns.std()),
            "eval/min_reward": float(returns.min()),
            "eval/max_reward": float(returns.max()),
            "eval/mean_ep_length": float(lengths.mean()),
        }
        for returns, lengths in zip(result.returns, result.lengths, strict=True)
    ]
