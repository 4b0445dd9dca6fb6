"""A trial whose sessions train in several processes, as its parent sees them."""

from __future__ import annotations

import math
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from multiprocessing.connection import Pipe, wait
from typing import TYPE_CHECKING, Any

import torch

from rllab import checkpoint
from rllab.distributed import merge, worker
from rllab.distributed.checks import share
from rllab.distributed.policy import SharedPolicy
from rllab.distributed.worker import Board
from rllab.envs import DivergedError, EnvError
from rllab.functional.finite import not_finite
from rllab.host.process import end_group, num_cpus, start_process
from rllab.training.sessions import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from rllab.config import RunConfig
    from rllab.envs import EnvInfo

_LOOK = 1.0
"""Seconds between two looks at whether workers still move."""


class WorkerError(Exception):
    """A worker crashed, was killed or hangs. Its text is one line; a traceback of the worker's is a note."""


@dataclass
class _Worker:
    """One process, and what it has said."""

    numbers: range
    process: BaseProcess
    link: Connection
    ready: bool = False
    notes: list[str] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)  # that not all have reached
    state: dict[str, Any] | None = None
    best: dict[str, Any] | None = None
    best_changed: bool = False
    answered: int = 0  # the latest snapshot that it is part of
    ended: bool = False
    frame: int = 0  # when it was last seen to move, ...
    moved_at: float = field(default_factory=time.monotonic)  # ... and that moment


class Workers:
    """What `Sessions` is, in several processes: each has its share of the sessions.

    With Hogwild every process trains one session, and all act on one policy. This process then holds it as well: it is
    who keeps the best one.
    """

    def __init__(self, cfg: RunConfig, info: EnvInfo) -> None:
        self.cfg, self.info = cfg, info
        self.num_workers = cfg.meta.max_session if cfg.meta.distributed else int(cfg.meta.num_workers)
        self.board = Board.make(self.num_workers)
        self.workers: list[_Worker] = []
        self.frame = 0  # that all have reached, as far as checkpoints tell
        self.num_snapshots = 0
        self.going = False  # workers wait until `train` lets them go
        self.failure: EnvError | DivergedError | None = None
        self.policy = SharedPolicy(cfg, info) if cfg.meta.distributed else None

    @property
    def finished(self) -> bool:
        """Whether the budget is used up."""
        return self.frame >= self.cfg.env.max_frame

    def begin(self, state: dict[str, Any] | None = None, best: dict[str, Any] | None = None) -> list[str]:
        """Start the processes, and with them an episode in every sub-env; or go on, as `Sessions.begin`."""
        self.workers = [self._start(index, numbers) for index, numbers in enumerate(self._shares())]
        if state is not None:
            self.frame = state["frame"]
            for each, saved, pending in zip(self.workers, state["workers"], state["pending"], strict=True):
                each.state = saved
                each.checkpoints.extend(Checkpoint(*found) for found in pending)
        for each in self.workers:
            if best is not None and self.policy is None:
                each.best = _cut(best, each.numbers)
            each.link.send([part and checkpoint.dumps(part) for part in (each.state, each.best)])
        while not all(each.ready for each in self.workers):
            self._receive()
        if self.policy is not None:  # what the workers have loaded into it side by side may not fit together
            self.policy.load(state and state["workers"][0]["algorithm"], best)
        return list(dict.fromkeys(note for each in self.workers for note in each.notes))

    def _shares(self) -> list[range]:
        """Numbers of the sessions of each worker."""
        num_sessions = self.cfg.meta.max_session
        cuts = [round(index * num_sessions / self.num_workers) for index in range(self.num_workers + 1)]
        return [range(*pair) for pair in pairwise(cuts)]

    def _start(self, index: int, numbers: range) -> _Worker:
        ours, theirs = Pipe()
        arguments = (index, numbers, self._config(), self.info, self.board, self.policy and self.policy.block)
        with theirs:
            process = start_process(worker.main, theirs, *arguments)
        return _Worker(numbers, process, ours)

    def _config(self) -> RunConfig:
        """What a worker is told: its part of the cores, and with Hogwild of what is counted in frames of a session."""
        env = self.cfg.env
        env = replace(env, num_threads=env.num_threads or max(1, num_cpus() // self.num_workers))
        return replace(self.cfg, env=env, agent=share(self.cfg))

    def train(self, tell: Callable[[Checkpoint], None]) -> None:
        """Wait until all have trained to the budget, or until `stop`; `tell` is called at each checkpoint.

        Raises:
            EnvError: an env failed, and all have been stopped.
            DivergedError: a session has diverged, and all have been stopped.
            WorkerError: a worker is lost.
        """
        self.going = True
        for each in self.workers:
            each.link.send("go")
        while not all(each.ended for each in self.workers):
            self._receive()
            for found in self._complete():
                tell(found)
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Let all leave their loop after the current step."""
        self.board.stop[0] = 1

    def _receive(self) -> None:
        """Take in what workers say, and look at whether they live."""
        living = {each.link: each for each in self.workers if not each.ended}
        ready = wait([*living, *(each.process.sentinel for each in living.values())], _LOOK)
        for link, each in living.items():
            gone = each.process.sentinel in ready  # its last words may still be in the pipe
            try:
                while not each.ended and link.poll():
                    self._take_in(each, link.recv())
            except (EOFError, ConnectionResetError):
                gone = True
            if gone and not each.ended:
                raise WorkerError(f"{self._name(each)} {_cause(each.process)}")
            self._check_that_it_moves(each)

    def _take_in(self, each: _Worker, message: tuple[Any, ...]) -> None:
        each.moved_at = time.monotonic()
        match message:
            case ("ready", notes):
                each.ready, each.notes = True, notes
            case ("checkpoint", found):
                each.checkpoints.append(found)
            case ("state" | "end" as kind, number, state, best):
                each.state, each.answered, each.ended = checkpoint.loads(state), number, kind == "end"
                if best is not None:
                    each.best, each.best_changed = checkpoint.loads(best), True
            case ("env failed", text, trace):
                self.failure = EnvError(f"{self._name(each)}, {text}")
                self.failure.add_note(trace)
                self.stop()
            case ("diverged", text, frame):
                each.ended = True
                if not isinstance(self.failure, DivergedError):  # others of the same policy say so too
                    self.failure = DivergedError(text)
                    self.failure.frame = frame
                self.stop()
            case ("crashed", text, trace):
                error = WorkerError(f"{self._name(each)} crashed: {text}")
                error.add_note(trace)
                raise error

    def _name(self, each: _Worker) -> str:
        index = self.workers.index(each)
        return f"worker {index} of {self.num_workers} (at frame {int(self.board.frames[index]):,} of its own)"

    def _check_that_it_moves(self, each: _Worker) -> None:
        frame = int(self.board.frames[self.workers.index(each)])
        if frame != each.frame or each.ended:
            each.frame, each.moved_at = frame, time.monotonic()
        elif time.monotonic() - each.moved_at > self.cfg.meta.worker_timeout:
            raise WorkerError(
                f"{self._name(each)} hangs: no env step or checkpoint for meta.worker_timeout="
                f"{self.cfg.meta.worker_timeout:g} seconds"
            )

    def _complete(self) -> Iterator[Checkpoint]:
        """Checkpoints that all workers have reached, oldest first; once all stop, the rest is for a run to go on."""
        while not self.board.stop[0]:
            found = [parts for kind in ("eval", "log") if (parts := self._next(kind))]
            if not found:
                return
            parts = min(found, key=lambda parts: min(part.frame for part in parts))
            for each, part in zip(self.workers, parts, strict=True):
                each.checkpoints = [x for x in each.checkpoints if x.kind != part.kind or x.frame > part.frame]
            whole = merge.side_by_side(parts) if self.policy is None else self.policy.checkpoint(parts)
            self.frame = whole.frame
            yield whole

    def _next(self, kind: str) -> list[Checkpoint]:
        """What each worker says at the next checkpoint of this kind; nothing if not all have reached it.

        Workers that share a policy have one count of frames, so one of them may see it pass several periods at once
        and skip a checkpoint. What the others say of that one is left out then: they say more at the next.
        """
        said = [{self._period(x): x for x in each.checkpoints if x.kind == kind} for each in self.workers]
        common = set.intersection(*map(set, said))
        return [found[min(common)] for found in said] if common else []

    def _period(self, found: Checkpoint) -> float:
        """Number of the period that this checkpoint ends; infinity at the end of the budget."""
        if found.frame >= self.cfg.env.max_frame:
            return math.inf
        meta = self.cfg.meta
        return found.frame // (meta.log_frequency if found.kind == "log" else meta.eval_frequency)

    def snapshot(self) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """As `Sessions.snapshot`. Workers stop after their current step until all have sent theirs.

        Raises:
            DivergedError: one of them has diverged.
        """
        self.num_snapshots += 1
        self.board.snapshot[0] = self.num_snapshots
        if not self.going:
            for each in self.workers:
                each.link.send("state")
        while not all(each.ended or each.answered == self.num_snapshots for each in self.workers):
            self._receive()
        if isinstance(self.failure, DivergedError):
            raise self.failure
        if self.policy is not None and (found := not_finite(self.policy.algorithm.state_dict(), 1)):
            raise DivergedError(f"the policy: {found[2]} in {found[0]}")  # no worker has looked at it since
        states = [each.state or {} for each in self.workers]
        state = {
            "frame": self.frame,
            "workers": states,
            "pending": [list(each.checkpoints) for each in self.workers],
            "algorithm": {"policy": self._policy_of(states)},  # where players look for it
        }
        best = self._best(states)
        for each in self.workers:
            if not each.ended:
                each.state = None  # a replay buffer is large
                with suppress(OSError):  # its death is noticed elsewhere
                    if self.going:
                        each.link.send("go on")
        return state, best

    def _policy_of(self, states: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        if self.policy is not None:
            return self.policy.algorithm.state_dict()["policy"]  # type: ignore[no-any-return]
        return _along_sessions([state["algorithm"]["policy"] for state in states])

    def _best(self, states: list[dict[str, Any]]) -> dict[str, Any] | None:
        """The policies that scored best, if those are others by now."""
        if self.policy is not None:
            return self.policy.best.news()
        if not any(each.best_changed for each in self.workers):
            return None
        parts = []
        for each, state in zip(self.workers, states, strict=True):
            each.best_changed = False
            none = {"frame": 0, "score": -math.inf}
            unknown = {name: [value] * len(each.numbers) for name, value in none.items()}
            parts.append(each.best or {**unknown, "policy": state["algorithm"]["policy"]})
        return {
            "frame": [frame for part in parts for frame in part["frame"]],
            "score": [score for part in parts for score in part["score"]],
            "policy": _along_sessions([part["policy"] for part in parts]),
        }

    def close(self) -> None:
        """End all processes, with what they have started."""
        for each in self.workers:
            if each.process.is_alive() and each.ended:
                each.process.join(1.0)
            assert each.process.pid
            end_group(each.process.pid)
            each.process.kill()  # it may not have become the leader of its group yet
            each.process.join()
            each.link.close()
        self.workers = []


def _along_sessions(parts: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Policies of the sessions of all workers."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _cut(best: dict[str, Any], numbers: range) -> dict[str, Any]:
    """The part of these sessions."""
    here = slice(numbers.start, numbers.stop)
    policy = {name: x[here] for name, x in best["policy"].items()}
    return {"frame": best["frame"][here], "score": best["score"][here], "policy": policy}


def _cause(process: BaseProcess) -> str:
    """Why a process is gone."""
    process.join(_LOOK)
    code = process.exitcode
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return "hung up" if code is None else f"ended with exit code {code}"
