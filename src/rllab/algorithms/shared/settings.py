"""Settings that several algorithms have: a Config inherits what it shares with others, and may change defaults."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rllab.algorithms.contract import Task
from rllab.errors import BudgetError, require
from rllab.functional.schedules import Coefficient, Schedule, check_coefficient, make_schedule
from rllab.nets.torsos import Network

Activation = Literal["tanh", "relu", "elu"]


@dataclass(frozen=True)
class Settings:
    """Settings of every agent that learns. A coefficient may be a schedule over time: `agent.lr=linear:1e-3:0`."""

    name: str = ""
    """The algorithm."""
    lr: Coefficient = 1e-3
    """Learning rate."""
    gamma: float = 0.99
    """Discount."""

    def __post_init__(self) -> None:
        check_ranges(self, coefficients=["lr"], fractions=["gamma"])


@dataclass(frozen=True)
class NetworkSettings(Settings):
    """Settings of agents whose network is chosen by name."""

    network: Network = "auto"
    """mlp; cnn or cnn_small for images; auto: cnn for images, otherwise mlp; or a module of your own,
    `my_pkg.nets:MyTorso`, built with the observation space, that gives features; or one of these by part,
    `{camera: cnn, state: mlp}`."""
    hidden: list[int] = field(default_factory=lambda: [64, 64])
    """Widths of the hidden layers of mlp; other networks have their own."""
    activation: Activation = "tanh"
    """Activation of mlp; other networks have their own."""
    max_grad_norm: float = 0.5
    """Gradient norm at which a session's gradient is clipped."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, positive=["max_grad_norm"], widths=["hidden"])


def check_ranges(
    config: Any,
    *,
    integers: Sequence[str] = (),
    fractions: Sequence[str] = (),
    positive: Sequence[str] = (),
    coefficients: Sequence[str] = (),
    widths: Sequence[str] = (),
) -> None:
    """Raise a one-line ``ValueError`` for the first field that is out of its range; null is in every one.

    Args:
        config: of an agent.
        integers: fields of at least 1.
        fractions: from 0 to 1.
        positive: above 0.
        coefficients: numbers of at least 0, or schedules of them.
        widths: lists of layers.
    """
    ranges: list[tuple[Sequence[str], Callable[[Any], bool], str]] = [
        (integers, lambda x: x >= 1, "an integer of at least 1"),
        (fractions, lambda x: 0 <= x <= 1, "a number from 0 to 1, e.g. 0.95"),
        (positive, lambda x: x > 0, "a number above 0"),
        (widths, lambda x: min(x, default=1) >= 1, "a list of widths of at least 1, e.g. [64,64]"),
    ]
    for names, within, write in ranges:
        for name in names:
            value = getattr(config, name)
            require(value is None or within(value), f"agent.{name}", value, write=write)
    for name in coefficients:
        if getattr(config, name) is not None:
            check_coefficient(f"agent.{name}", getattr(config, name), low=0.0, high=math.inf)


def schedules(config: Any, *names: str) -> dict[str, Schedule]:
    """The schedules of these coefficients, by name; without those that are null."""
    values = {name: getattr(config, name) for name in names}
    return {name: make_schedule(value) for name, value in values.items() if value is not None}


def follow(known: dict[str, Schedule], name: str) -> Schedule:
    """What the schedule of that name says, whichever it is at the time."""

    def schedule(progress: float) -> float:
        return known[name](progress)

    return schedule


def check_budget(num_steps: int, what: str, task: Task) -> None:
    """Raise a one-line ``ValueError`` for a budget that ends before `num_steps` vector steps, which `what` explains."""
    needed = num_steps * task.num_envs
    if math.ceil(task.max_frame / task.num_envs) * task.num_envs < needed:
        raise BudgetError(f"{what} * env.num_envs={task.num_envs}", needed, task.max_frame)
