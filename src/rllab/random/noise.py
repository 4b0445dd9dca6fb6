"""Noise that explores, ``[steps, S, num_envs, n]``: from each session's own stream, for many steps at once."""

import torch
from torch import Tensor

from rllab.random.streams import Streams


def gumbel(streams: Streams, steps: int, num_envs: int, n: int) -> Tensor:
    """Gumbel noise: logits plus noise are largest at a sample of their softmax."""
    return -torch.log(-torch.log(streams.uniform(steps, num_envs, n).clamp(min=1e-20)))


def logistic(streams: Streams, steps: int, num_envs: int, n: int) -> Tensor:
    """Logistic noise: a logit plus noise is positive with the probability that the logit stands for."""
    return torch.logit(streams.uniform(steps, num_envs, n), eps=1e-7)


def coloured(streams: Streams, steps: int, num_envs: int, n: int, *, beta: float = 0.0) -> Tensor:
    """Standard normal noise whose power over time falls as ``1 / f**beta``: 0 is independent, 1 pink."""
    white = streams.normal(steps, num_envs, n)
    return white if beta == 0 else colour(white, beta)


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
    coloured: Tensor = torch.fft.irfft(spectrum, n=steps, dim=0)
    return coloured


def uniform_actions(streams: Streams, num_envs: int, num_actions: int) -> Tensor:
    """Uniform actions in [-1, 1] for one step, ``[S, num_envs, num_actions]``."""
    return 2.0 * streams.uniform(1, num_envs, num_actions)[0] - 1.0
