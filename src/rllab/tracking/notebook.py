"""The live table in a notebook: HTML that changes in place. IPython is there if this is one; nobody else needs it."""

from __future__ import annotations

import html
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table


class Output:
    """One output of a cell, which shows the latest table."""

    def __init__(self) -> None:
        self.handle: Any = None  # of IPython: it updates what was displayed

    def show(self, table: Table) -> None:
        """Put a table in the place of the last one."""
        from IPython.display import HTML, display  # noqa: PLC0415 - see above

        content = HTML(as_html(table))  # type: ignore[no-untyped-call]
        if self.handle is None:
            self.handle = display(content, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self.handle.update(content)


def output() -> Output | None:
    """Where a notebook shows the table; None if this is no notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return Output() if getattr(shell, "kernel", None) is not None else None


def as_html(table: Table) -> str:
    """A table of plain texts, with its title above and its caption below."""
    rows = zip(*(column.cells for column in table.columns), strict=True)
    caption = "<br>".join(map(html.escape, str(table.caption).splitlines()))
    body = html_table([column.header for column in table.columns], rows)
    return f"<b>{html.escape(str(table.title))}</b>{body}<small>{caption}</small>"


def html_table(columns: Iterable[Any], rows: Iterable[Iterable[Any]]) -> str:
    """A table of texts."""

    def line(tag: str, cells: Iterable[Any]) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(str(cell))}</{tag}>' for cell in cells)}</tr>"

    return f"<table>{line('th', columns)}{''.join(line('td', row) for row in rows)}</table>"
