"""What a person sees of a search: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.box import HEAVY_HEAD
from rich.table import Table
from rich.text import Text

from rllab.search.trials import ENDED, best_row, short_name
from rllab.text import duration_text, one_line, printable, score_text, setting_text
from rllab.tracking.console import LiveConsole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rllab.search.trials import TrialRow

_TABLE_PERIOD = 0.25
_CLOCK_PERIOD = 1.0
_LINE_PERIOD = 10.0
_COLOURS = {"waiting": "dim", "running": "cyan", "complete": "green", "pruned": "yellow", "failed": "red"}
_AROUND, _BORDERS = 6, 3
"""Lines of the table that are not rows (title, header, caption, one to spare), and its borders."""
_FIXED, _COLUMN = 46, 11
"""Width of the first four columns together, and the least width of each further one."""


class SearchConsole(LiveConsole):
    """Progress of a search whose trials run side by side; the highest value is the best."""

    def __init__(self, title: str, *, total: int, slots: int, max_frame: int, live: bool = True) -> None:
        super().__init__()
        self.title = title
        self.total = total
        self.slots = slots
        self.max_frame = max_frame
        self.has_table = live and self.rich.is_terminal
        self.rows: list[TrialRow] = []
        self.ended: dict[int, None] = {}  # in the order in which they ended
        self.looks: list[Any] = []  # what the table showed of each trial when it was drawn last
        self.started = time.monotonic()
        self.shown = -math.inf if self.has_table else self.started

    def update(self, rows: list[TrialRow]) -> None:
        """Show the state of the trials, unless nothing is new or the last time was too short ago."""
        self.rows = rows
        for row in rows:
            if row.state not in ENDED:
                self.ended.pop(row.index, None)  # it had been interrupted, and goes on
            elif row.index not in self.ended:
                self.ended[row.index] = None
                if not self.has_table or row.state == "failed":
                    self.message(_ended_line(row))
        since = time.monotonic() - self.shown
        if not self.has_table:
            if since >= _LINE_PERIOD:
                self.message(self._progress_line())
                self.shown = time.monotonic()
        elif since >= _TABLE_PERIOD:
            looks: list[Any] = [(row.index, row.state, row.frame, score_text(row.value), row.reason) for row in rows]
            if looks != self.looks or since >= _CLOCK_PERIOD:
                self.looks = looks
                self._show_table()

    def close(self) -> None:
        """Leave the table as it is at the end."""
        if self.has_table and self.rows:
            self._show_table()
        super().close()

    def summary(self, rows: list[TrialRow], closing: dict[str, str]) -> None:
        """The end of a search: its best trial, what all of them cost, why some failed, and what to do next."""
        best = best_row(rows)
        lines = [
            ("best trial", f"{best.index}   value {score_text(best.value)}" if best else "none: no trial is complete")
        ]
        lines += [(short_name(field), setting_text(value)) for field, value in (best.params if best else {}).items()]
        lines += self._costs(rows)
        reasons = Counter(one_line(row.reason) or "no reason known" for row in rows if row.state == "failed")
        lines += [("failed", f"{count} x {reason}") for reason, count in reasons.items()]
        lines += closing.items()
        width = max(15, *(len(label) + 2 for label, _ in lines))
        for label, text in lines:
            self.message(f"{label:<{width}}{text}")

    def _costs(self, rows: list[TrialRow]) -> Iterator[tuple[str, str]]:
        """Trials, frames, and frames saved by pruning: one line per state that occurs, and their sum."""
        saved = sum(max(self.max_frame - row.frame, 0) for row in rows if row.state == "pruned")
        yield "state", f"{'trials':>6}{'frames':>15}{'saved':>15}"
        for state in _COLOURS:
            if frames := [row.frame for row in rows if row.state == state]:
                last = f"{saved:>15,}" if state == "pruned" else ""
                yield state, f"{len(frames):>6}{sum(frames):>15,}{last}"
        spent = sum(row.frame for row in rows)
        share = f"   {saved / (spent + saved):.0%} saved by pruning" if saved else ""
        yield "all", f"{len(rows):>6}{spent:>15,}{saved:>15,}{share}"

    def _show_table(self) -> None:
        self.show(self._table())
        self.shown = time.monotonic()

    def _table(self) -> Table:
        """The best trial, those that run and the latest that ended: as many as the terminal has lines for."""
        best = best_row(self.rows)
        by_index = {row.index: row for row in self.rows}
        running = [row.index for row in self.rows if row.state == "running"]
        order = dict.fromkeys([*([best.index] if best else []), *running, *reversed(self.ended), *by_index])
        around = _AROUND + (0 if self.is_low else _BORDERS) + self.is_narrow  # the caption has one more line there
        shown = [by_index[index] for index in order][: max(self.rich.height - around, 1)]
        fields = list(dict.fromkeys(field for row in self.rows for field in row.params))
        columns = [*fields, *(["reason"] if any(row.reason for row in self.rows) else [])]
        visible = columns[: max((self.rich.width - _FIXED) // _COLUMN, 0)]

        caption = self._caption(len(order) - len(shown), len(columns) - len(visible))
        table = Table(title=_cell(self.title), caption=Text(caption), box=None if self.is_low else HEAVY_HEAD)
        table.min_width = min(self.rich.width, max(map(len, [self.title, *caption.splitlines()])) + 2)
        for name in ("trial", "state", "frame", "value"):
            table.add_column(name, justify="left" if name == "state" else "right", no_wrap=True)
        for name in visible:
            table.add_column(_cell(short_name(name)), justify="left" if name == "reason" else "right")
        for row in shown:
            cells = {field: setting_text(value) for field, value in row.params.items()} | {
                "reason": one_line(row.reason)
            }
            table.add_row(
                f"* {row.index}" if row is best else str(row.index),
                Text(row.state, style=_COLOURS[row.state]),
                f"{row.frame:,}",
                score_text(row.value),
                *(_cell(cells.get(name, "")) for name in visible),
                style="bold green" if row is best else "",
            )
        return table

    def _caption(self, rows: int, columns: int) -> str:
        hidden = [
            f"{number} more {noun}{'s' * (number > 1)}"
            for number, noun in ((rows, "trial"), (columns, "column"))
            if number
        ]
        busy = sum(row.state == "running" for row in self.rows)
        between = "\n" if self.is_narrow else "   "
        lines = [
            *([f"... and {' and '.join(hidden)}"] if hidden else []),
            f"best so far {self._best()}{between}{self._left()}   {busy} of {self.slots} slots busy",
            f"elapsed {duration_text(time.monotonic() - self.started)}   eta {self._eta()}",
        ]
        return "\n".join(lines)

    def _progress_line(self) -> str:
        running = [f"{r.index}: {r.frame:,} ({score_text(r.value)})" for r in self.rows if r.state == "running"]
        return f"{self._left()}   best so far {self._best()}   eta {self._eta()}   running {', '.join(running) or '-'}"

    def _best(self) -> str:
        if best := best_row(self.rows):
            return f"{score_text(best.value)} (trial {best.index})"
        known = [row for row in self.rows if row.state in ("running", "pruned") and math.isfinite(row.value)]
        best = max(known, key=lambda row: row.value, default=None)
        return f"{score_text(best.value)} (trial {best.index}, {best.state})" if best else "-"

    def _left(self) -> str:
        return f"{max(self.total - len(self.ended), 0)} of {self.total} trials left"

    def _eta(self) -> str:
        """The time that is left, from the mean duration of ended trials, those that were stopped early included."""
        ended = [row for row in self.rows if row.state in ENDED]
        if not ended:
            return "-"
        begun = sum(min(row.frame / self.max_frame, 1) for row in self.rows if row.state not in ENDED)
        left = max(self.total - len(ended) - begun, 0)
        return duration_text(sum(row.seconds for row in ended) / len(ended) * left / self.slots)


def _ended_line(row: TrialRow) -> str:
    params = " ".join(f"{short_name(field)}={setting_text(value)}" for field, value in row.params.items())
    text = (
        f"trial {row.index:<4} {row.state:<9} value {score_text(row.value):>9}  frame {row.frame:>11,}  "
        f"{duration_text(row.seconds):>7}  {params}  {one_line(row.reason)}"
    )
    return text.rstrip()


def _cell(text: str) -> Text:
    """Text for a cell of the table: square brackets are no markup, and what is too long is cut."""
    return Text(printable(text), no_wrap=True, overflow="ellipsis")
