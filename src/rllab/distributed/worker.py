"""What runs in the process of one worker: it trains its sessions and tells its parent about them."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from rllab import checkpoint
from rllab.distributed import hogwild
from rllab.envs import DivergedError, EnvError
from rllab.envs.registry import register
from rllab.host.process import num_cpus
from rllab.kernels import threads
from rllab.text import one_line
from rllab.training.loop import Clock, Event
from rllab.training.sessions import CheckpointReport, Sessions

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    import numpy as np
    from torch import Tensor

    from rllab.config import RunConfig
    from rllab.envs import EnvInfo


@dataclass
class Board:
    """Numbers in shared memory by which parent and workers tell each other what must not wait for a message."""

    memory: Tensor

    @staticmethod
    def make(num_workers: int) -> Board:
        return Board(torch.zeros(num_workers + 2, dtype=torch.int64).share_memory_())  # type: ignore[no-untyped-call]

    def __post_init__(self) -> None:
        numbers = self.memory.numpy()
        self.frames: np.ndarray = numbers[:-2]
        """Frames that each worker has taken, ``[num_workers]``; the two below hold one number each."""
        self.stop: np.ndarray = numbers[-2:-1]
        """1 where all are to leave the loop after their current step."""
        self.snapshot: np.ndarray = numbers[-1:]
        """Number of the latest snapshot: whoever has not answered it sends the state and waits."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Board, (self.memory,)


class WorkerClock(Clock):
    """A clock whose frames the other processes see. With Hogwild (`common`) it shows those of all workers together."""

    def __init__(self, num_envs: int, max_frame: int, board: Board, index: int, *, common: bool) -> None:
        super().__init__(num_envs, max_frame)
        self.board, self.index, self.common = board, index, common

    def _frame(self) -> int:
        self.board.frames[self.index] = self.taken
        return int(self.board.frames.sum()) if self.common else self.taken

    def restore(self, step: int, frame: int) -> None:
        super().restore(step, frame)
        self.board.frames[self.index] = self.taken


def main(link: Connection, *arguments: Any) -> None:
    """Train the sessions of one `Worker`; whatever goes wrong, the parent is told."""
    try:
        Worker(link, *arguments).train()
    except DivergedError as error:
        link.send(("diverged", str(error), error.frame))
    except Exception as error:  # noqa: BLE001 - the parent ends the run
        line = one_line(f"{type(error).__name__}: {error}")
        link.send(("crashed", line, traceback.format_exc()))


class Worker:
    """The sessions of this process. The parent is told of them in tuples that begin with a word, through a pipe."""

    def __init__(
        self,
        link: Connection,
        index: int,
        numbers: range,
        cfg: RunConfig,
        info: EnvInfo,
        board: Board,
        policy: Tensor | None,
        specs: list[bytes],
        callbacks: bool,
    ) -> None:
        """Make the sessions `numbers`, on envs as the parent has `registered` them.

        With Hogwild, `policy` is the memory of the policy that all workers share, and no worker waits for others.
        Otherwise, where there are `callbacks`, one goes on after a checkpoint when the parent says so.
        """
        for spec in specs:
            register(spec)
        torch.set_num_threads(cfg.meta.num_threads)
        threads.use(num_cpus() * len(numbers) // cfg.meta.max_session)
        self.link, self.board = link, board
        self.shares_policy, self.waits = policy is not None, callbacks and policy is None
        clock = WorkerClock(cfg.env.num_envs, cfg.env.max_frame, board, index, common=self.shares_policy)
        self.sessions = Sessions(cfg, info, numbers, clock=clock, watch=self.stop_if_told, callbacks=callbacks)
        if policy is not None:
            hogwild.attach(self.sessions.algorithm, policy, copies=cfg.meta.distributed == "synced")
        self.answered = 0
        """Number of the latest snapshot that this worker has sent its state for."""

    def train(self) -> None:
        """Begin or go on as the parent says, train to the budget or until told to stop, and send the last state."""
        state, best = (data and checkpoint.loads(data) for data in self.link.recv())
        self.link.send(("ready", self.sessions.begin(state, best)))
        self.wait()  # until all are ready
        if self.shares_policy:
            hogwild.pull(self.sessions.algorithm)
        try:
            self.sessions.train(self.tell, Event(1, self.look_at_the_board))
        except EnvError as error:
            self.link.send(("env failed", str(error), traceback.format_exc()))
        self.send_state("end", 0)
        self.sessions.close()

    def tell(self, report: CheckpointReport) -> None:
        """Send what the sessions report at a checkpoint."""
        if self.shares_policy:
            report = report._replace(episodes=self.sessions.tracker.last_episodes(0))
        self.link.send(("checkpoint", report))
        if self.waits:
            self.wait()

    def wait(self) -> None:
        """Until the parent says what to go on with: coefficients of the agent that are to have other values."""
        while (word := self.link.recv()) == "state":
            self.answer()
        self.sessions.set(word)

    def look_at_the_board(self) -> None:
        """After each step: stop if the parent says so, and send the state if it wants one."""
        self.stop_if_told()
        if self.board.snapshot[0] > self.answered:
            self.answer()
            self.link.recv()  # it has been taken from all

    def stop_if_told(self, _ended: int = 0, _steps: int = 0) -> None:
        """Also watches evaluations, which may be long."""
        if self.board.stop[0]:
            self.sessions.stop()

    def answer(self) -> None:
        """Send the state for the snapshot that is wanted."""
        self.answered = int(self.board.snapshot[0])
        self.send_state("state", self.answered)

    def send_state(self, kind: str, number: int) -> None:
        state, best = self.sessions.snapshot()
        self.link.send((kind, number, checkpoint.dumps(state), best and checkpoint.dumps(best)))
