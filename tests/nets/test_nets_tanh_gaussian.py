import math

import pytest
import torch
from torch import distributions as td

from rllab.nets import tanh_gaussian


def outputs_and_noise(generator, dtype=torch.float64):
    outputs = torch.randn(2, 7, 6, generator=generator, dtype=dtype) * 2
    outputs[0, 0, 3] = 5.0  # a log standard deviation beyond the clamp
    return outputs, torch.randn(2, 7, 3, generator=generator, dtype=dtype)


@pytest.mark.parametrize(("mean", "log_std"), [(0.0, 0.0), (0.4, -1.5), (-1.0, 0.7), (3.0, -0.5)])
def test_density_integrates_to_one(mean, log_std):
    noise = torch.linspace(-9.0, 9.0, 200_001, dtype=torch.float64).unsqueeze(-1)
    outputs = torch.tensor([mean, log_std], dtype=torch.float64).expand(len(noise), 2)
    action, log_prob = tanh_gaussian.sample_log_prob(outputs, noise)
    assert torch.trapezoid(log_prob.exp(), action[:, 0]).item() == pytest.approx(1.0, abs=1e-6)
    # P(a <= 0) is that of the unsquashed normal below 0
    below = action[:, 0] <= 0
    expected = td.Normal(mean, math.exp(log_std)).cdf(torch.tensor(0.0)).item()
    assert torch.trapezoid(log_prob[below].exp(), action[below, 0]).item() == pytest.approx(expected, abs=1e-3)


def test_log_prob_is_that_of_torch():
    outputs, noise = outputs_and_noise(torch.Generator().manual_seed(0))
    action, log_prob = tanh_gaussian.sample_log_prob(outputs, noise)
    normal = td.Normal(outputs[..., :3], outputs[..., 3:].clamp(-20, 2).exp())
    squashed = td.Independent(td.TransformedDistribution(normal, td.TanhTransform(cache_size=1)), 1)
    unsquashed = outputs[..., :3] + outputs[..., 3:].clamp(-20, 2).exp() * noise
    sample = squashed.base_dist.transforms[0](unsquashed)  # the cache keeps the way back exact
    torch.testing.assert_close(action, sample)
    torch.testing.assert_close(log_prob, squashed.log_prob(sample))
    assert torch.equal(tanh_gaussian.sample(outputs, noise), action)


def test_saturated_actions_stay_finite():
    outputs = torch.tensor([[60.0, 0.0], [-60.0, -20.0], [0.0, 30.0]], requires_grad=True)
    action, log_prob = tanh_gaussian.sample_log_prob(outputs, torch.ones(3, 1))
    assert action.abs().max() == 1
    assert log_prob.isfinite().all()
    assert log_prob[0].item() == pytest.approx(-0.5 - 0.9189385 + 2 * (61 - math.log(2)), rel=1e-5)
    (grad,) = torch.autograd.grad(action.sum() + log_prob.sum(), outputs)
    # tanh is flat there: what is left is d log p / d u = 2 a, times d u / d log std = 1 less 1 in the first row
    torch.testing.assert_close(grad, torch.tensor([[2.0, 1.0], [-2.0, -1.0], [2.0, 0.0]]))  # and 0 beyond the clamp
