"""What a tracker is, and what it is given."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Scalars = Mapping[str, Mapping[str, float]]
"""What is known at one frame: finite numbers by tag, ``rollout/ep_rew_mean``, of each session by the name of its
folder, ``session_0``. With Hogwild that is the policy, and there are ``worker_0``, ``worker_1``, ..."""

Outcome = Literal["complete", "stopped", "failed"]


@dataclass(frozen=True)
class TrackedRun:
    """The run, as a tracker is told of it."""

    path: Path
    """The run directory."""
    name: str
    """What a list calls it: ``21-15-00_ppo_cartpole_seed0``, or in a search the trial, ``ppo_cartpole_3fa9c1/12``."""
    group: str
    """What keeps the trials of a search together: the study, or the run itself."""
    config: Mapping[str, Any]
    """Every field of the resolved config by its full name: ``agent.lr``."""
    folders: Sequence[str]
    """Where the tables of each session lie in the run directory: ``session_0``; see `Scalars`."""
    id: str | None
    """What a process that has begun the run gave to `remember`, if this one goes on with it."""
    remember: Callable[[str], None]
    """Keeps what the tracker itself calls the run; to be called as soon as that is known."""


class RunTracker:
    """One tracker of one run; a subclass does what it can, and leaves out what it cannot.

    All calls, the constructor's too, come from one thread that is the tracker's own: they may take their time. One that
    raises is told to the person once, and the tracker is asked no more; the run goes on.
    """

    Config: ClassVar[type]
    """Frozen dataclass: the schema of ``conf/tracker/<name>.yaml``. Its first field is `name`."""
    frame: int = 0
    """Of a run that goes on: the latest frame whose scalars have arrived for good. It is given those after it."""

    @classmethod
    def check(cls, config: Any) -> None:
        """Raise a one-line ``ValueError`` if this cannot work here: something is not installed, nobody is logged in."""

    def __init__(self, config: Any, run: TrackedRun) -> None:
        """Begin, or go on."""

    def scalars(self, frame: int, rows: Scalars) -> None:
        """Take what is known at a checkpoint; it comes once, in the order of frames, after the run was saved there."""

    def text(self, tag: str, text: str, frame: int) -> None:
        """Take a text, in lines."""

    def picture(self, tag: str, path: Path, frame: int) -> None:
        """Take a PNG file."""

    def video(self, tag: str, path: Path, frame: int) -> None:
        """Take an MP4 or GIF file."""

    def model(self, path: Path) -> None:
        """Take the checkpoint `best`, at the end of the run."""

    def scores(self, scores: Mapping[str, float], frame: int) -> None:
        """Take the scores of the complete run: ``final_return``, a mean over sessions, and so on."""

    def close(self, outcome: Outcome) -> None:
        """The run has ended; one that is not complete may go on later, in another process."""


def means_first(rows: Scalars) -> dict[str, float]:
    """Numbers by tag: means over sessions, ``rollout/ep_rew_mean``, and ``session_0/rollout/ep_rew_mean`` of each."""
    sessions = [values for folder, values in rows.items() if folder.startswith("session_")]
    tags = dict.fromkeys(tag for values in sessions for tag in values)
    means = {tag: fmean(values[tag] for values in sessions if tag in values) for tag in tags}
    return means | {f"{folder}/{tag}": value for folder, values in rows.items() for tag, value in values.items()}


def need(package: str, *, tracker: str) -> None:
    """Refuse where a package that a tracker needs is missing.

    Raises:
        ValueError: one line.
    """
    if importlib.util.find_spec(package) is None:
        raise ValueError(
            f"tracker: got {tracker!r}, which is in the extra {tracker}; type pip install 'rllab[{tracker}]'"
        )
