"""Where both programs begin: nothing heavy is imported before Ctrl-C ends them without a word."""

# ruff: noqa: E402 - Ctrl-C may come while all the rest is imported
from __future__ import annotations

import os
import signal


def _leave(number: int, _: object) -> None:
    """End at once: there is nothing that wants to be saved, and an exception might be raised where it is ignored."""
    if os.isatty(1):
        os.write(1, b"\x1b[?25h")  # a table that changes hides the cursor
    os._exit(128 + number)


signal.signal(signal.SIGINT, _leave)

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def train() -> None:
    """The `rllab-train` command; `python train.py` in a checkout is the same."""
    with prepared():
        if "query=bash" in sys.argv and "COMP_LINE" in os.environ:  # the shell wants completions for TAB
            from rllab.completion import offers  # noqa: PLC0415 - see above

            if (offered := offers(os.environ["COMP_LINE"])) is not None:
                print(*offered)  # noqa: T201 - bash reads it
                return
        from rllab.command.train import main  # noqa: PLC0415 - see above

        main()


def rllab() -> None:
    """The `rllab` command."""
    with prepared():
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a verb has files and processes to tidy up
        from rllab.command import main  # noqa: PLC0415 - see above

        main()


@contextmanager
def prepared() -> Iterator[None]:
    """Make sure of a working directory and of streams that can be written, and end in one line where they fail."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever started us has closed it
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 - for as long as this process lives
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        sys.exit("error: the working directory has gone; cd into one that is there")
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # a verb says nothing else than this; a run goes on without it (see tracking.console)
        if "RLLAB_TRACEBACK" in os.environ:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left of it
        if isinstance(error, BrokenPipeError):  # the reader has gone, as in `rllab ls | head`
            sys.exit(0)
        from rllab.text import printable  # noqa: PLC0415

        where = f"{error.filename}: " if error.filename else "standard output: "
        sys.exit(f"error: {printable(f'{where}{error.strerror or error}')}")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: what the interpreter tidies up takes a moment
