"""Kernels are compiled by the machine's own compiler when they are first needed, and kept on disk."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-shared", "-pthread", "-fno-math-errno", "-fno-trapping-math")
_EXACT = ("-ffp-contract=off",)
"""For physics, which is to come to the same numbers as the env that it stands for."""
# -ffast-math would make numbers of nan and switch the whole process to flushing small numbers to zero
_FAST = ("-fno-signed-zeros", "-fassociative-math", "-freciprocal-math")
"""For networks, whose sums may be added up in any order."""
_SOURCES = Path(__file__).parent
Source = Literal["acting", "classic_control", "on_policy", "q_learning"]


class NoKernelError(Exception):
    """There is no kernel here. Its text is the reason, a clause after "for"."""


def load(name: Source) -> ctypes.CDLL:
    """The compiled source ``<name>.cpp`` of this folder. If it has to be compiled, a line on stderr says so.

    Raises:
        NoKernelError: there is no compiler, it fails, or the processor gains nothing.
    """
    found = _found(name)
    if isinstance(found, NoKernelError):
        raise found
    return found


@functools.cache
def _found(name: Source) -> ctypes.CDLL | NoKernelError:
    """The library, or why there is none: whoever asks again need not wait for a compiler that fails."""
    try:
        return _load(name)
    except NoKernelError as error:
        return error


def _load(name: Source) -> ctypes.CDLL:
    if "avx2" not in _processor():
        raise NoKernelError("this processor has no AVX2, without which torch is faster")
    compiler, source = _compiler(), _SOURCES / f"{name}.cpp"
    version = _run(compiler, "--version").stdout
    flags = [*_FLAGS, *(_EXACT if name == "classic_control" else _FAST)]
    text = [path.read_text() for path in (source, _SOURCES / "network.hpp")]
    key = hashlib.sha256("\n".join([*text, *flags, version, _processor()]).encode()).hexdigest()[:16]
    with _folder() as folder:
        path = folder / f"{name}-{key}.so"
        if not path.exists():
            sys.stderr.write(f"kernels: {source.name} is being compiled, once, for some seconds\n")
            _compile(compiler, flags, source, path)
        try:
            return ctypes.CDLL(str(path))
        except OSError as error:
            raise NoKernelError(f"{path} cannot be loaded ({error})") from None


def why_not(take: Callable[[], object]) -> str | None:
    """Take a kernel; None if that can be done, or else why not."""
    try:
        take()
    except NoKernelError as error:
        return str(error)
    return None


def describe() -> str:
    """Whether kernels run here, in words."""
    if reason := why_not(lambda: load("acting")):
        return f"none, for {reason}"
    kept = f"kept in {_cache()}" if _cache() else "which every run does anew, for there is no folder to keep them in"
    return f"compiled by {_compiler()}, {kept}"


def _compiler() -> str:
    found = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++") or shutil.which("clang++")
    if found is None:
        raise NoKernelError("there is no C++ compiler; install one, such as g++, for up to twice the speed")
    return found


def _compile(compiler: str, flags: list[str], source: Path, path: Path) -> None:
    """Write the library whole or not at all: other processes may do the same."""
    part = path.with_suffix(f".{os.getpid()}")
    done = _run(compiler, *flags, "-o", str(part), str(source))
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise NoKernelError(f"{compiler} failed ({reason})")
    part.replace(path)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a compiler of the user's


@contextmanager
def _folder() -> Iterator[Path]:
    """Where a library is to lie while it is loaded: for good, or else for that long, which is enough."""
    if folder := _cache():
        yield folder
    else:
        with tempfile.TemporaryDirectory(prefix="rllab-kernels-") as temporary:
            yield Path(temporary)


def _cache() -> Path | None:
    """Where libraries are kept; None if no such folder can be written."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rllab" / "kernels"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # the latter where nobody knows a home
        return None


@functools.cache
def _processor() -> str:
    """Model and abilities of the processor: a library is for one alone."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags"))}))
