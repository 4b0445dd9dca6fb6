"""Kinds of observation and action spaces, and an env of any two of them that takes no action from outside."""

import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import gymnasium.spaces as gs
import numpy as np

LENGTH = 6
"""Steps of an episode."""
INF, MAX = np.inf, np.finfo(np.float32).max


def box(low: Any, high: Any, dtype: type = np.float32) -> gs.Box:
    return gs.Box(np.array(low, dtype), np.array(high, dtype), dtype=dtype)


Maker = Callable[[], gs.Space[Any]]
"""A space holds a generator: each env has its own."""
ACTIONS: dict[str, Maker] = {
    "Discrete(3)": lambda: gs.Discrete(3),
    "Discrete(3, start=1)": lambda: gs.Discrete(3, start=1),
    "MultiDiscrete, [2, 3]": lambda: gs.MultiDiscrete([2, 3]),
    "MultiDiscrete, two axes, start above 0": lambda: gs.MultiDiscrete([[2, 3], [4, 5]], start=[[1, 2], [3, 4]]),
    "MultiBinary, 3": lambda: gs.MultiBinary(3),
    "MultiBinary, two axes": lambda: gs.MultiBinary([2, 2]),
    "Box, -1 to 1": lambda: gs.Box(-1, 1, (2,)),
    "Box, bounds of its own for each element": lambda: box([-2, 0], [1, 10]),
    "Box, two axes": lambda: gs.Box(-2, 2, (2, 2)),
    "Box without axes": lambda: gs.Box(-2, 2, ()),
    "Box, float64": lambda: box([-2, 0], [1, 10], np.float64),
    "Box, one bound": lambda: gs.Box(0, INF, (2,)),
    "Box, no bounds": lambda: gs.Box(-INF, INF, (2,)),
    "Box, bounds of 3.4e38": lambda: gs.Box(-MAX, MAX, (2,)),
    "Box, one element bounded, one not": lambda: box([-1, -INF], [1, INF]),
    "Box, integers 0 to 20": lambda: gs.Box(0, 20, (2,), np.int32),
    "Box, integers 0 to 1 million": lambda: gs.Box(0, 1_000_000, (2,), np.int32),
    "Tuple": lambda: gs.Tuple([gs.Discrete(2), gs.Box(-1, 1, (2,))]),
    "Dict": lambda: gs.Dict(a=gs.Discrete(2), b=gs.Box(-1, 1, (2,))),
}
OBSERVATIONS: dict[str, Maker] = {
    "vector, float32": lambda: gs.Box(-1, 1, (3,)),
    "vector, float64": lambda: gs.Box(-1, 1, (3,), np.float64),
    "vector, integers": lambda: gs.Box(-9, 9, (3,), np.int32),
    "vector, bytes": lambda: gs.Box(0, 255, (3,), np.uint8),
    "vector, no bounds": lambda: gs.Box(-INF, INF, (3,)),
    "Box without axes": lambda: gs.Box(-1, 1, ()),
    "matrix": lambda: gs.Box(-1, 1, (3, 4)),
    "image (3, 36, 36), bytes": lambda: gs.Box(0, 255, (3, 36, 36), np.uint8),
    "image (36, 36, 3), bytes": lambda: gs.Box(0, 255, (36, 36, 3), np.uint8),
    "image (3, 10, 10), bytes": lambda: gs.Box(0, 255, (3, 10, 10), np.uint8),
    "image (3, 36, 36), float32": lambda: gs.Box(0, 1, (3, 36, 36)),
    "image (36, 36), bytes": lambda: gs.Box(0, 255, (36, 36), np.uint8),
    "stack of colour frames (4, 16, 16, 3)": lambda: gs.Box(0, 255, (4, 16, 16, 3), np.uint8),
    "Discrete(3, start=1)": lambda: gs.Discrete(3, start=1),
    "MultiDiscrete": lambda: gs.MultiDiscrete([2, 3]),
    "MultiBinary": lambda: gs.MultiBinary(3),
    "Dict of vectors": lambda: gs.Dict(a=gs.Box(-1, 1, (2,)), b=gs.Discrete(3)),
    "Tuple of vectors": lambda: gs.Tuple([gs.Box(-1, 1, (2,)), gs.Discrete(3)]),
    "Dict with an image": lambda: gs.Dict(a=gs.Box(-1, 1, (2,)), b=gs.Box(0, 255, (3, 36, 36), np.uint8)),
    "Tuple of a Dict with an image, nested": lambda: gs.Tuple(
        [gs.Dict(a=gs.Box(-INF, INF, (2,), np.float64), b=gs.Box(0, 1, (7, 7, 3))), gs.MultiDiscrete([2, 300])]
    ),
    "image (9, 9, 9), bytes": lambda: gs.Box(0, 255, (9, 9, 9), np.uint8),
    "three axes of real numbers": lambda: gs.Box(-1, 1, (3, 10, 10)),
    "Sequence": lambda: gs.Sequence(gs.Box(-1, 1, (2,))),
}


class Strict(gymnasium.Env[Any, Any]):
    """Random observations, and 1 for each action of the space, its shape and its dtype; any other ends the run.

    Every second episode ends by being truncated.
    """

    def __init__(self, obs: str, actions: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Gymnasium's, that 3.4e38 is no float32
            self.observation_space, self.action_space = OBSERVATIONS[obs](), ACTIONS[actions]()
        self.episode = self.time = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        self.episode, self.time = self.episode + 1, 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        space, given = self.action_space, np.asarray(action)
        assert (given.shape, given.dtype) == (space.shape, space.dtype), f"{given!r} for {space}"
        assert space.contains(given), f"{given!r} is not in {space}"
        self.time += 1
        ended, odd = self.time >= LENGTH, self.episode % 2 == 1
        return self.observation_space.sample(), 1.0, ended and odd, ended and not odd, {}


gymnasium.register("Strict-v0", Strict)
