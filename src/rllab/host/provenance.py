"""Where a result comes from: code, command, versions, machine."""

import datetime as dt
import os
import platform
import re
import shlex
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from rllab.host.process import typed

PACKAGES = (
    *("rllab", "torch", "numpy", "gymnasium", "ale-py", "box2d", "mujoco", "envpool"),
    *("hydra-core", "omegaconf", "optuna"),
)


def collect(seed: int, *, env_backend: str, distributed: str | bool = False) -> dict[str, Any]:
    """Facts for ``provenance.json``; git fields are null outside a checkout, versions where a package is missing."""
    sha, dirty = _git()
    return {
        "time": dt.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": _without_passwords(shlex.join(typed() or [])),
        "directory": str(Path.cwd()),
        "git_sha": sha,
        "git_dirty": dirty,
        "seed": seed,
        "env_backend": env_backend,
        "reproducible": not distributed or f"no: with meta.distributed={distributed} workers race for the parameters",
        "versions": {"python": platform.python_version()} | {name: package_version(name) for name in PACKAGES},
        "host": platform.node(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _without_passwords(command: str) -> str:
    """The command with passwords of storage URLs crossed out: the file is shared."""
    return re.sub(r"(://[^:/@\s]+):[^@\s]+@", r"\1:***@", command)


def _git() -> tuple[str | None, bool | None]:
    try:
        command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None, None
    if result.returncode:
        return None, None
    described = result.stdout.strip()
    return described.removesuffix("-dirty"), described.endswith("-dirty")


def package_version(package: str) -> str | None:
    """Of an installed package; None where it is missing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
