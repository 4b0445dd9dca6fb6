"""The line that ends a run which has failed: what happened, what is left of it, and how to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rllab.distributed import WorkerError
from rllab.envs import DivergedError, EnvError
from rllab.training.callbacks import CallbackError

if TYPE_CHECKING:
    from rllab.config import RunConfig
    from rllab.training.run_directory import RunDirectory

FAILURES = (EnvError, DivergedError, WorkerError, CallbackError)
"""What ends a run with one line, and no traceback; so does an `OSError`, as of a full disk."""


def failure_line(error: Exception, cfg: RunConfig, directory: RunDirectory, frame: int) -> str:
    """Leave the traceback of one of `FAILURES` in the run directory; returns the line. `frame` is the latest one."""
    try:
        path = directory.note_error(error)
    except OSError as second:  # the disk is full, or the directory has gone
        error = error if isinstance(error, OSError) else second
        path = directory.path
    saved = directory.saved_frame()
    match error:
        case OSError():
            what = f"{error.filename or directory.path} cannot be written ({error.strerror or error})"
            if saved is None:
                return f"run_dir: at frame {frame:,} {what}; nothing is left of the run"
            go_on = f"once that is mended go on with: {directory.resume_command()}"
            return f"run_dir: at frame {frame:,} {what}; all up to frame {saved:,} is saved, {go_on}"
        case DivergedError():
            frame = frame if error.frame is None else error.frame
            last = "was not saved before" if saved is None else f"is that of frame {saved:,}"
            return (
                f"agent: {cfg.agent.name} diverged before frame {frame:,}, {error}; {_remedy(cfg, frame)}, or the "
                f"scale of rewards and observations. `last` {last}, in {directory.path}"
            )
        case EnvError():
            return (
                f"env.id: {cfg.env.id} failed at frame {frame:,}, {error} (the traceback is in {path}); "
                f"once it is mended go on with: {directory.resume_command()}"
            )
        case _ if saved is None:
            return f"{error} (see {path}); nothing had been saved, so begin anew in another run_dir"
        case _:
            return f"{error} (see {path}); go on from frame {saved:,} with: {directory.resume_command()}"


def _remedy(cfg: RunConfig, frame: int) -> str:
    """What may keep an agent from diverging."""
    if frame == 0:
        return "look at the settings of its network"
    return f"lower agent.lr={cfg.agent.lr}" if hasattr(cfg.agent, "lr") else "lower the learning rate"
