"""Action distributions over the outputs of a policy network ``[S, B, num_outputs]``.

All of them draw by perturbation: ``mode(outputs + noise)`` is a sample if `noise` is theirs. Noise is drawn beforehand,
for a whole rollout at once, and `mode` takes numpy arrays and tensors alike: the way from an observation to an action
is short. (`torch.distributions` costs ten times as much per call.)
"""

import math
from itertools import accumulate
from typing import Any

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.random.noise import coloured, gumbel, logistic
from rllab.random.streams import Streams

Array = Any
"""A numpy array or a tensor; the result is of the same kind."""


class Categorical(nn.Module):
    """One choice of `num_actions`: logits ``[S, B, num_actions]``, actions ``[S, B]`` int64."""

    def __init__(self, num_actions: int) -> None:
        super().__init__()
        self.num_outputs = num_actions

    def noise(self, streams: Streams, steps: int, num_envs: int) -> Tensor:
        """Gumbel noise ``[steps, S, num_envs, num_actions]``: logits + noise is largest at a sample."""
        return gumbel(streams, steps, num_envs, self.num_outputs)

    def mode(self, logits: Array) -> Array:
        """Most likely actions."""
        return logits.argmax(-1)

    def log_prob_entropy(self, logits: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability of the action and entropy, each ``[S, B]``."""
        log_probs = logits.mT.contiguous().log_softmax(1)  # [S, num_actions, B]: few actions reduce faster this way
        return log_probs.gather(1, action.unsqueeze(1)).squeeze(1), -(log_probs.exp() * log_probs).sum(1)


class MultiCategorical(nn.Module):
    """Several choices at once (MultiDiscrete): concatenated logits, actions ``[S, B, len(nvec)]`` int64."""

    def __init__(self, nvec: list[int]) -> None:
        super().__init__()
        self.num_outputs = sum(nvec)
        ends = list(accumulate(nvec))
        self.slices = [slice(end - n, end) for n, end in zip(nvec, ends, strict=True)]
        self.choices = [Categorical(n) for n in nvec]

    def noise(self, streams: Streams, steps: int, num_envs: int) -> Tensor:
        """Gumbel noise ``[steps, S, num_envs, sum(nvec)]``."""
        return gumbel(streams, steps, num_envs, self.num_outputs)

    def mode(self, logits: Array) -> Array:
        """Most likely actions."""
        logits = torch.as_tensor(logits)
        return torch.stack([c.mode(logits[..., s]) for c, s in zip(self.choices, self.slices, strict=True)], -1)

    def log_prob_entropy(self, logits: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability of the joint action and joint entropy, each ``[S, B]``."""
        parts = zip(self.choices, self.slices, action.unbind(-1), strict=True)
        each = [choice.log_prob_entropy(logits[..., s], a) for choice, s, a in parts]
        return torch.stack([e[0] for e in each]).sum(0), torch.stack([e[1] for e in each]).sum(0)


class Bernoulli(nn.Module):
    """Independent switches (MultiBinary): logits of "on" and actions ``[S, B, n]`` of 0 and 1, int64."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.num_outputs = n

    def noise(self, streams: Streams, steps: int, num_envs: int) -> Tensor:
        """Logistic noise ``[steps, S, num_envs, n]``: logits + noise is positive with the switch's probability."""
        return logistic(streams, steps, num_envs, self.num_outputs)

    def mode(self, logits: Array) -> Array:
        """Most likely actions."""
        return (logits > 0) * 1

    def log_prob_entropy(self, logits: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability of all switches together and their joint entropy, each ``[S, B]``."""
        log_on, log_off = nn.functional.logsigmoid(logits), nn.functional.logsigmoid(-logits)
        log_prob = torch.where(action > 0, log_on, log_off).sum(-1)
        return log_prob, -(logits.sigmoid() * log_on + (-logits).sigmoid() * log_off).sum(-1)


class DiagGaussian(nn.Module):
    """Independent normals whose log standard deviation is a parameter: means and actions ``[S, B, n]``.

    `noise_beta` colours the noise over time: its power falls as ``1 / f**noise_beta``, so 0 is the usual independent
    noise, 1 is pink. Each step's marginal stays a standard normal, hence log-probabilities stay exact step by step,
    while exploration becomes persistent (Hollenstein et al. 2024, "Colored Noise in PPO").
    """

    def __init__(self, log_std_init: list[float], *, num_sessions: int, noise_beta: float = 0.0) -> None:
        """`log_std_init`: of each of the n actions."""
        super().__init__()
        self.num_outputs = len(log_std_init)
        self.noise_beta = noise_beta
        self.log_std = nn.Parameter(torch.tensor(log_std_init).repeat(num_sessions, 1, 1))

    def noise(self, streams: Streams, steps: int, num_envs: int) -> Tensor:
        """Normal noise ``[steps, S, num_envs, n]`` of the present standard deviation, coloured along the first axis."""
        return self.log_std.detach().exp() * coloured(streams, steps, num_envs, self.num_outputs, beta=self.noise_beta)

    def mode(self, mean: Array) -> Array:
        """Most likely actions."""
        return mean

    def log_prob_entropy(self, mean: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Log-density of the action and differential entropy, each ``[S, B]``."""
        z = (action - mean) * (-self.log_std).exp()
        scale = self.log_std.sum(-1)  # [S, 1]
        log_prob = -0.5 * z.square().sum(-1) - scale - 0.5 * self.num_outputs * math.log(2 * math.pi)
        entropy = scale + 0.5 * self.num_outputs * (1.0 + math.log(2 * math.pi))
        return log_prob, entropy.expand_as(log_prob)


def initial_log_std(space: gs.Box[Any]) -> list[float]:
    """A standard deviation of 0.5 where actions are scaled to [-1, 1] (Andrychowicz et al. 2021), elsewhere 1."""
    scaled = np.isfinite(space.low) & np.isfinite(space.high)
    return np.where(scaled, -0.7, 0.0).tolist()  # type: ignore[no-any-return]


Distribution = Categorical | MultiCategorical | Bernoulli | DiagGaussian


def make_distribution(
    space: gs.Space[object], *, num_sessions: int, log_std_init: float | None = None, noise_beta: float = 0.0
) -> Distribution:
    """The distribution over an agent's action space, see `rllab.envs.actions`.

    Raises:
        ValueError: it is none of those.
    """
    if isinstance(space, gs.Discrete):
        return Categorical(int(space.n))
    if isinstance(space, gs.MultiDiscrete):
        return MultiCategorical(space.nvec.tolist())
    if isinstance(space, gs.MultiBinary):
        return Bernoulli(space.shape[0])
    if isinstance(space, gs.Box):
        each = initial_log_std(space) if log_std_init is None else [log_std_init] * space.shape[0]
        return DiagGaussian(each, num_sessions=num_sessions, noise_beta=noise_beta)
    raise ValueError(f"no policy head for {space}; heads exist for Discrete, MultiDiscrete, MultiBinary and Box")
