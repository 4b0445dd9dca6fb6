"""How much memory there is: a run that does not fit is refused before anything is allocated."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def available_memory() -> int | None:
    """Bytes that this process can still take: of the machine, or of the container if that allows less.

    None where it is not known. Outside Linux, all that the machine has.
    """
    known = [n for n in (_of_machine(), _of_container()) if n is not None]
    return min(known) if known else None


def _of_machine() -> int | None:
    try:
        line = next(line for line in _MEMINFO.read_text().splitlines() if line.startswith("MemAvailable"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def _of_container() -> int | None:
    """What control group version 2 leaves; files that it may drop count as free."""
    try:
        limit, used = (int((_CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        stat = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        return limit - used + int(stat["inactive_file"])
    except (OSError, ValueError, KeyError):  # none, or "max": no limit
        return None


def gibibytes(num_bytes: float) -> str:
    """A size for people: ``0.3 GiB``, ``40 GiB``."""
    size = num_bytes / 2**30
    return f"{size:.0f} GiB" if size >= 10 else f"{size:.1f} GiB"
