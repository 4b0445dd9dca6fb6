"""What several algorithms are made of, from their settings, and what they ask of memory and budget."""

import math
from typing import Any

import gymnasium.spaces as gs

from rllab.algorithms.contract import Task
from rllab.algorithms.settings import PolicySettings, ReplaySettings, SoftSettings, ValueSettings
from rllab.buffers import Tensors
from rllab.buffers.prioritized import PrioritizedReplayBuffer
from rllab.buffers.replay import ReplayBuffer
from rllab.functional.checks import BudgetError
from rllab.functional.schedules import Schedule, make_schedule
from rllab.host import memory
from rllab.nets.acting import ValueSampler
from rllab.nets.actor_critic import ActorCritic
from rllab.nets.distributions import make_distribution
from rllab.nets.q_network import QNetwork
from rllab.optim.temperature import Temperature
from rllab.random.exploration import Exploration
from rllab.random.streams import Seed, Streams

SAVED_BELOW = 2 * 2**30
"""Bytes up to which a replay buffer is part of the checkpoint, unless `save_buffer` says otherwise."""


def schedules(config: Any, *names: str) -> dict[str, Schedule]:
    """The schedules of these coefficients, by name; without those that are null."""
    values = {name: getattr(config, name) for name in names}
    return {name: make_schedule(value) for name, value in values.items() if value is not None}


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


def sample_vectors(buffer: ReplayBuffer, config: ReplaySettings, streams: Streams) -> Tensors:
    """A minibatch as these settings ask for, its observations flat and in floating point, ``[S, B, obs_size]``."""
    minibatch = buffer.sample(config.batch_size, streams, gamma=config.gamma, n_step=config.n_step)
    for name in ("obs", "next_obs"):
        minibatch[name] = minibatch[name].flatten(2).float()
    return minibatch


def check_rollout(config: PolicySettings, task: Task, needed: int, *, multiple: int = 1) -> None:
    """Raise a one-line ``ValueError`` if there is no memory or no time for a rollout.

    Args:
        config: its `num_steps` are those of a rollout.
        task: in which it is collected.
        needed: bytes for the rollout and for learning from it, about.
        multiple: which numbers of steps come out even.
    """
    num_steps, available = config.num_steps, memory.available_memory()
    if available is not None and needed > available:
        near = int(0.8 * num_steps * available / needed) // multiple * multiple
        hint = f"write agent.num_steps={near}, or" if near else "write"
        raise ValueError(
            f"agent.num_steps: got {num_steps}, whose rollouts need {memory.gibibytes(needed)} of memory with "
            f"env.num_envs={task.num_envs} and meta.max_session={task.num_sessions}, {memory.gibibytes(available)} "
            f"are there; {hint} less of one of the three"
        )
    check_budget(num_steps, f"one rollout is agent.num_steps={num_steps}", task)


def check_budget(num_steps: int, what: str, task: Task) -> None:
    """Raise a one-line ``ValueError`` for a budget that ends before `num_steps` vector steps, which `what` explains."""
    needed = num_steps * task.num_envs
    if math.ceil(task.max_frame / task.num_envs) * task.num_envs < needed:
        raise BudgetError(f"{what} * env.num_envs={task.num_envs}", needed, task.max_frame)


def make_actor_critic(
    config: PolicySettings,
    task: Task,
    *,
    seed: int | Seed,
    device: str,
    shared: bool = False,
    noise_beta: float = 0.0,
) -> ActorCritic:
    """Policy and values as these settings ask for; `shared` and `noise_beta` as in `PPOConfig`."""
    distribution = make_distribution(
        task.action_space, num_sessions=task.num_sessions, log_std_init=config.log_std_init, noise_beta=noise_beta
    )
    net = ActorCritic(
        task.obs_space,
        distribution,
        generators=Streams(seed, task.num_sessions, "weights").generators,  # drawn on the CPU, whatever the device
        network=config.network,
        hidden=config.hidden,
        activation=config.activation,
        shared=shared,
        normalize_obs=config.normalize_obs,
    )
    return net.to(device)


def make_q_network(
    config: ValueSettings,
    task: Task,
    *,
    seed: int | Seed,
    device: str,
    dueling: bool = False,
    num_quantiles: int = 1,
) -> QNetwork:
    """Values of actions as these settings ask for."""
    assert isinstance(task.action_space, gs.Discrete)
    net = QNetwork(
        task.obs_space,
        int(task.action_space.n),
        generators=Streams(seed, task.num_sessions, "weights").generators,
        network=config.network,
        hidden=config.hidden,
        activation=config.activation,
        dueling=dueling,
        num_quantiles=num_quantiles,
    )
    return net.to(device)


def make_value_sampler(config: ValueSettings, task: Task, net: QNetwork, *, seed: int | Seed) -> ValueSampler:
    """How such a network acts by these settings."""
    assert isinstance(task.action_space, gs.Discrete)
    streams = Streams(seed, task.num_sessions, "action")
    exploration = Exploration(config.exploration, streams, task.num_envs, int(task.action_space.n))
    level = make_schedule(getattr(config, config.exploring))
    starts = getattr(config, "learning_starts", 0)
    return ValueSampler(net, exploration, level, max_frame=task.max_frame, learning_starts=starts)


def make_temperature(
    config: SoftSettings,
    task: Task,
    target_entropy: float,
    device: str,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
) -> Temperature:
    """The entropy coefficient that these settings ask for; their own target entropy goes before `target_entropy`."""
    target = target_entropy if config.target_entropy is None else config.target_entropy
    return Temperature(
        config.ent_coef, target_entropy=target, num_sessions=task.num_sessions, device=device, betas=betas
    )
