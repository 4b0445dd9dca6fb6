"""What the training loop, evaluation, players and workers ask of an algorithm: all that its author has to know."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

if TYPE_CHECKING:  # whoever only reads configs need not wait for torch
    from collections.abc import Sequence

    import numpy as np
    from gymnasium.spaces import Space
    from torch import Tensor, nn

    from rllab.buffers import Buffer, Tensors
    from rllab.random.streams import Seed

Metrics: TypeAlias = "dict[str, Tensor | float | Sequence[float]]"
"""What an update says of itself. A tensor ``[S]``, detached and left on the device: the mean over a log interval is
shown, fetched once. A number of all sessions, or a list of one for each (counters, rates): the latest is shown. A
name that ends in ``loss`` must be finite, or the session counts as diverged."""


class Algorithm(Protocol):
    """S sessions that train in lockstep on N sub-envs each.

    Spaces are plain ones, see `rllab.envs.actions`: choices from 0, two bounds scaled to [-1, 1].
    """

    Config: ClassVar[type[Any]]
    """Frozen dataclass: the schema of ``conf/agent/<name>.yaml``. Its first field is ``name``."""
    action_spaces: ClassVar[tuple[type[Space[Any]], ...]]
    """Kinds of action spaces that it acts in; anything else is refused with the list of agents that can. An algorithm
    of a user's own may leave it out, and refuse in `check`."""
    counted_in_frames: ClassVar[tuple[str, ...]] = ()
    """Fields of the Config that count frames of a session: Hogwild's workers share them out. May be left out where
    there are none."""
    device: str
    """Of its networks."""
    rollout_steps: int
    """Vector steps between two updates."""

    @staticmethod
    @abstractmethod
    def check(
        config: Any,
        obs_space: Space[Any],
        action_space: Space[Any],
        *,
        num_sessions: int,
        num_envs: int,
        max_frame: int,
    ) -> None:
        """Raise a one-line ``ValueError`` if this config cannot learn here: not in this budget, memory or network.

        An `UnfitError` if it is the spaces: other agents may fit. Comes before anything is made.
        """

    def __init__(
        self,
        config: Any,
        obs_space: Space[Any],
        action_space: Space[Any],
        *,
        num_sessions: int,
        num_envs: int,
        max_frame: int,
        seed: int | Seed,
        device: str = "cpu",
    ) -> None:
        """Make networks and optimisers.

        `rllab.random.streams.Streams` spawns each session's generators from `seed`. Views of parameters (for acting
        in numpy) are made when they are first needed, by `functools.cached_property`: with Hogwild the parameters move
        into shared memory before. What workers keep to themselves is named in a class attribute ``private`` of whatever
        object holds it.
        """

    @abstractmethod
    def make_buffer(self) -> Buffer:
        """The storage that `update` learns from."""

    @abstractmethod
    def act(self, obs: np.ndarray, *, explore: bool) -> tuple[np.ndarray, Tensors]:
        """Actions for observations ``[S, N, ...]``: ``[S, N, ...]``, and extras to store with them."""

    @abstractmethod
    def update(self, buffer: Any, frame: int) -> Metrics:
        """Learn from the buffer; ``{}`` if there was nothing to learn yet. `frame` is that of one session."""

    @abstractmethod
    def policy(self, session: int) -> nn.Module:
        """One session's greedy policy, observations ``[B, ...]`` to actions ``[B, ...]``, normaliser inside."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that an exact resume needs, as nested plain data and tensors; ``policy`` is what `best` keeps."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
