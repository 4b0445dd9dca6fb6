"""The process of one worker: it trains its sessions and tells its parent about them."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from rllab import checkpoint
from rllab.distributed import hogwild
from rllab.envs import DivergedError, EnvError
from rllab.training.loop import Clock, Event
from rllab.training.sessions import Checkpoint, Sessions

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    import numpy as np
    from torch import Tensor

    from rllab.config import RunConfig
    from rllab.envs import EnvInfo


@dataclass
class Board:
    """Numbers in shared memory that parent and workers watch, because a message would have to be waited for."""

    memory: Tensor

    @staticmethod
    def make(num_workers: int) -> Board:
        return Board(torch.zeros(num_workers + 2, dtype=torch.int64).share_memory_())  # type: ignore[no-untyped-call]

    def __post_init__(self) -> None:
        numbers = self.memory.numpy()
        self.frames: np.ndarray = numbers[:-2]
        """Taken by each worker."""
        self.stop: np.ndarray = numbers[-2:-1]
        """1: leave the loop after the current step."""
        self.snapshot: np.ndarray = numbers[-1:]
        """Number of the snapshot that is wanted: send the state, and wait."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Board, (self.memory,)


class WorkerClock(Clock):
    """The clock of one worker, which others can see; with Hogwild the frames of all workers are one count."""

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
    """Train, see `_train`; whatever goes wrong, the parent is told."""
    try:
        _train(link, *arguments)
    except DivergedError as error:
        link.send(("diverged", str(error), error.frame))
    except Exception as error:  # noqa: BLE001 - the parent ends the run
        line = " ".join(f"{type(error).__name__}: {error}".split())
        link.send(("crashed", line, traceback.format_exc()))


def _train(
    link: Connection,
    index: int,
    numbers: range,
    cfg: RunConfig,
    info: EnvInfo,
    board: Board,
    policy: Tensor | None,
) -> None:
    """Train the sessions `numbers`; `policy` is the memory of the one that all workers share, if they share one."""
    torch.set_num_threads(cfg.meta.num_threads)
    common = policy is not None
    clock = WorkerClock(cfg.env.num_envs, cfg.env.max_frame, board, index, common=common)
    sessions = Sessions(cfg, info, numbers, clock)
    sessions.watch = lambda *_: sessions.stop() if board.stop[0] else None  # in an evaluation too
    if policy is not None:
        hogwild.attach(sessions.algorithm, policy, copies=cfg.meta.distributed == "synced")
    state, best = (data and checkpoint.loads(data) for data in link.recv())
    link.send(("ready", sessions.begin(state, best)))

    def tell(found: Checkpoint) -> None:
        if common:
            found = found._replace(episodes=sessions.tracker.last_episodes(0))
        link.send(("checkpoint", found))

    def send_state(kind: str, number: int) -> None:
        state, best = sessions.snapshot()
        link.send((kind, number, checkpoint.dumps(state), best and checkpoint.dumps(best)))

    answered = 0
    while link.recv() == "state":  # all are ready; it is wanted before they go
        answered = int(board.snapshot[0])
        send_state("state", answered)
    if policy is not None:
        hogwild.pull(sessions.algorithm)

    def look_at_the_board() -> None:
        nonlocal answered
        sessions.watch(0, 0)
        if board.snapshot[0] > answered:
            answered = int(board.snapshot[0])
            send_state("state", answered)
            link.recv()  # it has been taken from all

    try:
        sessions.train(tell, Event(1, look_at_the_board))
    except EnvError as error:
        link.send(("env failed", str(error), traceback.format_exc()))
    send_state("end", 0)
    sessions.close()
