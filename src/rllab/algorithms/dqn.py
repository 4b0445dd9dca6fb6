"""Deep Q-learning (Mnih et al. 2015), with double Q-learning, dueling heads, n-step targets and prioritized replay."""

import copy
from dataclasses import dataclass
from functools import partial
from typing import Literal

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.algorithms.contract import Acted, Algorithm, Metrics, State, Task
from rllab.algorithms.shared.kernels import take_kernels
from rllab.algorithms.shared.off_policy import check_replay, make_replay, normalized, take_in_newest
from rllab.algorithms.shared.settings import check_ranges, schedules
from rllab.algorithms.shared.values import QSettings, make_q_network, make_value_sampler
from rllab.buffers import Tensors
from rllab.buffers.prioritized import PrioritizedReplayBuffer
from rllab.buffers.replay import ReplayBuffer
from rllab.functional.losses import TD_LOSSES, td_target
from rllab.functional.schedules import Coefficient, check_coefficient, is_due
from rllab.kernels.q_learning import QKernel
from rllab.nets.greedy import GreedyPolicy
from rllab.nets.q_network import QNetwork
from rllab.nets.torsos import check_network
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class DQNConfig(QSettings):
    """Settings of DQN."""

    name: str = "dqn"
    double: bool = False
    """Double Q-learning: the online network chooses the next action, the target network values it."""
    dueling: bool = False
    """A value and advantages instead of one value for each action."""
    loss: Literal["huber", "mse"] = "huber"
    """Of TD errors. huber counts those above 1 by their size, mse by its square: an end that is rare, where values are
    large, shows in the values."""
    prioritized: bool = False
    """Draw transitions in proportion to their TD error instead of uniformly."""
    per_alpha: float = 0.6
    """With `prioritized`: how much the TD error counts; 0 is uniform."""
    per_beta: Coefficient = "linear:0.4:1"
    """With `prioritized`: how far importance weights undo the bias; 1 entirely."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, fractions=["per_alpha"])
        check_coefficient("agent.per_beta", self.per_beta, low=0.0, high=1.0)


class DQN(Algorithm):
    """DQN of S sessions in lockstep, on N sub-envs each."""

    Config = DQNConfig
    action_spaces = (gs.Discrete,)
    counted_in_frames = ("learning_starts", "buffer_size")
    saved = ("target", "optimizer", "sampler", "batch_streams", "num_updates", "updated_at")
    shared = ("net", "optimizer", "target", "target_flat", "updated_at")

    @staticmethod
    def check(config: DQNConfig, task: Task) -> None:
        check_network(config.network, task.obs_space, normalize_obs=config.normalize_obs)
        check_replay(config, task, PrioritizedReplayBuffer if config.prioritized else ReplayBuffer)

    def __init__(self, config: DQNConfig, task: Task, *, seed: int | Seed, device: str = "cpu") -> None:
        self.config, self.task, self.device = config, task, device
        self.rollout_steps = config.train_freq
        self.net: QNetwork = make_q_network(config, task, seed=seed, device=device, dueling=config.dueling)
        self.target = copy.deepcopy(self.net)
        self.flat, self.target_flat = FlatParameters(self.net), FlatParameters(self.target)
        self.optimizer = Adam(self.flat, eps=config.adam_eps)
        self.schedules = schedules(config, "lr", "per_beta", config.exploring)
        self.sampler = make_value_sampler(config, task, self.net, self.schedules, seed=seed)
        self.batch_streams = Streams(seed, task.num_sessions, "minibatch")
        self.num_updates = 0  # gradient steps
        self.kernel: QKernel | None = None
        self.updated_at = torch.zeros((), dtype=torch.int64)  # frame of the latest update, of whichever worker

    def use_kernels(self) -> dict[str, str | None]:
        return take_kernels(self, partial(QKernel, double=self.config.double, squared=self.config.loss == "mse"))

    def make_buffer(self) -> ReplayBuffer:
        per_alpha = self.config.per_alpha if self.config.prioritized else None
        return make_replay(self.config, self.task, self.device, per_alpha=per_alpha)

    def act(self, obs: np.ndarray, state: State, starts: np.ndarray, *, explore: bool) -> Acted:
        return Acted(self.sampler.act(obs, explore=explore), {}, state)

    def update(self, buffer: ReplayBuffer, frame: int) -> Metrics:
        config = self.config
        since, self.sampler.frame = int(self.updated_at), frame
        self.updated_at.fill_(frame)
        take_in_newest(self.net, buffer, self.rollout_steps)
        if buffer.num_frames < config.learning_starts:
            return {}
        coefs = {name: schedule(self.task.progress(frame)) for name, schedule in self.schedules.items()}
        for _ in range(config.gradient_steps):
            metrics = self._gradient_step(buffer, coefs["lr"], coefs["per_beta"])
        if is_due(config.target_period, since, frame):
            self.target_flat.data.lerp_(self.flat.data, config.tau)
        return {
            **metrics,
            "train/lr": coefs["lr"],
            "train/num_updates": self.num_updates,
            # update-to-data ratio: gradient steps for each frame
            "train/utd": config.gradient_steps / (config.train_freq * self.task.num_envs),
            f"train/{config.exploring}": self.sampler.level,
            **({"train/per_beta": coefs["per_beta"]} if config.prioritized else {}),
        }

    def _gradient_step(self, buffer: ReplayBuffer, lr: float, beta: float) -> dict[str, Tensor]:
        config = self.config
        rows = buffer.draw(config.batch_size, self.batch_streams)
        batch = normalized(self.net, buffer.gather(rows, gamma=config.gamma, n_step=config.n_step))
        weight = buffer.weights(rows, beta) if isinstance(buffer, PrioritizedReplayBuffer) else None
        metrics, td_error = self.kernel(batch, lr, weight) if self.kernel else self._learn(batch, lr, weight)
        if isinstance(buffer, PrioritizedReplayBuffer):
            buffer.update_priorities(rows, td_error)
        self.num_updates += 1
        return metrics

    def _learn(self, batch: Tensors, lr: float, weight: Tensor | None) -> tuple[Tensors, Tensor]:
        """One gradient step on a batch ``[S, B, ...]``: metrics ``[S]``, and TD errors ``[S, B]``."""
        with torch.no_grad():
            next_q = self.target(batch["next_obs"]).squeeze(-1)
            choosing_q = self.net(batch["next_obs"]).squeeze(-1) if self.config.double else None
            target = td_target(batch["reward"], batch["discount"], next_q, choosing_q)
        q = self.net(batch["obs"]).squeeze(-1)  # [S, B, A]
        q = q.gather(2, batch["action"].unsqueeze(2)).squeeze(2)
        td_error = q - target
        loss = TD_LOSSES[self.config.loss](td_error)
        loss = (loss if weight is None else loss * weight).mean(1)
        self.flat.backward(loss)
        grad_norm = self.flat.clip_grad_norm_(self.config.max_grad_norm)
        self.optimizer.step(lr)
        metrics = {"train/loss": loss.detach(), "train/q_value": q.detach().mean(1), "train/grad_norm": grad_norm}
        return metrics, td_error.detach()

    def policy(self, session: int) -> nn.Module:
        return GreedyPolicy(self.net, session, QNetwork.greedy)
