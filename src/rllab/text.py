"""Values as a person reads and types them."""

import math
import re
import shlex
from collections.abc import Callable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from rllab.files import value_at

_SMALL, _HUGE = 10, 1e12
_NOT_TEXT = ("null", "true", "false")


def score_text(value: float | None) -> str:
    """A return or a score: `1,234.5`, `1.2e+30`, and a dash for what does not exist.

    Three digits where one decimal would show fewer, `0.0125`: returns may be shares of successes.
    """
    if not isinstance(value, Real) or not math.isfinite(value):  # a file may hold anything in the place of a number
        return "-"
    if abs(value) < _SMALL:
        text = f"{value:.3g}"
        return text if "." in text or "e" in text else f"{text}.0"
    return f"{value:,.1f}" if abs(value) < _HUGE else f"{value:.4g}"


def interval_text(estimate: Mapping[str, Any], form: Callable[[float], str] = score_text) -> str:
    """The interval of an estimate, `12.0 to 15.5`; empty where there is none, as of a single session."""
    low, high = (value_at(estimate, end, kind=float) for end in ("low", "high"))
    return "" if low is None or high is None else f"{form(low)} to {form(high)}"


def duration_text(seconds: float) -> str:
    """Hours, minutes and seconds as on a clock: `1:02:03`, `2:03`."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def one_line(text: object) -> str:
    """A text, or what an exception says, without line breaks."""
    return " ".join(str(text).split())


def printable(text: object) -> str:
    """A text as one line that does nothing but be read: what moves a cursor, colours or reorders is written as escapes.

    For whatever a file, a path or another program says, wherever it reaches a terminal.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def word(field: str, value: str) -> str:
    """``field=value`` as a person types it, quoted for Hydra and for the shell where these would read it otherwise."""
    return shell(hydra_word(field, value))


def hydra_word(field: str, value: str) -> str:
    """``field=value`` as Hydra reads it, whatever text the value is."""
    if not re.fullmatch(r"[\w./-]+", value, re.ASCII) or value.lower() in _NOT_TEXT or _is_number(value):
        quote = '"' if "'" in value else "'"
        value = escape_interpolations(value)
        # of the backslashes, Hydra takes those before a quote, and at the end, for its own
        value = re.sub(rf"(\\*)({quote}|\Z)", lambda m: m[1] * 2 + m[2].replace(quote, f"\\{quote}"), value)
        value = f"{quote}{value}{quote}"
    return f"{field}={value}"


def shell(text: object) -> str:
    """One word for bash, on one line, whatever it holds."""
    word = str(text)
    if word.isprintable():
        return shlex.quote(word)
    escaped = word.replace("\\", r"\\").replace("'", r"\'")
    return f"$'{printable(escaped)}'"


def shell_path(path: Path) -> str:
    """A path for the command line of a program, as one word for bash; it is not read as an option."""
    return shell(f"./{path}" if str(path).startswith("-") else path)


def from_here(path: str) -> str:
    """A path as seen from the working directory, where it leads into that."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def escape_interpolations(text: str) -> str:
    """The text with every ``${`` escaped, so that OmegaConf resolves nothing in it."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def setting_text(value: Any) -> str:
    """A setting as a person would type it: `null`, `true`, `1e-5`, `[64,64]`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.4g}".replace("e-0", "e-") if isinstance(value, float) else str(value).replace(" ", "")
