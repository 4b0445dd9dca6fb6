"""Where the rows of a run are written: by each class in `WRITERS`, which has a file of its own."""

from pathlib import Path
from typing import Protocol

from rllab.tracking.csv_files import CsvWriter
from rllab.tracking.tensorboard import TensorBoardWriter
from rllab.tracking.tracker import Row


class Writer(Protocol):
    """Writes the rows of one session, each a number for every tag, ``frame`` and ``elapsed_s``; nan is no number yet.

    With Hogwild it is a row of the policy, or of one worker.
    """

    def __init__(self, directory: Path, *, resumed_at: int | None) -> None:
        """Begin to write.

        Args:
            directory: of the session, in the run's directory; it is there.
            resumed_at: the frame from which a run goes on, None for a new one. Rows after it, which an earlier process
                may have written, come again.
        """

    def write_train(self, row: Row) -> None:
        """Take the row of a log checkpoint."""

    def write_eval(self, row: Row, *, inferred: bool) -> None:
        """Take the row of an evaluation; an `inferred` one repeats what training episodes have told."""

    def flush(self) -> None:
        """Bring to disk what can still be lost: a checkpoint is saved next."""

    def close(self) -> None:
        """The run has ended, or has been stopped."""


WRITERS: list[type[Writer]] = [CsvWriter, TensorBoardWriter]
"""All that write. A package of your own may append to it."""


class SessionWriter:
    """All writers of one session, as one; its methods are those of `Writer`."""

    def __init__(self, directory: Path, *, resumed_at: int | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.writers = [make(directory, resumed_at=resumed_at) for make in WRITERS]

    def write_train(self, row: Row) -> None:
        for writer in self.writers:
            writer.write_train(row)

    def write_eval(self, row: Row, *, inferred: bool) -> None:
        for writer in self.writers:
            writer.write_eval(row, inferred=inferred)

    def flush(self) -> None:
        for writer in self.writers:
            writer.flush()

    def close(self) -> None:
        for writer in self.writers:
            writer.close()
