"""From facts to a page: templates, and how numbers are written."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from rllab.analysis import shelf
from rllab.files import write_text
from rllab.report.run import run_facts
from rllab.report.study import study_facts
from rllab.text import interval_text, score_text, setting_text

if TYPE_CHECKING:
    from pathlib import Path


def write_report(path: Path, out: Path) -> None:
    """Write the page about the run or study in `path`; where something is missing, the page says so.

    Raises:
        ValueError: `path` is neither.
    """
    if shelf.is_study(path):
        template, facts = "study.html", study_facts(path, out.parent)
    elif shelf.is_run(path):
        template, facts = "run.html", run_facts(path, out.parent)
    else:
        raise ValueError(f"{path} is neither a run directory nor that of a study")
    text = _environment().get_template(template).render(facts)
    write_text(out, text)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rllab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "interval": interval, "duration": duration, "setting": setting_text}
    return environment


def number(x: float | None) -> str:
    """`1,234.5`; small ones with three digits, and a dash for what does not exist."""
    text = score_text(x)
    if text == "-":
        return "\N{EN DASH}"
    return text.replace("-", "\N{MINUS SIGN}", 1) if text.startswith("-") else text


def interval(estimate: dict[str, float | None]) -> str:
    """`(12.0 to 15.5)`, or nothing."""
    text = interval_text(estimate, number)
    return f"({text})" if text else ""


def duration(seconds: float | None) -> str:
    """`1 h 02 min`, `3 min 20 s`, `12 s`."""
    if seconds is None or not math.isfinite(seconds):
        return "\N{EN DASH}"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
