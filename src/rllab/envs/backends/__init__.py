"""How sub-envs are vectorised: one file for each backend, which is a `contract.Backend`, and the choice among them."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, get_args

from rllab.config import schema
from rllab.envs.backends.contract import Backend
from rllab.envs.registry import is_atari

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

    from rllab.config import EnvConfig


def _all() -> dict[str, Backend]:
    """Those of the modules here, in the order in which the schema names them."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    found = {backend.name: backend() for backend in Backend.__subclasses__()}
    return {name: found[name] for name in get_args(schema.Backend) if name in found}


BACKENDS = _all()
"""The backends by their name, the fastest first: `auto` takes the first that suits."""

_GROUPS = {"auto": tuple(BACKENDS), "gymnasium": ("vector_entry_point", "sync")}
"""Values of `env.backend` that stand for several backends, of which the first that suits is taken."""


def choose(spec: EnvSpec, config: EnvConfig, num_sessions: int) -> Backend:
    """The backend that `env.backend` asks for, or the fastest that means the same env and keeps sessions independent.

    Raises:
        ValueError: the one asked for cannot make this env as configured; one line.
    """
    group = [BACKENDS[name] for name in _GROUPS.get(config.backend, ())]
    group = [each for each in group if each.gives_infos or not config.info_metrics]
    backend = next(each for each in group if each.suits(spec, config)) if group else BACKENDS[config.backend]
    if config.wrappers and not backend.takes_wrappers:
        raise ValueError(
            f"env.wrappers: got {config.wrappers!r}, which env.backend={backend.name} cannot wrap around each sub-env; "
            "write env.backend=sync"
        )
    if config.info_metrics and not backend.gives_infos:
        raise ValueError(
            f"env.info_metrics: got {config.info_metrics!r}, which env.backend={backend.name} does not tell; write "
            "env.backend=gymnasium"
        )
    if config.life_loss_terminal and not is_atari(spec):
        raise ValueError(f"env.life_loss_terminal: got True, but {spec.id} tells no lives; write false")
    backend.check(spec, config, num_sessions)
    return backend
