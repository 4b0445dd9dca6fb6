"""The directory of a run on disk: its config, where it comes from, its checkpoints, and why it failed."""

from __future__ import annotations

import dataclasses
import secrets
import traceback
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllab import checkpoint, config
from rllab.errors import ConfigError, TakenError
from rllab.files import read_json, remove_temporaries, write_json, write_text
from rllab.host import provenance
from rllab.host.process import HeldError, Hold, program, typed
from rllab.links import refuse_links
from rllab.search.identity import differences, flat
from rllab.text import word

if TYPE_CHECKING:
    from rllab.config import RunConfig

CONFIG = "config.yaml"
LAST = Path("checkpoints") / "last.safetensors"
BEFORE = Path("checkpoints") / "before.safetensors"
"""What `last` was before: a run goes on from it where `last` is damaged."""
BEST = Path("checkpoints") / "best.safetensors"
ERROR = "error.txt"
PROVENANCE = "provenance.json"
FORMAT = 2
"""Of what `last` holds: a run of another format cannot go on."""
_OF_MACHINE = ("meta.device", "meta.num_workers", "env.backend", "env.reward_threshold")
"""Fields that, as long as nobody sets them, say what is installed or fits on the machine where a run began."""
_LOOK = 0.3
"""Seconds in which somebody who only looks whether a run is held lets go of it."""
_END_OF_ATTEMPT = 300.0
"""Seconds in which an earlier attempt at a trial, which the search no longer waits for, is to end."""


class RunDirectory:
    """The directory that a run writes. Others see that it is being written, until `hold` is released."""

    def __init__(self, cfg: RunConfig, opened: Opened) -> None:
        """Make the directory, or go on in that of an earlier run.

        Raises:
            ConfigError: another process has made it in the meantime.
        """
        self.path = Path(cfg.run_dir)
        refuse_links(self.path)
        (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
        self.hold = opened.hold or _hold(self.path, cfg)
        remove_temporaries(self.path)
        remove_temporaries(self.path / "checkpoints")
        now = provenance.collect(cfg.meta.seed, env_backend=cfg.env.backend, distributed=cfg.meta.distributed)
        self._provenance = self._provenance_now = now
        if opened.state is not None:
            (self.path / ERROR).unlink(missing_ok=True)
            first = read_json(self.path / PROVENANCE)
            if opened.longer:
                config.save(cfg, self.path / CONFIG)
                self._provenance_now["max_frame"] = cfg.env.max_frame
            before = first.get("resumed", [])
            self._provenance = first | {"resumed": [*(before if isinstance(before, list) else []), now]}
        else:
            if opened.hold is None and (self.path / CONFIG).exists():
                self.hold.release()
                raise _holds_a_run(cfg)
            config.save(cfg, self.path / CONFIG)
        self.add_provenance()

    def add_provenance(self, **facts: Any) -> None:
        """Write down where the run comes from, with what was not known of this start of it when it began."""
        self._provenance_now |= facts
        write_json(self.path / PROVENANCE, self._provenance)

    def save(self, last: dict[str, Any], best: dict[str, Any] | None) -> None:
        """Write the checkpoints; `best` stays as it is where there is no other one, and so does the `last` before."""
        if best is not None:
            checkpoint.write(self.path / BEST, best)
        path = self.path / LAST
        if path.exists():
            _keep(path, self.path / BEFORE)
        checkpoint.write(path, last | {"format": FORMAT})

    def settle(self) -> None:
        """The run is complete: what `last` was before is of no use."""
        (self.path / BEFORE).unlink(missing_ok=True)

    def read_best(self) -> tuple[dict[str, Any] | None, str | None]:
        """The checkpoint `best`, if there is one; a line for a person if it cannot be used."""
        path = self.path / BEST
        if not path.exists():
            return None, None
        try:
            return checkpoint.read(path), None
        except checkpoint.CheckpointError as error:
            return None, f"{error}; the best policies are those from here on"

    def saved_frame(self) -> int | None:
        """The frame that a resume would go on from; None if nothing was saved, or cannot be read."""
        for name in (LAST, BEFORE):
            with suppress(checkpoint.CheckpointError):
                return int(checkpoint.read(self.path / name, "frame"))
        return None

    def note_error(self, error: Exception) -> Path:
        """Leave the traceback in a file, which tells a run that failed from one that was stopped; returns its path."""
        path = self.path / ERROR
        write_text(path, "".join(traceback.format_exception(error)))
        return path

    def resume_command(self) -> str:
        """What a person types to go on with this run."""
        return f"{program(typed() or ['rllab-train'])} {word('meta.resume', str(self.path))}"


@dataclass(frozen=True)
class Opened:
    """What a run begins with."""

    hold: Hold | None = None
    """On its directory; None where there is no directory yet."""
    state: dict[str, Any] | None = None
    """The checkpoint from which it goes on."""
    note: str | None = None
    """What a person should know of that."""
    longer: bool = False
    """Whether its budget is another one than that of the config in the directory."""

    def close(self) -> None:
        if self.hold is not None:
            self.hold.release()


def open_run(
    cfg: RunConfig, *, in_search: bool, trusted: bool = False, max_frame: int | None = None
) -> tuple[RunConfig, Opened]:
    """What to train: this config, or that of the run which `meta.resume` names, with its checkpoint `last`.

    A trial of a search that was interrupted goes on where it was saved last, or begins anew if it never was. From here
    on nobody else may write the directory, if there is one. `trusted` is that of `config.load_file`. With `max_frame` a
    run goes on to that budget.

    Raises:
        ConfigError: the directory is in use, or nothing can go on from there.
    """
    directory = Path(cfg.meta.resume or cfg.run_dir)
    if not directory.is_dir() and cfg.meta.resume is None:
        return cfg, Opened()
    with ExitStack() as undo:
        hold = _hold(directory, cfg, patience=_END_OF_ATTEMPT if in_search else _LOOK) if directory.is_dir() else None
        undo.callback(Opened(hold).close)
        state = note = longer = None
        if cfg.meta.resume is not None or (in_search and any((directory / name).exists() for name in (LAST, BEFORE))):
            own = cfg if in_search else None  # another machine may have begun the trial, with the same packages
            cfg, state, note = load_run(directory, trusted=trusted, own=own)
            if max_frame is not None:
                longer = _with_budget(cfg, max_frame)
        elif (directory / CONFIG).exists() and not in_search:
            raise _holds_a_run(cfg)
        undo.pop_all()
    return longer or cfg, Opened(hold, state, note, longer=longer is not None)


def _with_budget(cfg: RunConfig, max_frame: int) -> RunConfig:
    """The config of a run with a longer budget, which takes the place of its own."""
    if max_frame < cfg.env.max_frame:
        raise ConfigError(
            f"env.max_frame: got {max_frame}, less than the budget of the run; write more than {cfg.env.max_frame}"
        )
    return dataclasses.replace(cfg, env=dataclasses.replace(cfg.env, max_frame=max_frame))


def has_trained(directory: Path) -> bool:
    """Whether a run of this directory has got as far as its training, whatever is left of it."""
    left = [LAST, BEFORE, BEST, Path("trial.json")]
    return any((directory / name).exists() for name in left) or any(
        table.stat().st_size for table in directory.glob("session_*/train.csv")
    )


def refuse_another(asked: RunConfig, filled: RunConfig, *, trusted: bool = False) -> None:
    """Refuse to run a trial of a search where a run of another config lies.

    Whatever may differ between two starts of a search may differ here; and what only the machine knows, where it was
    left to that.

    Args:
        asked: the config of the trial.
        filled: the same with what the env and this machine fill in.
        trusted: that of `config.load_file`.

    Raises:
        TakenError: they differ; the message names the fields.
        ConfigError: the config that lies there cannot be read.
    """
    path = Path(asked.run_dir) / CONFIG
    there, now, here = (_fields(cfg) for cfg in (config.load_file(path, trusted=trusted), asked, filled))
    for name in now:
        left_open = name in _OF_MACHINE and now[name] != here[name]
        if left_open or there.get(name) == here[name]:
            now[name] = there.get(name)
    if differing := differences(there, now):
        raise TakenError(
            f"run_dir: got {asked.run_dir!r}, where a run of another config lies: {differing}; write another "
            "hydra.sweep.dir"
        )


def _fields(cfg: RunConfig) -> dict[str, Any]:
    return dict(flat(dataclasses.asdict(cfg)))


def _hold(directory: Path, cfg: RunConfig, *, patience: float = _LOOK) -> Hold:
    try:
        return Hold(directory, patience=patience)
    except HeldError:
        got = "run_dir" if cfg.meta.resume is None else "meta.resume"
        raise ConfigError(
            f"{got}: got {str(directory)!r}, which another process is still writing; end that first"
        ) from None


def _holds_a_run(cfg: RunConfig) -> ConfigError:
    return ConfigError(
        f"run_dir: got {cfg.run_dir!r}, which holds a run already; write another one, or "
        f"{word('meta.resume', cfg.run_dir)}"
    )


def load_run(
    directory: Path, *, trusted: bool = False, own: RunConfig | None = None
) -> tuple[RunConfig, dict[str, Any], str | None]:
    """Config and checkpoint of a run that was stopped: `last`, or where that is damaged the one before.

    The third is a line for a person who should know of that. `trusted` and `own` are those of `config.load_file`,
    errors those of `open_run`.
    """
    got = f"meta.resume: got {str(directory)!r}"
    refuse_links(directory)
    if not (directory / CONFIG).is_file():
        raise ConfigError(f"{got}, which is no run directory; write one that holds {CONFIG}")
    try:
        state, note = _read_last(directory)
    except checkpoint.CheckpointError as error:
        raise ConfigError(f"{got}, whose checkpoint cannot be used: {error}") from None
    if state.get("format") != FORMAT:
        raise ConfigError(
            f"{got}, which an older version of rllab wrote; it can be played and reported on, but not go on"
        )
    cfg = config.load_file(directory / CONFIG, trusted=trusted, own=own)
    return dataclasses.replace(cfg, run_dir=str(directory)), state, note


def _read_last(directory: Path) -> tuple[dict[str, Any], str | None]:
    """The newest checkpoint that is whole, and a line for a person if that is not `last`."""
    try:
        return _read_state(directory / LAST), None
    except checkpoint.CheckpointError as problem:
        if not (directory / BEFORE).exists():
            raise
        state = _read_state(directory / BEFORE)
        return state, f"{problem}; going on from the one before, of frame {state['frame']:,}"


def _read_state(path: Path) -> dict[str, Any]:
    state = checkpoint.read(path)
    if not isinstance(state, dict) or not {"frame", "scores"} <= state.keys():
        raise checkpoint.CheckpointError(f"{path}: not that of a run")
    return state


def _keep(path: Path, before: Path) -> None:
    """Give a file a second name, `before`, in the place of the file that has it; it keeps its own."""
    fresh = before.with_name(f".{before.name}.{secrets.token_hex(4)}.tmp")
    try:
        fresh.hardlink_to(path)
    except OSError:  # a file system without hard links
        path.replace(before)
    else:
        fresh.replace(before)
        fresh.unlink(missing_ok=True)  # it is still there where both were names of the same file
