"""Running normalisation per session. It lives in the module, so that state_dict and export carry it."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from rllab.functional.reductions import by_session
from rllab.functional.returns import discounted_sums


class RunningNorm(nn.Module):
    """Standardises ``[S, B, *shape]`` by each session's running mean and variance, clipped to ±`clip`.

    Statistics change only in `update` (parallel algorithm of Chan et al. 1979), never in `forward`: evaluation and
    repeated passes over a rollout see them frozen.
    """

    mean: Tensor
    var: Tensor
    count: Tensor

    def __init__(self, num_sessions: int, *shape: int, clip: float = 10.0) -> None:
        super().__init__()
        self.clip = clip
        self.register_buffer("mean", torch.zeros(num_sessions, 1, *shape))
        self.register_buffer("var", torch.ones(num_sessions, 1, *shape))
        self.register_buffer("count", torch.zeros(num_sessions, 1, *[1] * len(shape)))

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / (self.var + 1e-8).sqrt()).clamp(-self.clip, self.clip)

    def host(self) -> Callable[[np.ndarray], np.ndarray]:
        """`forward` for numpy, on the memory of the statistics; for statistics on the CPU."""
        mean, var = self.mean.numpy(), self.var.numpy()
        return lambda x: ((x - mean) / np.sqrt(var + np.float32(1e-8))).clip(-self.clip, self.clip)

    def scale(self, x: Tensor) -> Tensor:
        """Divide by the standard deviation alone, clipped: for rewards, whose sign must stay."""
        return (x / (self.var + 1e-8).sqrt()).clamp(-self.clip, self.clip)

    @torch.no_grad()
    def update(self, x: Tensor, mask: Tensor) -> None:
        """Take in a batch ``[S, B, *shape]`` of which the rows with mask ``[S, B]`` 1 count."""
        mask = mask.reshape(*mask.shape, *[1] * (x.dim() - 2))
        count = mask.sum(1, keepdim=True)
        safe = count.clamp(min=1.0)
        mean = (x * mask).sum(1, keepdim=True) / safe
        var = ((x - mean).square() * mask).sum(1, keepdim=True) / safe
        total = (self.count + count).clamp(min=1.0)
        delta = mean - self.mean
        spread = self.var * self.count + var * count + delta.square() * (self.count * count / total)
        self.var.copy_(torch.where(self.count + count > 0, spread / total, self.var))
        self.mean += delta * (count / total)
        self.count += count


class RewardNorm(RunningNorm):
    """Scales rewards so that the discounted return has a running variance of 1 (Engstrom et al. 2020)."""

    discounted_return: Tensor
    private = ("discounted_return",)
    """Of the sub-envs, so that workers which share a policy have each their own."""

    def __init__(self, num_sessions: int, num_envs: int, *, gamma: float) -> None:
        super().__init__(num_sessions)
        self.gamma = gamma
        self.register_buffer("discounted_return", torch.zeros(num_sessions, num_envs))

    def scale_rollout(self, rollout: dict[str, Tensor]) -> Tensor:
        """Take in a rollout and return its rewards ``[T, S, N]``, scaled."""
        reward, done = rollout["reward"], rollout["terminated"] | rollout["truncated"]
        sums = discounted_sums(reward, done, self.discounted_return, gamma=self.gamma)
        self.discounted_return.copy_(sums[-1] * ~done[-1])
        self.update(by_session(sums), by_session(rollout["valid"]).float())
        return self.scale(reward)  # [S, 1] against [T, S, N]
