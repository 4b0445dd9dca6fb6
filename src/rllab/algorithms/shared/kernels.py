"""How an agent takes the fast twins of what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rllab.kernels.build import why_not

if TYPE_CHECKING:
    from collections.abc import Callable


def take_kernels(agent: Any, make_update: Callable[[Any], object] | None = None) -> dict[str, str | None]:
    """What `Algorithm.use_kernels` is to do, for an agent that acts by its `sampler`.

    `make_update` makes the twin of its updates, its `kernel`, or raises a `NoKernelError`.
    """

    def take_update() -> None:
        assert make_update is not None
        agent.kernel = make_update(agent)

    if memory := getattr(agent.config, "memory", None):
        return dict.fromkeys(("acting", "updates") if make_update else ("acting",), f"agent.memory is {memory}")
    used = {"acting": why_not(agent.sampler.use_kernel)}
    if used["acting"] is None:
        agent.in_one_call = agent.sampler
    return used | ({"updates": why_not(take_update)} if make_update else {})
