"""SARSA (Rummery & Niranjan 1994; Sutton & Barto 2018, 6.4) with a network: on-policy action values."""

from dataclasses import dataclass
from typing import Literal

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.algorithms.contract import Acted, Algorithm, Metrics, State, Task
from rllab.algorithms.shared.on_policy import take_in_obs
from rllab.algorithms.shared.settings import check_budget, check_ranges, schedules
from rllab.algorithms.shared.values import ValueSettings, make_q_network, make_value_sampler
from rllab.buffers.rollout import RolloutBuffer
from rllab.functional.losses import TD_LOSSES
from rllab.functional.reductions import by_session
from rllab.kernels.build import why_not
from rllab.nets.greedy import GreedyPolicy
from rllab.nets.q_network import QNetwork
from rllab.nets.torsos import check_network
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters
from rllab.random.streams import Seed


@dataclass(frozen=True)
class SARSAConfig(ValueSettings):
    """Settings of SARSA."""

    name: str = "sarsa"
    num_steps: int = 4
    """Vector steps between two gradient steps; times env.num_envs is what one of them learns from."""
    loss: Literal["huber", "mse"] = "huber"
    """Of TD errors. huber counts those above 1 by their size, mse by its square: an end that is rare, where values are
    large, shows in the values."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, integers=["num_steps"])


class SARSA(Algorithm):
    """SARSA of S sessions in lockstep, on N sub-envs each."""

    Config = SARSAConfig
    action_spaces = (gs.Discrete,)
    saved = ("optimizer", "sampler", "next_action", "num_updates")
    shared = ("net", "optimizer")

    @staticmethod
    def check(config: SARSAConfig, task: Task) -> None:
        check_network(config.network, task.obs_space, normalize_obs=config.normalize_obs)
        check_budget(config.num_steps, f"one rollout is agent.num_steps={config.num_steps}", task)

    def __init__(self, config: SARSAConfig, task: Task, *, seed: int | Seed, device: str = "cpu") -> None:
        self.config, self.task, self.device = config, task, device
        self.rollout_steps = config.num_steps
        self.net: QNetwork = make_q_network(config, task, seed=seed, device=device)
        self.flat = FlatParameters(self.net)
        self.optimizer = Adam(self.flat, eps=config.adam_eps)
        self.schedules = schedules(config, "lr", config.exploring)
        self.sampler = make_value_sampler(config, task, self.net, self.schedules, seed=seed)
        self.next_action: np.ndarray | None = None  # chosen by the last update, before it learned
        self.num_updates = 0  # gradient steps

    def use_kernels(self) -> dict[str, str | None]:
        return {"acting": why_not(self.sampler.use_kernel)}

    def make_buffer(self) -> RolloutBuffer:
        return RolloutBuffer(self.rollout_steps, *self.task.layout)

    def act(self, obs: np.ndarray, state: State, starts: np.ndarray, *, explore: bool) -> Acted:
        if not explore or self.next_action is None:
            return Acted(self.sampler.act(obs, explore=explore), {}, state)
        action, self.next_action = self.next_action, None
        return Acted(action, {}, state)

    def update(self, buffer: RolloutBuffer, frame: int) -> Metrics:
        """One gradient step on the rollout.

        The action after the last row is chosen here, and taken next: each target holds the action that follows. After
        a truncation that is the one chosen for the episode's last observation, which the env does not execute.
        """
        rollout = buffer.tensors(self.device)
        self.sampler.frame = frame
        self.next_action = self.sampler.act(buffer.arrays["obs"][-1], explore=True)
        next_action = torch.cat([rollout["action"][1:], torch.from_numpy(self.next_action).to(self.device)[None]])
        q = self.net(self.net.normalize(by_session(rollout["obs"])))  # [S, (T + 1) * N, A, 1]
        by_step = q.view(self.task.num_sessions, -1, self.task.num_envs, q.shape[2]).transpose(0, 1)  # [T + 1, S, N, A]
        action = rollout["action"].unsqueeze(-1)
        next_q = by_step.detach()[1:].gather(-1, next_action.unsqueeze(-1)).squeeze(-1)
        chosen_q = by_step[:-1].gather(-1, action).squeeze(-1)
        target = sarsa_target(rollout["reward"], rollout["terminated"], next_q, gamma=self.config.gamma)
        weight = rollout["valid"] / rollout["valid"].sum((0, 2)).clamp(min=1).view(1, -1, 1)
        loss = (TD_LOSSES[self.config.loss](chosen_q - target) * weight).sum((0, 2))
        self.flat.backward(loss)
        grad_norm = self.flat.clip_grad_norm_(self.config.max_grad_norm)
        lr = self.schedules["lr"](self.task.progress(frame))
        self.optimizer.step(lr)
        self.num_updates += 1
        take_in_obs(self.net, rollout)
        return {
            "train/loss": loss.detach(),
            "train/q_value": (chosen_q.detach() * weight).sum((0, 2)),
            "train/grad_norm": grad_norm,
            "train/lr": lr,
            "train/num_updates": self.num_updates,
            f"train/{self.config.exploring}": self.sampler.schedule(self.task.progress(frame)),
        }

    def policy(self, session: int) -> nn.Module:
        return GreedyPolicy(self.net, session, QNetwork.greedy)


def sarsa_target(reward: Tensor, terminated: Tensor, next_q: Tensor, *, gamma: float) -> Tensor:
    """``reward + gamma * value of the next observation and action``, nothing of it where the episode terminated."""
    return reward + gamma * next_q * ~terminated
