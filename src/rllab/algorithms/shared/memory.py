"""What agents share that remember: settings, their check, and networks over a whole rollout."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from rllab.algorithms.shared.settings import NetworkSettings, check_ranges
from rllab.buffers import Tensors
from rllab.nets.actor_critic import ActorCritic
from rllab.nets.memory import MemoryLayout, Past, State


@dataclass(frozen=True)
class MemorySettings(NetworkSettings):
    """Settings of agents whose network may have a memory."""

    memory: Literal["lstm", "gru"] | None = None
    """Recurrent layers, for what a single observation does not show; null is none."""
    memory_size: int = 128
    """Width of each of them."""
    memory_layers: int = 1
    """How many there are."""
    memory_at: Literal["after", "before"] = "after"
    """After the network, or before it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, integers=["memory_size", "memory_layers"])

    @property
    def memory_layout(self) -> MemoryLayout | None:
        """Which memory a network is to have."""
        if self.memory is None:
            return None
        return MemoryLayout(self.memory, self.memory_size, self.memory_layers, self.memory_at)


def check_sequences(length: int, num_steps: int, num_envs: int, number: int) -> None:
    """Raise a one-line ``ValueError`` unless rollouts make sequences of this length, and these so many minibatches."""
    if num_steps % length:
        near = max(n for n in range(1, min(length, num_steps) + 1) if num_steps % n == 0)
        raise ValueError(
            f"agent.memory_length: got {length}, which does not divide agent.num_steps={num_steps}; "
            f"write one that does, e.g. agent.memory_length={near}"
        )
    num_sequences = num_steps // length * num_envs
    if num_sequences % number:
        fits = [n for n in range(length, 0, -1) if num_steps % n == 0 and num_steps // n * num_envs % number == 0]
        hint = f"agent.memory_length={fits[0]}" if fits else "agent.num_minibatches=1"
        raise ValueError(
            f"agent.num_minibatches: got {number}, which does not divide the {num_sequences} sequences of "
            f"{length} steps that an agent with a memory learns from; write {hint}"
        )


def evaluate(net: ActorCritic, rollout: Tensors, x: Tensor, memory: State, length: int) -> tuple[Tensor, Tensor, State]:
    """Outputs and values of a rollout and of its last step's successors, and what is remembered after `length` steps.

    Args:
        net: of the agent.
        rollout: ``[T, S, N, ...]``; `length` divides T.
        x: its observations, normalised, ``[S, (T + 1) * N, ...]``.
        memory: what was remembered before its first step; without a memory nothing.
        length: steps to the beginning of the next rollout.
    """
    if net.memory is None:
        return *net(x), {}
    outputs, value, states = net.unroll(x, Past(memory, rollout["starts"].transpose(0, 1)), length)
    return outputs, value, {name: each.detach() for name, each in states[1].items()}
