"""What is installed here, and what could be."""

from __future__ import annotations

import platform
from importlib.metadata import metadata, requires

import torch
from packaging.requirements import Requirement

from rllab.envs.backends import BACKENDS
from rllab.host.process import num_cpus
from rllab.host.provenance import PACKAGES, package_version
from rllab.kernels.build import describe

_FOR_DEVELOPMENT = ("dev", "docs", "bench", "rliable")


def installation() -> dict[str, object]:
    """Versions, extras, cores, GPUs and env backends, ready for JSON."""
    return {
        "platform": platform.platform(),
        "versions": {"python": platform.python_version()} | {name: package_version(name) for name in PACKAGES},
        "extras": extras(),
        "cores": num_cpus(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
        "kernels": describe(),
        "backends": ["gymnasium", *(name for name, backend in BACKENDS.items() if backend.is_installed())],
    }


def extras() -> dict[str, list[str]]:
    """The packages that each extra still lacks on this machine, by the name of the extra."""
    names = metadata("rllab").get_all("Provides-Extra") or []
    return {name: missing("rllab", name) for name in names if name not in _FOR_DEVELOPMENT}


def missing(package: str, extra: str) -> list[str]:
    """Packages that are not installed although an extra of this package wants them on such a machine."""
    names: list[str] = []
    for wanted in map(Requirement, requires(package) or []):
        if (
            wanted.marker is None
            or wanted.marker.evaluate({"extra": ""})
            or not wanted.marker.evaluate({"extra": extra})
        ):
            continue  # not of this extra
        if package_version(wanted.name) is None:
            names.append(wanted.name)
        else:
            names += [name for inner in sorted(wanted.extras) for name in missing(wanted.name, inner)]
    return names
