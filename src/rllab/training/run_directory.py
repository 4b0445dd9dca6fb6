"""The directory of a run on disk: its config, where it comes from, its checkpoints, and why it failed."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllab import checkpoint, config
from rllab.errors import ConfigError
from rllab.host import provenance
from rllab.host.process import LOCK, Hold, is_held, program

if TYPE_CHECKING:
    from rllab.config import RunConfig

CONFIG = "config.yaml"
LAST = Path("checkpoints") / "last.safetensors"
BEST = Path("checkpoints") / "best.safetensors"
ERROR = "error.txt"


class RunDirectory:
    """The directory that a run writes. Others see that it is being written, until `release`."""

    def __init__(self, cfg: RunConfig, *, resumed: bool) -> None:
        """Make the directory, or go on in that of an earlier run."""
        self.path = Path(cfg.run_dir)
        (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
        self.hold = Hold(self.path)
        facts = provenance.collect(cfg.meta.seed, env_backend=cfg.env.backend, distributed=cfg.meta.distributed)
        path = self.path / "provenance.json"
        if resumed:
            (self.path / ERROR).unlink(missing_ok=True)
            first = json.loads(path.read_text()) if path.exists() else {}
            facts = first | {"resumed": [*first.get("resumed", []), facts]}
        else:
            config.save(cfg, self.path / CONFIG)
        path.write_text(json.dumps(facts, indent=2) + "\n")

    def save(self, last: dict[str, Any], best: dict[str, Any] | None) -> None:
        """Write the checkpoints; `best` stays as it is where there is no other one."""
        if best is not None:
            checkpoint.write(self.path / BEST, best)
        checkpoint.write(self.path / LAST, last)

    def read_best(self) -> dict[str, Any] | None:
        """The checkpoint `best`, if there is one."""
        path = self.path / BEST
        return checkpoint.read(path) if path.exists() else None

    def saved_frame(self) -> int | None:
        """The frame of the checkpoint `last`; None if nothing was saved, or cannot be read."""
        try:
            return int(checkpoint.read(self.path / LAST, "frame"))
        except checkpoint.CheckpointError:
            return None

    def note_error(self, error: Exception) -> Path:
        """Leave the traceback in a file, which tells a run that failed from one that was stopped; returns its path."""
        path = self.path / ERROR
        path.write_text("".join(traceback.format_exception(error)))
        return path

    def resume_command(self) -> str:
        """What a person types to go on with this run."""
        return f"{program(sys.argv)} {shlex.quote(f'meta.resume={self.path}')}"

    def release(self) -> None:
        """This process writes no more."""
        self.hold.release()


def load_run(directory: Path, *, in_search: bool = False) -> tuple[RunConfig, dict[str, Any]]:
    """Config and `last` checkpoint of a run that was stopped.

    Args:
        directory: of the run.
        in_search: whether a search goes on with the trial. An attempt at it that is about to end may still write.

    Raises:
        ConfigError: it is no such directory, another process writes it, or its checkpoint cannot be used.
    """
    got = f"meta.resume: got {str(directory)!r}"
    if not (directory / CONFIG).is_file():
        raise ConfigError(f"{got}, which is no run directory; write one that holds {CONFIG}")
    if is_held(directory / LOCK) and not in_search:
        raise ConfigError(f"{got}, which another process is still writing; end that first")
    try:
        state = checkpoint.read(directory / LAST)
    except checkpoint.CheckpointError as error:
        raise ConfigError(f"{got}, whose checkpoint cannot be used: {error}") from None
    if "scores" not in state:
        raise ConfigError(
            f"{got}, which an older version of rllab wrote; it can be played and reported on, but not go on"
        )
    return dataclasses.replace(config.load_file(directory / CONFIG), run_dir=str(directory)), state


def check_free(cfg: RunConfig) -> None:
    """Raise a one-line ConfigError if the directory of a new run holds one already."""
    if (Path(cfg.run_dir) / CONFIG).exists():
        raise ConfigError(
            f"run_dir: got {cfg.run_dir!r}, which holds a run already; write another one, or meta.resume={cfg.run_dir}"
        )


def continued(cfg: RunConfig) -> RunConfig:
    """The config of a trial of a search, which goes on where it was saved last, or begins anew if it never was."""
    directory = Path(cfg.run_dir)
    if (directory / LAST).exists():
        return dataclasses.replace(cfg, meta=dataclasses.replace(cfg.meta, resume=str(directory)))
    (directory / CONFIG).unlink(missing_ok=True)
    return cfg
