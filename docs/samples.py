"""Whether a sample on a page is still what a command prints.

Words must be the same; what a clock, a date, a digest or a version says, and the width of columns, may differ.
A number may be up to twice or half of the sample's: training amplifies the rounding of a machine, so its scores are no
others' to the digit, and what is further away is stale on any machine.
"""

import re
from difflib import SequenceMatcher

VARIES = [  # in this order
    (r"\d{4}-\d\d-\d\d[/ T]\d\d[-:]\d\d[-:]\d\d", "DATE"),
    (r"(?<=_)[0-9a-f]{6}\b", "DIGEST"),
    (r"\d+:\d\d(:\d\d)?", "TIME"),
    (r"[\d,.]+ (?=fps|frames per second)", "RATE "),
    (r"[\d,]+ (s|min|h)\b", "AGE"),
    (r"\d+ ?%(?! interval)", "SHARE"),
    (r"\d+\.\d+\.\d+[\w.+]*", "VERSION"),
    (r"[─━═]+", "─"),
    (r"\s+", " "),
]
NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
ANYTHING = "..."
"""A line of a sample that stands for any lines."""


def differences(sample, printed, *, shape=False, machine=()):
    """Lines of a diff between a sample and what is printed now; empty where the sample still holds.

    Args:
        sample: as it stands on the page.
        printed: what the command prints.
        shape: numbers are not compared, and each line of the sample may stand anywhere, any number of times.
        machine: lines that begin with one of these words are left out of both.
    """
    old, new = (_lines(text, tuple(machine)) for text in (sample, printed))
    if shape:
        there = {_shape(line) for line in new}
        missing = [f"- {line}" for line in old if line != ANYTHING and _shape(line) not in there]
        return missing and [*missing, *(f"+ {line}" for line in new)]
    matcher = SequenceMatcher(None, [*map(_shape, old)], [*map(_shape, new)], autojunk=False)
    diff = []
    for what, i, j, k, m in matcher.get_opcodes():
        gone, come = old[i:j], new[k:m]
        if what == "equal":
            pairs = [(a, b) for a, b in zip(gone, come, strict=True) if not _near(a, b)]
            gone, come = [a for a, _ in pairs], [b for _, b in pairs]
        elif gone == [ANYTHING]:
            continue
        diff += [*(f"- {line}" for line in gone), *(f"+ {line}" for line in come)]
    return diff


def _lines(text, machine):
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not (machine and line.startswith(machine))]


def _varied(line):
    for pattern, name in VARIES:
        line = re.sub(pattern, name, line)
    return line.strip()


def _shape(line):
    return NUMBER.sub("#", _varied(line))


def _near(old, new):
    """Whether the numbers of two lines of one shape are."""
    pairs = zip(*(_numbers(line) for line in (old, new)), strict=True)
    return all(a == b or abs(a - b) <= 1 or (a * b > 0 and 0.5 <= a / b <= 2) for a, b in pairs)


def _numbers(line):
    return [float(number.replace(",", "")) for number in NUMBER.findall(_varied(line))]
