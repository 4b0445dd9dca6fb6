"""What agents share that learn a policy, and values beside it, from rollouts."""

from dataclasses import dataclass

from rllab.algorithms.contract import Task
from rllab.algorithms.shared.memory import MemorySettings
from rllab.algorithms.shared.settings import check_budget, check_ranges
from rllab.buffers import Tensors
from rllab.buffers.rollout import RolloutBuffer
from rllab.functional.reductions import by_session
from rllab.functional.schedules import Coefficient
from rllab.host import memory
from rllab.nets.actor_critic import ActorCritic, check_actor_critic
from rllab.nets.distributions import make_distribution
from rllab.nets.q_network import QNetwork
from rllab.nets.torsos import num_activations
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class PolicySettings(MemorySettings):
    """Settings of agents that learn a policy, and values beside it, from rollouts."""

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
    """Standardise observations by their running mean and variance; images are not meant."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, integers=["num_steps"], coefficients=["ent_coef", "vf_coef"])


def check_network_settings(config: PolicySettings, task: Task) -> None:
    """Raise a one-line ``ValueError`` if `make_actor_critic` cannot make what these settings ask for."""
    check_actor_critic(
        task.obs_space,
        network=config.network,
        normalize_obs=config.normalize_obs,
        memory=config.memory_layout,
    )


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
        memory=config.memory_layout,
    )
    return net.to(device)


def num_activations_of(config: PolicySettings, task: Task) -> int:
    """Numbers that a row leaves in a torso, and in its memory, until its gradient is known."""
    memory = 8 * config.memory_size * config.memory_layers if config.memory else 0
    return memory + num_activations(config.network, task.obs_space, hidden=config.hidden)


def memory_of_one_step(config: PolicySettings, task: Task, *, num_steps: int, shared: bool = False) -> int:
    """Bytes, about, of a rollout of `num_steps` and of one gradient step on all of it; before anything is allocated."""
    torsos = 1 if shared else 2
    activations = torsos * num_activations_of(config, task)
    num_rows = task.num_sessions * task.num_envs * (num_steps + 1)
    rollout = RolloutBuffer.num_bytes(num_steps, *task.layout)
    return rollout + 4 * 2 * activations * num_rows  # and their gradients


def take_in_obs(net: ActorCritic | QNetwork, rollout: Tensors) -> None:
    """Update the statistics of observations, if they are normalised, by the valid rows of a rollout ``[T, S, N, ...]``.

    After learning: the rollout was acted, and valued, with the old ones.
    """
    if net.obs_norm is not None:
        valid = by_session(rollout["valid"]).float()
        net.obs_norm.update(by_session(rollout["obs"])[:, : valid.shape[1]], valid)
