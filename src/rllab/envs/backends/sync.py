"""One sub-env after the other, in this process."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from gymnasium.vector import SyncVectorEnv

from rllab.envs.backends.contract import Backend
from rllab.envs.single import make_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from gymnasium.envs.registration import EnvSpec
    from gymnasium.vector import VectorEnv

    from rllab.config import EnvConfig
    from rllab.envs.sub_env import SubEnv


class Sync(Backend):
    """Gymnasium's `SyncVectorEnv`."""

    name = "sync"
    takes_wrappers = True
    gains_from_workers = True

    def suits(self, spec: EnvSpec, config: EnvConfig) -> bool:  # noqa: ARG002
        return True

    def make(self, spec: EnvSpec, config: EnvConfig, num_rows: int) -> VectorEnv[Any, Any, Any]:
        return SyncVectorEnv(row_makers(spec, config, num_rows))


def row_makers(spec: EnvSpec, config: EnvConfig, num_rows: int) -> list[Callable[[], SubEnv]]:
    """A function for each row that makes its sub-env."""
    kept = ("lives",) if config.life_loss_terminal else ()
    return [partial(make_row, spec, config, row, kept) for row in range(num_rows)]
