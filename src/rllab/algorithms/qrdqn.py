"""Quantile regression DQN (Dabney et al. 2018): the distribution of the return instead of its mean."""

import copy
from dataclasses import dataclass

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
from rllab.buffers.replay import ReplayBuffer
from rllab.functional.losses import quantile_huber
from rllab.functional.schedules import is_due
from rllab.kernels.q_learning import QKernel
from rllab.nets.greedy import GreedyPolicy
from rllab.nets.q_network import QNetwork
from rllab.nets.torsos import check_network
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.random.streams import Seed, Streams


@dataclass(frozen=True)
class QRDQNConfig(QSettings):
    """Settings of QR-DQN."""

    name: str = "qrdqn"
    num_quantiles: int = 50
    """Quantiles of each action's return."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, integers=["num_quantiles"])


class QRDQN(Algorithm):
    """QR-DQN of S sessions in lockstep, on N sub-envs each."""

    Config = QRDQNConfig
    action_spaces = (gs.Discrete,)
    counted_in_frames = ("learning_starts", "buffer_size")
    saved = ("target", "optimizer", "sampler", "batch_streams", "num_updates", "updated_at")
    shared = ("net", "optimizer", "target", "target_flat", "updated_at")

    @staticmethod
    def check(config: QRDQNConfig, task: Task) -> None:
        check_network(config.network, task.obs_space, normalize_obs=config.normalize_obs)
        check_replay(config, task)

    def __init__(self, config: QRDQNConfig, task: Task, *, seed: int | Seed, device: str = "cpu") -> None:
        self.config, self.task, self.device = config, task, device
        self.rollout_steps = config.train_freq
        self.net: QNetwork = make_q_network(config, task, seed=seed, device=device, num_quantiles=config.num_quantiles)
        self.target = copy.deepcopy(self.net)
        self.flat, self.target_flat = FlatParameters(self.net), FlatParameters(self.target)
        self.optimizer = Adam(self.flat, eps=config.adam_eps)
        self.schedules = schedules(config, "lr", config.exploring)
        self.sampler = make_value_sampler(config, task, self.net, self.schedules, seed=seed)
        self.batch_streams = Streams(seed, task.num_sessions, "minibatch")
        self.num_updates = 0  # gradient steps
        self.kernel: QKernel | None = None
        self.updated_at = torch.zeros((), dtype=torch.int64)  # frame of the latest update, of whichever worker

    def use_kernels(self) -> dict[str, str | None]:
        return take_kernels(self, QKernel)

    def make_buffer(self) -> ReplayBuffer:
        return make_replay(self.config, self.task, self.device)

    def act(self, obs: np.ndarray, state: State, starts: np.ndarray, *, explore: bool) -> Acted:
        return Acted(self.sampler.act(obs, explore=explore), {}, state)

    def update(self, buffer: ReplayBuffer, frame: int) -> Metrics:
        config = self.config
        since, self.sampler.frame = int(self.updated_at), frame
        self.updated_at.fill_(frame)
        take_in_newest(self.net, buffer, self.rollout_steps)
        if buffer.num_frames < config.learning_starts:
            return {}
        lr = self.schedules["lr"](self.task.progress(frame))
        for _ in range(config.gradient_steps):
            metrics = self._gradient_step(buffer, lr)
        if is_due(config.target_period, since, frame):
            self.target_flat.data.lerp_(self.flat.data, config.tau)
        return {
            **metrics,
            "train/lr": lr,
            "train/num_updates": self.num_updates,
            # update-to-data ratio: gradient steps for each frame
            "train/utd": config.gradient_steps / (config.train_freq * self.task.num_envs),
            f"train/{config.exploring}": self.sampler.level,
        }

    def _gradient_step(self, buffer: ReplayBuffer, lr: float) -> dict[str, Tensor]:
        config = self.config
        batch = buffer.sample(config.batch_size, self.batch_streams, gamma=config.gamma, n_step=config.n_step)
        batch = normalized(self.net, batch)
        self.num_updates += 1
        return self.kernel(batch, lr)[0] if self.kernel else self._learn(batch, lr)

    def _learn(self, batch: Tensors, lr: float) -> Tensors:
        """One gradient step on a batch ``[S, B, ...]``: metrics ``[S]``."""
        config = self.config
        with torch.no_grad():
            target = quantile_target(batch["reward"], batch["discount"], self.target(batch["next_obs"]))
        action = batch["action"].view(*target.shape[:2], 1, 1).expand(-1, -1, 1, config.num_quantiles)
        quantiles = self.net(batch["obs"]).gather(2, action).squeeze(2)  # [S, B, Z]
        loss = quantile_huber(quantiles, target).mean(1)
        self.flat.backward(loss)
        grad_norm = self.flat.clip_grad_norm_(config.max_grad_norm)
        self.optimizer.step(lr)
        q_value = quantiles.detach().mean((1, 2))
        return {"train/loss": loss.detach(), "train/q_value": q_value, "train/grad_norm": grad_norm}

    def policy(self, session: int) -> nn.Module:
        return GreedyPolicy(self.net, session, QNetwork.greedy)


def quantile_target(reward: Tensor, discount: Tensor, next_quantiles: Tensor) -> Tensor:
    """``reward + discount * quantiles`` of the next action with the highest mean: ``[S, B, Z]`` of ``[S, B, A, Z]``."""
    best = next_quantiles.mean(-1).argmax(-1)[..., None, None].expand(-1, -1, 1, next_quantiles.shape[-1])
    return reward.unsqueeze(-1) + discount.unsqueeze(-1) * next_quantiles.gather(2, best).squeeze(2)
