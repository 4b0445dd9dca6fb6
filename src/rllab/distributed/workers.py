"""The parent of a trial whose sessions train in several processes."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from itertools import pairwise
from multiprocessing.connection import Pipe, wait
from typing import TYPE_CHECKING, Any

from rllab import checkpoint
from rllab.distributed import merge, worker
from rllab.distributed.checks import share
from rllab.distributed.handle import Handle, WorkerError
from rllab.distributed.policy import SharedPolicy
from rllab.distributed.reports import Reports
from rllab.distributed.worker import Board
from rllab.envs import DivergedError, EnvError
from rllab.envs.registry import registered
from rllab.errors import ConfigError
from rllab.functional.finite import not_finite
from rllab.host.process import end_group, num_cpus, start_process
from rllab.training.sessions import CheckpointReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from rllab.config import RunConfig
    from rllab.envs import EnvInfo

_LOOK = 1.0
"""Seconds between two looks at whether workers still move."""


class Workers:
    """Several processes that each train a share of the sessions; to a trial the same as `Sessions`.

    With Hogwild every process trains one session, and all act on one policy in shared memory. This process holds that
    policy too, and keeps a copy of it as it was when it scored best.
    """

    def __init__(self, cfg: RunConfig, info: EnvInfo, *, callbacks: bool = False) -> None:
        """Where there are `callbacks`, workers go on after a checkpoint when it has been told: it may change the rest.

        Hogwild's workers wait for nobody: some may skip a checkpoint at which others would wait for them.
        """
        self.cfg, self.info = cfg, info
        self.callbacks = callbacks
        self.waits = callbacks and not cfg.meta.distributed
        self.set_values: dict[str, float] = {}  # since the workers were told of any
        self.num_workers = cfg.meta.max_session if cfg.meta.distributed else int(cfg.meta.num_workers)
        self.board = Board.make(self.num_workers)
        self.workers: list[Handle] = []
        self.reports = Reports(cfg, self.num_workers)
        self.frame = 0  # of the latest checkpoint that all have reached
        self.num_snapshots = 0
        self.going = False  # workers wait until `train` lets them go
        self.failure: EnvError | DivergedError | None = None
        self.policy = SharedPolicy(cfg, info) if cfg.meta.distributed else None
        try:
            self.specs = [registered(env) for env in (cfg.env, cfg.evaluation_env())]
        except ValueError as error:
            raise ConfigError(str(error)) from error

    @property
    def finished(self) -> bool:
        """Whether the budget is used up."""
        return self.frame >= self.cfg.env.max_frame

    def begin(self, state: dict[str, Any] | None = None, best: dict[str, Any] | None = None) -> list[str]:
        """Start the processes, which begin an episode in every sub-env or go on: see `Sessions.begin`."""
        self.workers = [self._start(index, numbers) for index, numbers in enumerate(self._shares())]
        if state is not None:
            self.frame = state["frame"]
            self.reports.waiting = [[CheckpointReport(*part) for part in parts] for parts in state["pending"]]
            for each, saved in zip(self.workers, state["workers"], strict=True):
                each.state = saved
        for each in self.workers:
            if best is not None and self.policy is None:
                each.best = merge.part_of_best(best, each.numbers)
            each.tell([part and checkpoint.dumps(part) for part in (each.state, each.best)])
        while not all(each.ready for each in self.workers):
            self._receive()
        if self.policy is not None:  # what the workers have loaded into it side by side may not fit together
            self.policy.load(state and state["workers"][0]["algorithm"], best)
        return list(dict.fromkeys(note for each in self.workers for note in each.notes))

    def _shares(self) -> list[range]:
        """The sessions of each worker, by their numbers."""
        num_sessions = self.cfg.meta.max_session
        cuts = [round(index * num_sessions / self.num_workers) for index in range(self.num_workers + 1)]
        return [range(*pair) for pair in pairwise(cuts)]

    def _start(self, index: int, numbers: range) -> Handle:
        ours, theirs = Pipe()
        memory = self.policy and self.policy.block
        arguments = (index, numbers, self._config(), self.info, self.board, memory, self.specs, self.callbacks)
        with theirs:
            process = start_process(worker.main, theirs, *arguments)
        return Handle(index, numbers, process, ours)

    def _config(self) -> RunConfig:
        """The config for a worker, with its part of the cores and of what the agent counts in frames (`share`)."""
        env = self.cfg.env
        env = replace(env, num_threads=env.num_threads or max(1, num_cpus() // self.num_workers))
        return replace(self.cfg, env=env, agent=share(self.cfg))

    def train(self, tell: Callable[[CheckpointReport], None]) -> None:
        """Wait until all have trained to the budget, or until `stop`; `tell` gets a report at each checkpoint.

        Raises:
            EnvError: an env failed, and all have been stopped.
            DivergedError: a session has diverged, and all have been stopped.
            WorkerError: a worker is lost.
        """
        self.going = True
        for each in self.workers:
            each.tell({})
        while not all(each.ended for each in self.workers):
            self._receive()
            while not self.board.stop[0] and (parts := self.reports.take()):  # what is left when all stop is saved
                report = merge.side_by_side(parts) if self.policy is None else self.policy.checkpoint(parts)
                self.frame = report.frame
                tell(report)
                self._let_go()
            if self.board.stop[0]:
                self._let_go()
        if self.failure is not None:
            raise self.failure

    def _let_go(self) -> None:
        """Let those that wait after a checkpoint go on."""
        values, self.set_values = self.set_values, {}
        for each in self.workers:
            if self.waits and each.waits and not each.ended:
                each.tell(values)

    def set(self, values: Mapping[str, float]) -> None:
        """Let these coefficients of the agent have other values from the next step on, see `Sessions.set`.

        Raises:
            ConfigError: Hogwild's workers cannot be told.
        """
        if self.policy is not None:
            raise ConfigError(
                f"meta.distributed: got {self.cfg.meta.distributed!r}, whose workers cannot be told to set "
                f"{', '.join(f'agent.{name}' for name in values)}; write meta.distributed=false"
            )
        self.set_values |= values

    def stop(self) -> None:
        """Let all leave their loop after the current step."""
        self.board.stop[0] = 1

    def _receive(self) -> None:
        """Wait for messages, take them in, and notice who has died or hangs."""
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
                raise WorkerError(f"{self._name(each)} {each.cause()}")
            self._check_that_it_moves(each)

    def _take_in(self, each: Handle, message: tuple[Any, ...]) -> None:
        each.moved_at = time.monotonic()
        match message:
            case ("ready", notes):
                each.ready, each.waits, each.notes = True, True, notes
            case ("checkpoint", report):
                self.reports.waiting[each.index].append(report)
                each.waits = self.waits
            case ("state" | "end" as kind, number, state, best):
                each.state, each.answered, each.ended = checkpoint.loads(state), number, kind == "end"
                each.waits = True
                if best is not None:
                    each.best, each.best_changed = checkpoint.loads(best), True
            case ("env failed", text, trace):
                self.failure = EnvError(f"{self._name(each)}, {text}")
                self.failure.add_note(trace)
                self.stop()
            case ("diverged", text, frame):
                each.ended = True
                if not isinstance(self.failure, DivergedError):  # the first of several: they may share the policy
                    self.failure = DivergedError(text)
                    self.failure.frame = frame
                self.stop()
            case ("crashed", text, trace):
                error = WorkerError(f"{self._name(each)} crashed: {text}")
                error.add_note(trace)
                raise error

    def _name(self, each: Handle) -> str:
        frame = int(self.board.frames[each.index])
        return f"worker {each.index} of {self.num_workers} (at frame {frame:,} of its own)"

    def _check_that_it_moves(self, each: Handle) -> None:
        frame = int(self.board.frames[each.index])
        if frame != each.frame or each.waits or each.ended:
            each.frame, each.moved_at = frame, time.monotonic()
        elif time.monotonic() - each.moved_at > self.cfg.meta.worker_timeout:
            raise WorkerError(
                f"{self._name(each)} hangs: no env step or checkpoint for meta.worker_timeout="
                f"{self.cfg.meta.worker_timeout:g} seconds"
            )

    def snapshot(self) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """What `begin` goes on from, see `Sessions.snapshot`. Workers wait after their step until all have sent theirs.

        Raises:
            DivergedError: one of them has diverged.
        """
        self.num_snapshots += 1
        self.board.snapshot[0] = self.num_snapshots
        if not self.going or self.waits:
            for each in self.workers:
                if not each.ended:
                    each.tell("state")
        while not all(each.ended or each.answered == self.num_snapshots for each in self.workers):
            self._receive()
        if isinstance(self.failure, DivergedError):
            raise self.failure
        if self.policy is not None and (found := not_finite(self.policy.algorithm.state_dict(), 1)):
            raise DivergedError(f"the policy: {found[2]} in {found[0]}")  # since a worker last looked
        states = [each.state or {} for each in self.workers]
        state = {
            "frame": self.frame,
            "workers": states,
            "pending": [list(parts) for parts in self.reports.waiting],
            "algorithm": {"policy": self._policy_of(states)},  # where players look for it
        }
        best = self._best(states)
        for each in self.workers:
            if not each.ended:
                each.state = None  # a replay buffer is large
                if self.going and not self.waits:
                    each.tell("go on")
        return state, best

    def _policy_of(self, states: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        if self.policy is not None:
            return self.policy.algorithm.net.state_dict()
        return merge.policies([state["algorithm"]["policy"] for state in states])

    def _best(self, states: list[dict[str, Any]]) -> dict[str, Any] | None:
        """The policies that scored best, if one of them is new since the last snapshot."""
        if self.policy is not None:
            return self.policy.best.news()
        if not any(each.best_changed for each in self.workers):
            return None
        parts = []
        for each, state in zip(self.workers, states, strict=True):
            each.best_changed = False
            num_sessions = len(each.numbers)
            nothing = {"frame": [0] * num_sessions, "score": [-math.inf] * num_sessions}
            parts.append(each.best or {**nothing, "policy": state["algorithm"]["policy"]})
        return merge.best(parts)

    def close(self) -> None:
        """End all processes, together with those that they have started."""
        for each in self.workers:
            if each.process.is_alive() and each.ended:
                each.process.join(1.0)
            assert each.process.pid
            end_group(each.process.pid)
            each.process.kill()  # it may not have become the leader of its group yet
            each.process.join()
            each.link.close()
        self.workers = []
