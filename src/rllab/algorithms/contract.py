"""What the training loop, evaluation, players and workers ask of an algorithm: all that its author has to know."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeAlias

from rllab.functional.state import restore_state, state_of

if TYPE_CHECKING:  # whoever only reads configs need not wait for torch
    from collections.abc import Sequence

    import numpy as np
    from gymnasium.spaces import Space
    from torch import Tensor, nn

    from rllab.buffers import Buffer, Tensors
    from rllab.functional.schedules import Schedule
    from rllab.kernels.acting import Actor
    from rllab.random.streams import Seed

Metrics: TypeAlias = "dict[str, Tensor | float | Sequence[float]]"
"""What an update says of itself. A tensor ``[S]``, detached and left on the device: the mean over a log interval is
shown, fetched once. A number of all sessions, or a list of one for each (counters, rates): the latest is shown. A
name that ends in ``loss`` must be finite, or the session counts as diverged."""

State: TypeAlias = "dict[str, Tensor]"
"""What an agent remembers from one step to the next, ``[S, N, ...]`` each; empty without memory, and before the first
step."""

COUNTS = ("frame", "num_acted")
"""What is `saved`, by an algorithm or its `sampler`, of how long it has acted: exploration goes by these. Who plays a
policy as it explored takes over these and the policy, nothing else."""


@dataclass(frozen=True)
class Task:
    """What is to be learned, and in which sizes.

    Spaces are plain ones, see `rllab.envs.actions`: choices from 0, two bounds scaled to [-1, 1].
    """

    obs_space: Space[Any]
    action_space: Space[Any]
    num_sessions: int
    """S, which train in lockstep."""
    num_envs: int
    """N, sub-envs of each session."""
    max_frame: int
    """Budget of each session."""

    @property
    def layout(self) -> tuple[int, int, Space[Any], Space[Any]]:
        """S, N and the spaces: what a buffer is made from, after its number of steps."""
        return self.num_sessions, self.num_envs, self.obs_space, self.action_space

    @property
    def obs_size(self) -> int:
        """Numbers in an observation."""
        return math.prod(self.obs_space.shape or ())

    @property
    def num_actions(self) -> int:
        """Numbers in an action of a box."""
        return math.prod(self.action_space.shape or ())

    def progress(self, frame: int) -> float:
        """Part of the budget that is used up, which schedules of coefficients go by."""
        return frame / self.max_frame


class Acted(NamedTuple):
    """What `Algorithm.act` gives."""

    action: np.ndarray
    """``[S, N, ...]``."""
    extras: Tensors
    """To be stored beside it, ``[S, N, ...]`` each."""
    state: State
    """For the next step."""


class Sampler(Protocol):
    """What draws an agent's actions by a kernel."""

    kernel: Actor | None

    def draws(self, most: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Noise and levels of the next steps, `most` of them at the most, as `Actor.collect` takes them."""


class Algorithm(Protocol):
    """S sessions that train in lockstep on N sub-envs each."""

    Config: ClassVar[type[Any]]
    """Frozen dataclass: the schema of ``conf/agent/<name>.yaml``. Its first field is ``name``."""
    action_spaces: ClassVar[tuple[type[Space[Any]], ...]]
    """Kinds of action spaces that it acts in; anything else is refused with the list of agents that can. An algorithm
    of a user's own may leave it out, and refuse in `check`."""
    counted_in_frames: ClassVar[tuple[str, ...]] = ()
    """Fields of the Config that count frames of a session: Hogwild's workers share them out. May be left out where
    there are none."""
    saved: ClassVar[tuple[str, ...]] = ()
    """Attributes that an exact resume needs beside `net`: objects that have a ``state_dict``, tensors, plain data."""
    shared: ClassVar[tuple[str, ...]] = ()
    """Attributes that Hogwild's workers share: networks and their targets, optimisers, what else is learned or runs
    along; tensors, modules, and objects whose `tensors()` are to be shared. Without any there is no Hogwild."""
    schedules: dict[str, Schedule]
    """Its coefficients over the budget, by the name of their field, as `update` and `act` ask for them each time: a
    callback may put others in their place. May be left out where there are none."""
    device: str
    """Torch device of its networks."""
    rollout_steps: int
    """Vector steps between two updates."""
    in_one_call: Sampler | None = None
    """How it acts for many steps in one call, where `use_kernels` found that it can."""
    net: nn.Module
    """The network that acts, with whatever normalises its observations: what the checkpoint `best` keeps."""

    @staticmethod
    @abstractmethod
    def check(config: Any, task: Task) -> None:
        """Raise a one-line ``ValueError`` if this config cannot learn here: not in this budget, memory or network.

        An `UnfitError` if it is the spaces: other agents may fit. Comes before anything is made.
        """

    def __init__(self, config: Any, task: Task, *, seed: int | Seed, device: str = "cpu") -> None:
        """Make networks and optimisers.

        `rllab.random.streams.Streams` spawns each session's generators from `seed`. Views of parameters (for acting in
        numpy) are made when they are first needed, by `functools.cached_property`: with Hogwild the parameters move
        into shared memory before.
        """

    def use_kernels(self) -> dict[str, str | None]:
        """Take the fast twins of what the algorithm does where they fit, see `rllab.kernels`.

        Returns what there are twins of, and why one is not taken, or None. Empty where there are none.
        """
        return {}

    @abstractmethod
    def make_buffer(self) -> Buffer:
        """The storage that `update` learns from."""

    @abstractmethod
    def act(self, obs: np.ndarray, state: State, starts: np.ndarray, *, explore: bool) -> Acted:
        """Actions for observations ``[S, N, ...]``.

        `state` is what the step before gave, and `starts` ``[S, N]`` says which sub-envs begin an episode here: what
        is remembered of those belongs to another one.
        """

    @abstractmethod
    def update(self, buffer: Any, frame: int) -> Metrics:
        """Learn from the buffer; ``{}`` if there was nothing to learn yet. `frame` is that of one session."""

    @abstractmethod
    def policy(self, session: int) -> nn.Module:
        """One session's greedy policy, normaliser inside: ``(obs [B, ...], state, starts [B])`` to actions and state.

        `rllab.nets.greedy.GreedyPolicy` makes it of `net`.
        """

    def state_dict(self) -> dict[str, Any]:
        """Everything that an exact resume needs, as nested plain data and tensors; ``policy`` is that of `net`."""
        return {"policy": self.net.state_dict()} | {name: state_of(getattr(self, name)) for name in self.saved}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.net.load_state_dict(state["policy"])
        for name in self.saved:
            if name in state or getattr(self, name) != {}:  # an older version did not know of what is empty here
                restore_state(self, name, state[name])


class Acting:
    """An algorithm that acts step after step: what it remembers goes from each step to the next."""

    def __init__(self, algorithm: Algorithm, *, explore: bool) -> None:
        self.algorithm, self.explore = algorithm, explore
        self.state: State = {}

    def __call__(self, obs: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Actions ``[S, N, ...]`` for observations ``[S, N, ...]``, of which some begin an episode, ``[S, N]``."""
        return self.step(obs, starts)[0]

    def step(self, obs: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, Tensors]:
        """The same, and what is to be stored beside the actions."""
        action, extras, self.state = self.algorithm.act(obs, self.state, starts, explore=self.explore)
        return action, extras
