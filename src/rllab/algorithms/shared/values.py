"""What agents share that learn values of discrete actions, and act on them."""

from dataclasses import dataclass
from typing import Literal

import gymnasium.spaces as gs

from rllab.algorithms.contract import Task
from rllab.algorithms.shared.off_policy import ReplaySettings
from rllab.algorithms.shared.settings import Activation, NetworkSettings, check_ranges, follow
from rllab.errors import require
from rllab.functional.schedules import Coefficient, Schedule, check_coefficient
from rllab.nets.q_network import QNetwork, ValueSampler
from rllab.random.exploration import Exploration
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class ValueSettings(NetworkSettings):
    """Settings of agents that learn values of discrete actions, and act on them."""

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
    normalize_obs: bool = False
    """Standardise observations by their running mean and variance; images are not meant."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, coefficients=["temperature"], positive=["adam_eps"])
        check_coefficient("agent.epsilon", self.epsilon, low=0.0, high=1.0)

    @property
    def exploring(self) -> str:
        """The field that says how much is explored."""
        return "epsilon" if self.exploration == "epsilon_greedy" else "temperature"


@dataclass(frozen=True)
class QSettings(ReplaySettings, ValueSettings):
    """Settings of deep Q-learning."""

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
        normalize_obs=config.normalize_obs,
    )
    return net.to(device)


def make_value_sampler(
    config: ValueSettings, task: Task, net: QNetwork, known: dict[str, Schedule], *, seed: int | Seed
) -> ValueSampler:
    """How such a network acts by these settings; the level of exploration is among the schedules that are `known`."""
    assert isinstance(task.action_space, gs.Discrete)
    streams = Streams(seed, task.num_sessions, "action")
    exploration = Exploration(config.exploration, streams, task.num_envs, int(task.action_space.n))
    starts = getattr(config, "learning_starts", 0)
    level = follow(known, config.exploring)
    return ValueSampler(net, exploration, level, max_frame=task.max_frame, learning_starts=starts)
