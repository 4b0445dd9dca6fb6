"""Search over configs: a Hydra sweeper on Optuna whose trials run side by side and are stopped early.

The sweeper asks and tells in one process; each trial is a job that reports to the study's storage and learns from it
whether to stop (`attach`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rllab.search.handle import TrialHandle

TRIAL = "RLLAB_TRIAL"
"""Environment variable that tells a job which trial it is: number, attempt, and the sweeper that started it,
``12/0/host-3fa9c1d2``."""
STUDY = "RLLAB_STUDY"
"""Environment variable: the study's name."""
STORAGE = "RLLAB_STORAGE"
"""Environment variable: the URL of the study's storage."""
PATIENCE = "RLLAB_PATIENCE"
"""Environment variable: seconds for which a storage that does not answer is asked again."""


def attach() -> TrialHandle | None:
    """The trial that this job runs for a search; None outside a search."""
    if TRIAL not in os.environ:
        return None
    from rllab.search.handle import TrialHandle  # noqa: PLC0415 - a run by itself does not need Optuna

    number, attempt, owner = os.environ[TRIAL].split("/", 2)
    return TrialHandle(
        os.environ[STORAGE],
        os.environ[STUDY],
        number=int(number),
        attempt=int(attempt),
        owner=owner,
        patience=float(os.environ[PATIENCE]),
    )
