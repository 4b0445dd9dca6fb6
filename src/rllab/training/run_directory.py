"""The directory of a run on disk: its config, where it comes from, its checkpoints, and why it failed."""

from __future__ import annotations

import dataclasses
import shlex
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllab import checkpoint, config
from rllab.errors import ConfigError
from rllab.files import read_json, write_json, write_text
from rllab.host import provenance
from rllab.host.process import LOCK, Hold, is_held, program
from rllab.links import refuse_links

if TYPE_CHECKING:
    from rllab.config import RunConfig

CONFIG = "config.yaml"
LAST = Path("checkpoints") / "last.safetensors"
BEST = Path("checkpoints") / "best.safetensors"
ERROR = "error.txt"
PROVENANCE = "provenance.json"
FORMAT = 2
"""Of what `last` holds: a run of another format cannot go on."""


class RunDirectory:
    """The directory that a run writes. Others see that it is being written, until `hold` is released."""

    def __init__(self, cfg: RunConfig, *, resumed: bool) -> None:
        """Make the directory, or go on in that of an earlier run."""
        self.path = Path(cfg.run_dir)
        refuse_links(self.path)
        (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
        self.hold = Hold(self.path)
        now = provenance.collect(cfg.meta.seed, env_backend=cfg.env.backend, distributed=cfg.meta.distributed)
        self._provenance = self._provenance_now = now
        if resumed:
            (self.path / ERROR).unlink(missing_ok=True)
            first = read_json(self.path / PROVENANCE)
            self._provenance = first | {"resumed": [*first.get("resumed", []), now]}
        else:
            config.save(cfg, self.path / CONFIG)
        self.add_provenance()

    def add_provenance(self, **facts: str) -> None:
        """Write down where the run comes from, with what was not known of this start of it when it began."""
        self._provenance_now |= facts
        write_json(self.path / PROVENANCE, self._provenance)

    def save(self, last: dict[str, Any], best: dict[str, Any] | None) -> None:
        """Write the checkpoints; `best` stays as it is where there is no other one."""
        if best is not None:
            checkpoint.write(self.path / BEST, best)
        checkpoint.write(self.path / LAST, last | {"format": FORMAT})

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
        write_text(path, "".join(traceback.format_exception(error)))
        return path

    def resume_command(self) -> str:
        """What a person types to go on with this run."""
        return f"{program(sys.argv)} {shlex.quote(f'meta.resume={self.path}')}"


def open_run(cfg: RunConfig, *, in_search: bool, trusted: bool = False) -> tuple[RunConfig, dict[str, Any] | None]:
    """What to train: this config, or that of the run which `meta.resume` names, with its checkpoint `last`.

    A trial of a search that was interrupted goes on where it was saved last, or begins anew if it never was. `trusted`
    is that of `config.load_file`.

    Raises:
        ConfigError: the directory is in use, or nothing can go on from there.
    """
    directory = Path(cfg.meta.resume or cfg.run_dir)
    if cfg.meta.resume is not None or (in_search and (directory / LAST).exists()):
        return load_run(directory, in_search=in_search, trusted=trusted)
    if in_search:
        (directory / CONFIG).unlink(missing_ok=True)
    if (directory / CONFIG).exists():
        raise ConfigError(
            f"run_dir: got {cfg.run_dir!r}, which holds a run already; write another one, or meta.resume={cfg.run_dir}"
        )
    return cfg, None


def load_run(directory: Path, *, in_search: bool = False, trusted: bool = False) -> tuple[RunConfig, dict[str, Any]]:
    """Config and checkpoint `last` of a run that was stopped; errors are those of `open_run`.

    In a search another process may still write it: an attempt at the same trial which is about to end.
    """
    got = f"meta.resume: got {str(directory)!r}"
    refuse_links(directory)
    if not (directory / CONFIG).is_file():
        raise ConfigError(f"{got}, which is no run directory; write one that holds {CONFIG}")
    if is_held(directory / LOCK) and not in_search:
        raise ConfigError(f"{got}, which another process is still writing; end that first")
    try:
        state = checkpoint.read(directory / LAST)
    except checkpoint.CheckpointError as error:
        raise ConfigError(f"{got}, whose checkpoint cannot be used: {error}") from None
    if state.get("format") != FORMAT:
        raise ConfigError(
            f"{got}, which an older version of rllab wrote; it can be played and reported on, but not go on"
        )
    cfg = config.load_file(directory / CONFIG, trusted=trusted)
    return dataclasses.replace(cfg, run_dir=str(directory)), state
