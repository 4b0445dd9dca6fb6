"""Action distributions over the outputs of a policy network, written out for speed (`torch.distributions` costs ten
times as much per call). Leading axes are ``[S, B]``; noise is drawn beforehand, for a whole rollout at once."""

import math

import gymnasium.spaces as gs
import torch
from torch import Tensor, nn

from rllab.functional.streams import Streams


class Categorical(nn.Module):
    """One choice of `num_actions`: logits ``[S, B, num_actions]``, actions ``[S, B]`` int64."""

    def __init__(self, num_actions: int, start: int = 0) -> None:
        super().__init__()
        self.num_outputs = num_actions
        self.start = start

    def noise(self, streams: Streams, steps: int, num_envs: int) -> Tensor:
        """Gumbel noise ``[steps, S, num_envs, num_actions]``: logits + noise is largest at a sample."""
        uniform = streams.uniform(steps, num_envs, self.num_outputs)
        return -torch.log(-torch.log(uniform.clamp(min=1e-20)))

    def sample(self, logits: Tensor, noise: Tensor) -> Tensor:
        return (logits + noise).argmax(-1) + self.start

    def mode(self, logits: Tensor) -> Tensor:
        return logits.argmax(-1) + self.start

    def log_prob_entropy(self, logits: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability of the action and entropy, each ``[S, B]``."""
        log_probs = logits - logits.logsumexp(-1, keepdim=True)
        log_prob = log_probs.gather(-1, (action - self.start).unsqueeze(-1)).squeeze(-1)
        return log_prob, -(log_probs.exp() * log_probs).sum(-1)


class MultiCategorical(nn.Module):
    """Several choices at once (MultiDiscrete): concatenated logits, actions ``[S, B, len(nvec)]`` int64."""

    def __init__(self, nvec: list[int], start: list[int]) -> None:
        super().__init__()
        self.num_outputs = sum(nvec)
        self.nvec = nvec
        self.parts = nn.ModuleList(Categorical(n, first) for n, first in zip(nvec, start, strict=True))

    def noise(self, streams: Streams, steps: int, num_envs: int) -> Tensor:
        """Gumbel noise ``[steps, S, num_envs, sum(nvec)]``."""
        return Categorical(self.num_outputs).noise(streams, steps, num_envs)

    def sample(self, logits: Tensor, noise: Tensor) -> Tensor:
        return self.mode(logits + noise)

    def mode(self, logits: Tensor) -> Tensor:
        choices = [part.mode(x) for part, x in zip(self.parts, logits.split(self.nvec, -1), strict=True)]  # type: ignore[operator]
        return torch.stack(choices, -1)

    def log_prob_entropy(self, logits: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability of the joint action and joint entropy, each ``[S, B]``."""
        parts = zip(self.parts, logits.split(self.nvec, -1), action.unbind(-1), strict=True)
        each = [part.log_prob_entropy(x, a) for part, x, a in parts]  # type: ignore[operator]
        return sum(e[0] for e in each), sum(e[1] for e in each)  # type: ignore[return-value]


class Bernoulli(nn.Module):
    """Independent switches (MultiBinary): logits of "on" and actions ``[S, B, n]`` of 0 and 1, int64."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.num_outputs = n

    def noise(self, streams: Streams, steps: int, num_envs: int) -> Tensor:
        """Logistic noise ``[steps, S, num_envs, n]``: logits + noise is positive with the switch's probability."""
        return torch.special.logit(streams.uniform(steps, num_envs, self.num_outputs), eps=1e-7)

    def sample(self, logits: Tensor, noise: Tensor) -> Tensor:
        return self.mode(logits + noise)

    def mode(self, logits: Tensor) -> Tensor:
        return (logits > 0).long()

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

    def __init__(
        self, n: int, *, num_sessions: int, log_std_init: float = 0.0, noise_beta: float = 0.0
    ) -> None:
        super().__init__()
        self.num_outputs = n
        self.noise_beta = noise_beta
        self.log_std = nn.Parameter(torch.full((num_sessions, 1, n), log_std_init))

    def noise(self, streams: Streams, steps: int, num_envs: int) -> Tensor:
        """Normal noise ``[steps, S, num_envs, n]``, coloured along the first axis."""
        white = streams.normal(steps, num_envs, self.num_outputs)
        return white if self.noise_beta == 0 else colour(white, self.noise_beta)

    def sample(self, mean: Tensor, noise: Tensor) -> Tensor:
        return torch.addcmul(mean, self.log_std.exp(), noise)

    def mode(self, mean: Tensor) -> Tensor:
        return mean

    def log_prob_entropy(self, mean: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Log-density of the action and differential entropy, each ``[S, B]``."""
        z = (action - mean) * (-self.log_std).exp()
        scale = self.log_std.sum(-1)  # [S, 1]
        log_prob = -0.5 * z.square().sum(-1) - scale - 0.5 * self.num_outputs * math.log(2 * math.pi)
        entropy = scale + 0.5 * self.num_outputs * (1.0 + math.log(2 * math.pi))
        return log_prob, entropy.expand_as(log_prob)


def colour(white: Tensor, beta: float) -> Tensor:
    """Shape standard normal noise along its first axis to the power spectrum ``1 / f**beta``, at unit variance.

    The lowest frequencies, zero included, share the power of one period of the whole length (Timmer & König 1995).
    """
    steps = white.shape[0]
    frequency = torch.fft.rfftfreq(steps, device=white.device).clamp(min=1.0 / steps)
    amplitude = frequency ** (-beta / 2)
    # variance of the inverse transform: every frequency but zero (and Nyquist) stands for two conjugate terms
    twice = torch.full_like(amplitude, 2.0)
    twice[0] = 1.0
    if steps % 2 == 0:
        twice[-1] = 1.0
    amplitude = amplitude / ((twice * amplitude.square()).sum() / steps).sqrt()
    spectrum = torch.fft.rfft(white, dim=0) * amplitude.reshape(-1, *[1] * (white.dim() - 1))
    return torch.fft.irfft(spectrum, n=steps, dim=0)


Distribution = Categorical | MultiCategorical | Bernoulli | DiagGaussian


def make_distribution(
    space: gs.Space[object], *, num_sessions: int, log_std_init: float = 0.0, noise_beta: float = 0.0
) -> Distribution:
    """The distribution over an action space.

    Raises:
        ValueError: no distribution acts in such a space.
    """
    if isinstance(space, gs.Discrete):
        return Categorical(int(space.n), int(space.start))
    if isinstance(space, gs.MultiDiscrete) and space.nvec.ndim == 1:
        return MultiCategorical([int(n) for n in space.nvec], [int(x) for x in space.start])
    if isinstance(space, gs.MultiBinary) and len(space.shape) == 1:
        return Bernoulli(space.shape[0])
    if isinstance(space, gs.Box) and len(space.shape) == 1:
        return DiagGaussian(
            space.shape[0], num_sessions=num_sessions, log_std_init=log_std_init, noise_beta=noise_beta
        )
    raise ValueError(
        f"no policy head for {space}; heads exist for Discrete, MultiDiscrete, MultiBinary and 1-D Box"
    )
