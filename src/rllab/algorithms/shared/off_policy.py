"""What agents share that learn from a replay buffer."""

import math
from dataclasses import dataclass, field
from typing import Any

from rllab.algorithms.contract import Task
from rllab.algorithms.shared.settings import Settings, check_budget, check_ranges, follow, schedules
from rllab.buffers import Tensors
from rllab.buffers.prioritized import PrioritizedReplayBuffer
from rllab.buffers.replay import ReplayBuffer
from rllab.errors import require
from rllab.functional.reductions import by_session
from rllab.functional.schedules import Coefficient, Schedule, make_schedule
from rllab.host import memory
from rllab.nets.obs_net import ObsNet
from rllab.nets.q_network import QNetwork
from rllab.nets.torsos import Network
from rllab.optim.temperature import Temperature, check_ent_coef
from rllab.random.streams import Seed, Streams

SAVED_BELOW = 2 * 2**30
"""Bytes up to which a replay buffer is part of the checkpoint, unless `save_buffer` says otherwise."""


@dataclass(frozen=True)
class ReplaySettings(Settings):
    """Settings of agents that learn from a replay buffer."""

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
class CriticSettings(ReplaySettings):
    """Settings of agents with a policy that critics judge."""

    lr: Coefficient = 3e-4
    """Learning rate of Adam for policy, critics, and the entropy coefficient where it is learned."""
    critic_lr: Coefficient | None = None
    """Learning rate of the critics, if it is another one."""
    gradient_steps: int = -1
    """Gradient steps of an update; -1 takes one for each frame that was collected."""
    num_critics: int = 2
    """Critics, of which the most pessimistic counts."""
    network: Network = "auto"
    """What comes before the hidden layers of each network. mlp: nothing, observations are flat numbers; cnn or
    cnn_small for images; auto: cnn for images, otherwise mlp; or a module of your own, `my_pkg.nets:MyTorso`, built
    with the observation space, that gives features; or one of these by part, `{camera: cnn, state: mlp}`."""
    hidden: list[int] = field(default_factory=lambda: [256, 256])
    """Widths of the hidden layers of each network."""
    normalize_obs: bool = False
    """Standardise observations by their running mean and variance; images are not meant."""

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
    """Settings of agents that maximise entropy beside the return."""

    ent_coef: Coefficient = "auto"
    """Weight of the entropy, higher explores more; auto learns it for each session so that the policy keeps
    target_entropy."""
    target_entropy: float | None = None
    """Entropy that ent_coef=auto aims at; null is minus the number of continuous actions, or 0.5 log(n) of n discrete
    ones."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ent_coef(self.ent_coef)


def check_replay(config: ReplaySettings, task: Task, kind: type[ReplayBuffer] = ReplayBuffer) -> None:
    """Raise a one-line ``ValueError`` if there is too little in such a buffer to learn, or no memory or time for it."""
    num_envs, starts = task.num_envs, config.learning_starts
    num_steps = config.buffer_size // num_envs
    if num_steps < 2 or num_steps * num_envs < starts:
        least = max(2 * num_envs, math.ceil(starts / num_envs) * num_envs)
        raise ValueError(
            f"agent.buffer_size: got {config.buffer_size}, too small for env.num_envs={num_envs} and "
            f"agent.learning_starts={starts}; write at least {least}"
        )
    needed, available = kind.num_bytes(num_steps, *task.layout), memory.available_memory()
    if available is not None and needed > available:
        raise ValueError(
            f"agent.buffer_size: got {config.buffer_size}, which needs {memory.gibibytes(needed)} of memory with "
            f"meta.max_session={task.num_sessions}, {memory.gibibytes(available)} are there; "
            f"write at most {int(0.8 * config.buffer_size * available / needed)}"
        )
    first = max(1, math.ceil(starts / (config.train_freq * num_envs))) * config.train_freq  # update that learns
    check_budget(first, f"agent.learning_starts={starts}, agent.train_freq={config.train_freq}", task)


def make_replay(config: ReplaySettings, task: Task, device: str, *, per_alpha: float | None = None) -> ReplayBuffer:
    """The buffer that these settings ask for; with `per_alpha` a prioritized one."""
    sizes = (config.buffer_size // task.num_envs, *task.layout)
    save = config.save_buffer
    if save is None:
        save = ReplayBuffer.num_bytes(*sizes) < SAVED_BELOW
    if per_alpha is not None:
        return PrioritizedReplayBuffer(*sizes, alpha=per_alpha, device=device, save=save)
    return ReplayBuffer(*sizes, device=device, save=save)


def critic_schedules(config: CriticSettings, *names: str) -> dict[str, Schedule]:
    """The schedules of `lr`, of `critic_lr`, which is the same where it is null, and of these other coefficients."""
    known = schedules(config, "lr", "critic_lr", *names)
    known.setdefault("critic_lr", follow(known, "lr"))
    return known


def normalized(net: QNetwork | ObsNet, batch: Tensors) -> Tensors:
    """A batch with its observations as the networks take them."""
    if net.obs_norm is None:
        return batch
    return batch | {name: net.normalize(batch[name]) for name in ("obs", "next_obs")}


def take_in_newest(net: QNetwork | ObsNet, buffer: ReplayBuffer, num_steps: int) -> None:
    """Update the statistics of observations, if they are normalised, by the newest vector steps."""
    if net.obs_norm is not None:
        newest = buffer.newest(num_steps)
        net.obs_norm.update(by_session(newest["obs"]), by_session(newest["valid"]).float())


def network_options(config: CriticSettings, task: Task, seed: int | Seed) -> dict[str, Any]:
    """What `rllab.nets.obs_net` wants to know of the networks that these settings ask for."""
    generators = Streams(seed, task.num_sessions, "weights").generators  # drawn on the CPU, whatever the device
    return {"generators": generators, "network": config.network, "hidden": config.hidden}


def make_temperature(
    config: SoftSettings,
    task: Task,
    target_entropy: float,
    device: str,
    known: dict[str, Schedule],
    *,
    betas: tuple[float, float] = (0.9, 0.999),
) -> Temperature:
    """The entropy coefficient that these settings ask for; their own target entropy goes before `target_entropy`.

    Where it is not learned, its schedule is among those that are `known`.
    """
    target = target_entropy if config.target_entropy is None else config.target_entropy
    schedule = None
    if config.ent_coef != "auto":
        known["ent_coef"] = make_schedule(config.ent_coef)
        schedule = follow(known, "ent_coef")
    return Temperature(schedule, target_entropy=target, num_sessions=task.num_sessions, device=device, betas=betas)
