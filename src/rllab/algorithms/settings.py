"""Settings that several algorithms have: a Config inherits what it shares with others, and may change defaults."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rllab.functional.checks import require
from rllab.functional.schedules import Coefficient, check_coefficient
from rllab.optim.temperature import check_ent_coef

Activation = Literal["tanh", "relu", "elu"]


@dataclass(frozen=True)
class Settings:
    """Of every agent that learns. A coefficient may be a schedule over the budget: `agent.lr=linear:1e-3:0`."""

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
    """Of agents whose network is chosen by name."""

    network: str = "auto"
    """mlp; cnn or cnn_small for images; auto: cnn for images, otherwise mlp; or a module of your own,
    `my_pkg.nets:MyTorso`, built with the observation space, that gives features."""
    hidden: list[int] = field(default_factory=lambda: [64, 64])
    """Widths of the hidden layers of mlp; other networks have their own."""
    activation: Activation = "tanh"
    """Activation of mlp; other networks have their own."""
    max_grad_norm: float = 0.5
    """Gradient norm at which a session's gradient is clipped."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, positive=["max_grad_norm"], widths=["hidden"])


@dataclass(frozen=True)
class PolicySettings(NetworkSettings):
    """Of agents that learn a policy, and values beside it, from rollouts."""

    num_steps: int = 128
    """Vector steps of a rollout; times env.num_envs is what one update learns from."""
    ent_coef: Coefficient = 0.0
    """Weight of the entropy bonus: higher explores more."""
    vf_coef: Coefficient = 0.5
    """Weight of the value loss."""
    log_std_init: float | None = None
    """Initial log standard deviation of continuous actions; null: -0.7 where they are scaled to [-1, 1], and 0 where
    they have no scale."""
    normalize_obs: bool = False
    """Standardise observations by their running mean and variance."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, integers=["num_steps"], coefficients=["ent_coef", "vf_coef"])


@dataclass(frozen=True)
class ValueSettings(NetworkSettings):
    """Of agents that learn values of discrete actions, and act on them."""

    activation: Activation = "relu"
    max_grad_norm: float = 10.0
    exploration: Literal["epsilon_greedy", "boltzmann"] = "epsilon_greedy"
    """Act randomly with probability `epsilon`, or draw from softmax(values / temperature)."""
    epsilon: Coefficient = "linear:1:0.05:0.2"
    """Probability of a random action, for each sub-env by itself."""
    temperature: Coefficient = 1.0
    """Temperature of boltzmann: higher explores more."""
    adam_eps: float = 1e-8
    """Epsilon of Adam."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, coefficients=["temperature"], positive=["adam_eps"])
        check_coefficient("agent.epsilon", self.epsilon, low=0.0, high=1.0)

    @property
    def exploring(self) -> str:
        """The field that says how much is explored."""
        return "epsilon" if self.exploration == "epsilon_greedy" else "temperature"


@dataclass(frozen=True)
class ReplaySettings(Settings):
    """Of agents that learn from a replay buffer."""

    buffer_size: int = 1_000_000
    """Frames of each session that the replay buffer holds."""
    learning_starts: int = 5_000
    """Frames of each session before the first gradient step; until then actions are uniformly random."""
    batch_size: int = 256
    """Transitions of each session in one gradient step."""
    train_freq: int = 1
    """Vector steps between two updates."""
    n_step: int = 1
    """Rewards that a target sums before it bootstraps."""
    save_buffer: bool | None = None
    """Whether checkpoints hold the replay buffer, so that a resumed run goes on exactly; null: below 2 GiB."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, integers=["buffer_size", "batch_size", "train_freq", "n_step"])
        starts = self.learning_starts
        require(starts >= 0, "agent.learning_starts", starts, write="0 or more frames")


@dataclass(frozen=True)
class QSettings(ReplaySettings, ValueSettings):
    """Of deep Q-learning."""

    buffer_size: int = 100_000
    learning_starts: int = 1000
    batch_size: int = 64
    train_freq: int = 4
    gradient_steps: int = 1
    """Gradient steps of an update."""
    target_period: int = 500
    """Frames between two updates of the target network."""
    tau: float = 1.0
    """How far the target network moves there: 1 copies, less averages."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, integers=["gradient_steps", "target_period"])
        require(0 < self.tau <= 1, "agent.tau", self.tau, write="a number above 0, up to 1")


@dataclass(frozen=True)
class CriticSettings(ReplaySettings):
    """Of agents with a policy that critics judge."""

    lr: Coefficient = 3e-4
    """Learning rate of Adam for policy, critics, and the entropy coefficient where it is learned."""
    critic_lr: Coefficient | None = None
    """Learning rate of the critics, if it is another one."""
    gradient_steps: int = -1
    """Gradient steps of an update; -1 takes one for each frame that was collected."""
    num_critics: int = 2
    """Critics, of which the most pessimistic counts."""
    hidden: list[int] = field(default_factory=lambda: [256, 256])
    """Widths of the hidden layers of each network."""
    activation: Activation = "relu"
    """Activation of the hidden layers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, coefficients=["critic_lr"], integers=["num_critics"], widths=["hidden"])
        steps = self.gradient_steps
        write = "an integer of at least 1, or -1 for one for each frame"
        require(steps >= 1 or steps == -1, "agent.gradient_steps", steps, write=write)

    def steps_of_update(self, num_envs: int) -> int:
        """Gradient steps of an update."""
        return self.train_freq * num_envs if self.gradient_steps == -1 else self.gradient_steps


@dataclass(frozen=True)
class SoftSettings(CriticSettings):
    """Of agents that maximise entropy beside the return."""

    ent_coef: Coefficient = "auto"
    """Weight of the entropy, higher explores more; auto learns it for each session so that the policy keeps
    target_entropy."""
    target_entropy: float | None = None
    """Entropy that ent_coef=auto aims at; null is minus the number of continuous actions, or 0.5 log(n) of n discrete
    ones."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ent_coef(self.ent_coef)


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
