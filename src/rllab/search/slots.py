"""How many trials run at once, and what each of them may use."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rllab.errors import ConfigError
from rllab.host.process import num_cpus

if TYPE_CHECKING:
    from rllab.config import SearchResources


@dataclass(frozen=True)
class Slot:
    """Room for one trial."""

    threads: int
    """Torch threads of its trial: one for each core given."""
    gpus: str | None
    """``CUDA_VISIBLE_DEVICES`` of its trial; None leaves the variable as it is."""


def make_slots(resources: SearchResources, *, device: str, num_slots: int | None) -> list[Slot]:
    """The slots of this machine; a trial on the CPU needs no GPU, whatever its resources say.

    Args:
        resources: cores and GPUs of one trial.
        device: `meta.device`.
        num_slots: `hydra.sweeper.n_jobs`; None takes as many as fit.

    Raises:
        ConfigError: not one trial fits.
    """
    gpus = None if device.startswith("cpu") else visible_gpus()
    if ":" not in device:
        return divide(resources, cpus=num_cpus(), gpus=gpus, num_slots=num_slots)
    # meta.device=cuda:1 names the only GPU of all trials; hiding the others would change which one that name means
    slots = divide(resources, cpus=num_cpus(), gpus=gpus and [device], num_slots=num_slots)
    return [replace(slot, gpus=None) for slot in slots]


def divide(resources: SearchResources, *, cpus: int, gpus: list[str] | None, num_slots: int | None) -> list[Slot]:
    """`make_slots` for given cores and GPUs; None for GPUs where none is used."""
    fit = math.floor(cpus / resources.cpu + 1e-9)
    lacking = "cpu", resources.cpu, cpus, "core"
    shared = 0
    if gpus and resources.gpu:
        # trials share a GPU only whole: at 0.4 two of them fit on each, not five on two
        shared = math.floor(1 / resources.gpu + 1e-9)
        on_gpus = len(gpus) * shared if shared else len(gpus) // math.ceil(resources.gpu)
        if on_gpus < fit:
            fit, lacking = on_gpus, ("gpu", resources.gpu, len(gpus), "GPU")
    number = num_slots or fit
    if number < 1:
        name, want, have, unit = lacking
        raise ConfigError(
            f"meta.search_resources.{name}: got {want:g}, but this machine has {have} {unit}{'s' * (have > 1)}; "
            f"write at most meta.search_resources.{name}={have}, or hydra.sweeper.n_jobs for another machine"
        )
    threads = max(1, int(resources.cpu))
    return [Slot(threads, _gpus_of(index, resources.gpu, shared, gpus)) for index in range(number)]


def _gpus_of(slot: int, share: float, shared: int, gpus: list[str] | None) -> str | None:
    if not gpus or not share:
        return None
    if shared:
        return gpus[slot // shared % len(gpus)]
    width = math.ceil(share)
    first = slot * width % len(gpus)
    return ",".join(gpus[first : first + width])


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` wants them."""
    import torch  # noqa: PLC0415 - only where a GPU is asked for

    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return [name.strip() for name in names.split(",")][:count] if names else [str(index) for index in range(count)]
