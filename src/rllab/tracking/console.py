"""What a person sees of a run: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import errno
import math
import os
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rich.box import HEAVY_HEAD
from rich.console import Console as RichConsole
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rllab.host.process import discard_stdout
from rllab.text import duration_text, interval_text, printable, score_text
from rllab.tracking import notebook

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rllab.tracking.tracker import Row

_TABLE_PERIOD = 0.25
_LINE_PERIOD = 2.0
_LOW, _NARROW = 16, 72
"""Lines and columns that a terminal usually has, and more."""
_AROUND, _BORDERS = 3, 3
"""Lines of the table that are neither rows nor caption: title, header and one to spare; and its borders."""
_MEMORY = 20.0
"""Seconds of training after which a log checkpoint counts a third as much for the time that is left."""


class _Console(RichConsole):
    def on_broken_pipe(self) -> None:
        """Rich would end the process."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class LiveConsole:
    """Lines of text, and on a terminal one table below them that changes.

    In a notebook the table is HTML. Where standard output can no longer be written, stderr says so once, and all goes
    on without it.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.rich = _Console(highlight=False, soft_wrap=True, quiet=quiet, force_jupyter=False)
        self.live: Live | None = None
        self.notebook = None if quiet else notebook.output()

    @property
    def is_low(self) -> bool:
        """Whether the lines around a table are better left to what is in it."""
        return self.rich.height < _LOW

    @property
    def is_narrow(self) -> bool:
        """Whether what stands side by side goes on lines of its own."""
        return self.rich.width < _NARROW

    def message(self, text: str) -> None:
        """Print one line, above the table where there is one."""
        with self._going_on():
            self.rich.print(printable(text), markup=False, emoji=False)

    def show(self, table: Table) -> None:
        """Put a table in the place of the last one."""
        if self.notebook is not None:
            self.notebook.show(table)
            return
        with self._going_on():
            if self.live is None:
                self.live = Live(console=self.rich, auto_refresh=False)
                self.live.start()
            self.live.update(table, refresh=True)

    def close(self) -> None:
        """Leave the table as it is."""
        if self.live is not None:
            with self._going_on():
                self.live.stop()
            self.live = None

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            yield
            sys.stdout.flush()
        except OSError as error:
            discard_stdout()
            with suppress(OSError):
                sys.stderr.write(f"standard output cannot be written ({error.strerror}): this goes on without it\n")


class Pace:
    """How fast a run goes: frames and seconds since this process began, and the same with the latest counting most.

    The rate of one log checkpoint is that of a moment: the last interval may be a few frames long.
    """

    def __init__(self, frame: int) -> None:
        self.frame = frame
        self.frames = self.seconds = 0.0
        self.recent_frames = self.recent_seconds = 0.0

    def add(self, frame: float, num_sessions: int, rate: float) -> None:
        """A log checkpoint at `frame` of each session, reached at `rate` frames per second of all together."""
        frames = (frame - self.frame) * num_sessions
        seconds = frames / max(rate, 1e-9)
        self.frame = int(frame)
        self.frames, self.seconds = self.frames + frames, self.seconds + seconds
        faded = math.exp(-seconds / _MEMORY)
        self.recent_frames = self.recent_frames * faded + frames
        self.recent_seconds = self.recent_seconds * faded + seconds

    @property
    def fps(self) -> float:
        """Frames per second of the whole run, as far as this process has trained it."""
        return self.frames / max(self.seconds, 1e-9)

    def left(self, frames: float) -> float:
        """Seconds that so many frames will take, as fast as it goes of late."""
        return frames * self.recent_seconds / max(self.recent_frames, 1e-9)


class Console(LiveConsole):
    """Progress of a run. Shows the first and the last checkpoint, and those between at a pace that can be read."""

    def __init__(self, title: str, max_frame: int, *, resumed_at: int | None = None, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self.title = title
        self.max_frame = max_frame
        self.pace = Pace(resumed_at or 0)
        self.shown = -math.inf
        self.is_live = self.notebook is not None or self.rich.is_terminal  # found out anew each time it is asked for

    def progress(self, rows: Sequence[Row], best: list[float], workers: Sequence[Row] = ()) -> None:
        """Show a log checkpoint, unless the last one was shown a moment ago.

        Args:
            rows: tags and values of each session, or of Hogwild's one policy.
            best: the best score of each of them.
            workers: tags and values of each of Hogwild's workers.
        """
        final = rows[0]["frame"] >= self.max_frame
        self.pace.add(rows[0]["frame"], len(rows), rows[0]["time/fps"])
        period = _TABLE_PERIOD if self.is_live else _LINE_PERIOD
        if time.monotonic() - self.shown < period and not final:
            return
        self.shown = time.monotonic()
        if self.is_live:
            self.show(self._table(rows, best, workers))
        else:
            self.message(self._line(rows))

    def _eta(self, rows: Sequence[Row]) -> str:
        return duration_text(self.pace.left((self.max_frame - rows[0]["frame"]) * len(rows)))

    def _line(self, rows: Sequence[Row]) -> str:
        row = rows[0]
        returns = " ".join(score_text(r["rollout/ep_rew_mean"]) for r in rows)
        return (
            f"frame {row['frame']:,}/{self.max_frame:,}  return {returns}  "
            f"{self.pace.fps:,.0f} fps  eta {self._eta(rows)}  {_shares(row)}"
        )

    def _table(self, rows: Sequence[Row], best: list[float], workers: Sequence[Row]) -> Table:
        names = ["policy" if workers else str(session) for session in range(len(rows))]
        names += [f"worker {number}" for number in range(len(workers))]
        scores = [*best, *[math.nan] * len(workers)]
        caption = self._caption(rows)
        room = self.rich.height - _AROUND - len(caption) - (0 if self.is_low else _BORDERS)
        if len(names) > room:
            caption.append(f"... and {len(names) - (room := max(room - 1, 1))} more")
        table = Table(
            title=Text(printable(self.title), no_wrap=True, overflow="ellipsis"),
            caption="\n".join(caption),
            box=None if self.is_low else HEAVY_HEAD,
            min_width=min(self.rich.width, max(map(len, [self.title, *caption])) + 2),
        )
        cells = [
            {
                "session": name,
                "frame": f"{r['frame']:,}",
                "return": score_text(r["rollout/ep_rew_mean"]),
                "length": score_text(r["rollout/ep_len_mean"]),
                "episodes": f"{r['rollout/num_episodes']:,}",
                "best score": score_text(score),
            }
            for name, score, r in zip(names, scores, [*rows, *workers], strict=True)
        ]
        columns = ("session", "return", "best score") if self.is_narrow else tuple(cells[0])
        for column in columns:
            table.add_column(column, justify="right")
        for each in cells[:room]:
            table.add_row(*(each[column] for column in columns))
        return table

    def _caption(self, rows: Sequence[Row]) -> list[str]:
        row = rows[0]
        where = f"frame {row['frame']:,} of {self.max_frame:,}", f"{self.pace.fps:,.0f} fps"
        when = f"elapsed {duration_text(row['elapsed_s'])}", f"eta {self._eta(rows)}"
        lines = [where, when] if self.is_narrow else [(*where, *when)]
        return [*map("   ".join, lines), _shares(row)]

    def summary(
        self, trial: dict[str, Any], *, threshold: float | None, evaluated: bool, closing: dict[str, str]
    ) -> None:
        """The end of a run: returns per session and over sessions, when it was solved, and what to do next."""
        for session in trial["sessions"]:
            text = f"{score_text(session['final_return']):>9}"
            if evaluated:
                text += f"   evaluation {score_text(session['final_eval'])}"
            if session["greedy_last"] is not None:
                text += (
                    f"   greedy: best {score_text(session['greedy_best'])}, last {score_text(session['greedy_last'])}"
                )
            if session["solved_frame"] is not None:
                text += f"   solved ({threshold:g}) at frame {session['solved_frame']:,}"
            elif threshold is not None:
                text += f"   not solved ({threshold:g})"
            self.message(f"session {session['session']:<7}{text}")
        labels = {"final_return": "mean return", "final_eval": "mean evaluation"}
        labels |= {"greedy_best": "greedy `best`", "greedy_last": "greedy `last`"}
        hidden = {"greedy_best", "greedy_last"} if trial["greedy_last"]["mean"]["value"] is None else set()
        hidden |= set() if evaluated else {"final_eval"}
        for name, label in labels.items():
            if name not in hidden:
                mean = trial[name]["mean"]
                interval = f"   (95 % interval {text})" if (text := interval_text(mean)) else ""
                self.message(f"{label:<15}{score_text(mean['value']):>9}{interval}")
        for tag, found in trial.get("infos", {}).items():
            self.message(f"{tag:<25} {score_text(found['mean']['value'])}")
        for label, text in closing.items():
            self.message(f"{label:<15}{text}")


def _shares(row: Row) -> str:
    shares = [f"{name} {row[f'time/{name}_share']:.0%}" for name in ("env", "act", "update", "log")]
    if "train/utd" in row:  # update-to-data ratio: gradient steps for each frame
        shares.append(f"utd {row['train/utd']:.3g}")
    return "  ".join(shares)
