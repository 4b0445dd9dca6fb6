"""Random streams per session: session s of a trial draws the same numbers however many sessions run beside it."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

Purpose = Literal["env", "eval", "weights", "action", "minibatch", "test"]
_PURPOSES: tuple[Purpose, ...] = ("env", "eval", "weights", "action", "minibatch", "test")  # a new one goes last


class Seed(NamedTuple):
    """Root of the random streams of those sessions of a trial that train here, which begin with number `first`."""

    root: int
    first: int = 0


def session_seeds(seed: int | Seed, session: int, purpose: Purpose, count: int, *key: int) -> list[int]:
    """`count` independent 32-bit seeds of one session's stream; `key` tells repeated draws (evaluations) apart."""
    root, first = seed if isinstance(seed, Seed) else Seed(seed)
    spawn_key = (first + session, _PURPOSES.index(purpose), *key)
    return [int(x) for x in np.random.SeedSequence(root, spawn_key=spawn_key).generate_state(count)]


class Streams:
    """One `torch.Generator` per session, for one purpose. Draws carry the session axis where the caller wants it."""

    def __init__(self, seed: int | Seed, num_sessions: int, purpose: Purpose, device: str = "cpu") -> None:
        self.device = device
        self.generators = []
        for session in range(num_sessions):
            low, high = session_seeds(seed, session, purpose, 2)
            self.generators.append(torch.Generator(device).manual_seed(low + (high << 31)))

    def normal(self, steps: int, *shape: int) -> Tensor:
        """Standard normal noise ``[steps, S, *shape]``."""
        return self._stack(steps, shape, lambda row, g: row.normal_(generator=g))

    def uniform(self, steps: int, *shape: int) -> Tensor:
        """Uniform noise on [0, 1), ``[steps, S, *shape]``."""
        return self._stack(steps, shape, lambda row, g: row.uniform_(generator=g))

    def _stack(self, steps: int, shape: tuple[int, ...], fill: Callable[[Tensor, torch.Generator], Tensor]) -> Tensor:
        rows = [fill(torch.empty(steps, *shape, device=self.device), g) for g in self.generators]
        return torch.stack(rows, dim=1)

    def integers(self, highs: list[int], size: int) -> Tensor:
        """Uniform integers below each session's `highs`, ``[S, size]``."""
        draws = zip(highs, self.generators, strict=True)
        return torch.stack([torch.randint(high, (size,), generator=g, device=self.device) for high, g in draws])

    def permutations(self, size: int) -> Tensor:
        """A random order of ``range(size)`` for each session, ``[S, size]``."""
        return torch.stack([torch.randperm(size, generator=g, device=self.device) for g in self.generators])

    def state_dict(self) -> dict[str, list[Tensor]]:
        return {"generators": [g.get_state() for g in self.generators]}

    def load_state_dict(self, state: dict[str, list[Tensor]]) -> None:
        for generator, saved in zip(self.generators, state["generators"], strict=True):
            generator.set_state(saved.cpu())
