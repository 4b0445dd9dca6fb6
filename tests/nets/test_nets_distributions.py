import gymnasium.spaces as gs
import numpy as np
import pytest
import torch
from torch import distributions as td

from rllab.nets.distributions import (
    Bernoulli,
    Categorical,
    DiagGaussian,
    MultiCategorical,
    make_distribution,
)
from rllab.random.noise import colour
from rllab.random.streams import Streams

S, B = 2, 6
KINDS = ["categorical", "multicategorical", "bernoulli", "gaussian"]


def make_case(kind):
    """Ours, outputs `[S, B, n]` and actions of it, and torch's (log_prob, entropy) of outputs and actions."""
    generator = torch.Generator().manual_seed(3)

    def normal(n):
        return torch.randn(S, B, n, generator=generator, dtype=torch.float64) * 2

    def integers(low, high, *shape):
        return torch.randint(low, high, (S, B, *shape), generator=generator)

    if kind == "categorical":

        def reference(logits, action):
            d = td.Categorical(logits=logits)
            return d.log_prob(action), d.entropy()

        return Categorical(4), normal(4), integers(0, 4), reference
    if kind == "multicategorical":

        def reference(logits, action):
            first, second = td.Categorical(logits=logits[..., :2]), td.Categorical(logits=logits[..., 2:])
            log_prob = first.log_prob(action[..., 0]) + second.log_prob(action[..., 1])
            return log_prob, first.entropy() + second.entropy()

        action = torch.stack([integers(0, 2), integers(0, 3)], -1)
        return MultiCategorical([2, 3]), normal(5), action, reference
    if kind == "bernoulli":

        def reference(logits, action):
            d = td.Independent(td.Bernoulli(logits=logits), 1)
            return d.log_prob(action.double()), d.entropy()

        return Bernoulli(3), normal(3), integers(0, 2, 3), reference
    ours = DiagGaussian([0.0] * 3, num_sessions=S).double()
    with torch.no_grad():
        ours.log_std.copy_(torch.tensor([[[-1.0, 0.0, 0.5]], [[0.3, -0.2, 1.0]]]))

    def reference(mean, action):
        d = td.Independent(td.Normal(mean, ours.log_std.exp().expand_as(mean)), 1)
        return d.log_prob(action), d.entropy()

    return ours, normal(3), normal(3), reference


@pytest.mark.parametrize("kind", KINDS)
def test_log_prob_and_entropy_equal_torch(kind):
    ours, outputs, action, reference = make_case(kind)
    expected_log_prob, expected_entropy = reference(outputs, action)
    log_prob, entropy = ours.log_prob_entropy(outputs, action)
    assert log_prob.shape == entropy.shape == (S, B)
    torch.testing.assert_close(log_prob, expected_log_prob)
    torch.testing.assert_close(entropy, expected_entropy)


@pytest.mark.parametrize("kind", KINDS[:3])
def test_extreme_outputs_stay_finite(kind):
    ours, outputs, action, _ = make_case(kind)
    outputs = (outputs.float() * 1000).requires_grad_()
    log_prob, entropy = ours.log_prob_entropy(outputs, action)
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(entropy).all()
    for x in (log_prob, entropy):
        (grad,) = torch.autograd.grad(x.sum(), outputs, retain_graph=True)
        assert torch.isfinite(grad).all()


def sample(ours, outputs, steps=20_000):
    """`steps` samples for outputs `[S, 1, n]`: `[steps, S, ...]`."""
    noise = ours.noise(Streams(0, len(outputs), "action"), steps, 1)
    return torch.as_tensor(ours.mode(outputs + noise)).squeeze(2)


def chi_square(observed, expected):
    assert observed.sum() == pytest.approx(float(expected.sum()))
    return float(((observed - expected) ** 2 / expected).sum())


def test_categorical_samples_have_the_right_frequencies():
    logits = torch.tensor([[[0.0, 1.0, 2.0, -2.0]], [[3.0, 0.0, 0.0, 0.0]]])
    samples = sample(Categorical(4), logits)
    for session in range(2):
        observed = torch.bincount(samples[:, session], minlength=4)
        # 3 degrees of freedom: a wrong sampler gives hundreds, a right one above 21 once in 10,000
        assert chi_square(observed, 20_000 * logits[session, 0].softmax(-1)) < 21


def test_multicategorical_samples_have_the_right_joint_frequencies():
    logits = torch.tensor([[[0.0, 1.0, 0.5, -0.5, 0.0]]])
    samples = sample(MultiCategorical([2, 3]), logits)[:, 0]
    joint = torch.bincount(samples[:, 0] * 3 + samples[:, 1], minlength=6)
    expected = torch.outer(logits[0, 0, :2].softmax(-1), logits[0, 0, 2:].softmax(-1)).flatten()
    assert chi_square(joint, 20_000 * expected) < 26  # 5 degrees of freedom: independent choices


def test_bernoulli_samples_have_the_right_frequencies():
    logits = torch.tensor([[[0.0, 2.0, -3.0]]])
    samples = sample(Bernoulli(3), logits)[:, 0]
    assert set(samples.unique().tolist()) == {0, 1}
    for switch in range(3):
        on = float(logits[0, 0, switch].sigmoid())
        observed = torch.bincount(samples[:, switch], minlength=2)
        assert chi_square(observed, 20_000 * torch.tensor([1 - on, on])) < 15  # 1 degree of freedom


def test_gaussian_samples_have_the_right_mean_and_deviation():
    ours = DiagGaussian([0.0] * 2, num_sessions=2)
    with torch.no_grad():
        ours.log_std.copy_(torch.tensor([[[-1.0, 0.0]], [[1.0, 0.5]]]))
    mean = torch.tensor([[[3.0, -1.0]], [[0.0, 10.0]]])
    samples = sample(ours, mean)
    std = ours.log_std.detach().exp()[:, 0]
    torch.testing.assert_close(samples.std(0), std, rtol=0.03, atol=0)  # six times 1 / sqrt(40,000)
    assert ((samples.mean(0) - mean[:, 0]).abs() < 5 * std / 20_000**0.5).all()


def test_sessions_draw_their_own_noise():
    for kind in KINDS:
        ours, *_ = make_case(kind)
        one = ours.noise(Streams(5, 2, "action"), 3, 4)
        many = ours.noise(Streams(5, 2, "action"), 3, 4)
        assert one.shape == (3, 2, 4, ours.num_outputs)
        assert torch.equal(one, many)
        assert not torch.equal(one[:, 0] / one[:, 0].std(), one[:, 1] / one[:, 1].std())


def test_modes_by_hand_for_arrays_and_tensors():
    cases = [
        (Categorical(3), [[[0.1, 3.0, 2.0]]], [[1]]),
        (MultiCategorical([2, 3]), [[[1.0, 0.0, 0.0, 0.0, 4.0]]], [[[0, 2]]]),
        (Bernoulli(3), [[[-0.1, 0.1, 7.0]]], [[[0, 1, 1]]]),
        (DiagGaussian([0.0] * 2, num_sessions=1), [[[0.5, -2.0]]], [[[0.5, -2.0]]]),
    ]
    for ours, outputs, expected in cases:
        assert torch.as_tensor(ours.mode(torch.tensor(outputs))).tolist() == expected
        assert np.asarray(ours.mode(np.array(outputs, np.float32))).tolist() == expected


def test_make_distribution_reads_the_space():
    categorical = make_distribution(gs.Discrete(4), num_sessions=1)
    assert isinstance(categorical, Categorical)
    assert categorical.mode(torch.tensor([[[0.0, 0.0, 0.0, 1.0]]])).tolist() == [[3]]
    multi = make_distribution(gs.MultiDiscrete([2, 3]), num_sessions=1)
    assert isinstance(multi, MultiCategorical)
    assert multi.mode(torch.tensor([[[0.0, 1.0, 1.0, 0.0, 0.0]]])).tolist() == [[[1, 0]]]
    assert isinstance(make_distribution(gs.MultiBinary(3), num_sessions=1), Bernoulli)
    gaussian = make_distribution(gs.Box(-1, 1, (3,)), num_sessions=2, log_std_init=-0.5, noise_beta=1.0)
    assert isinstance(gaussian, DiagGaussian)
    assert gaussian.log_std.tolist() == torch.full((2, 1, 3), -0.5).tolist()
    assert gaussian.noise_beta == 1.0


@pytest.mark.parametrize("space", [gs.Dict({"a": gs.Discrete(2)}), gs.Text(3)])
def test_spaces_without_a_head_are_refused(space):
    with pytest.raises(ValueError, match="no policy head"):
        make_distribution(space, num_sessions=1)


@pytest.mark.parametrize("steps", [1, 2, 63, 64])
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0])
def test_coloured_noise_keeps_unit_variance_at_every_step(beta, steps):
    white = torch.randn(steps, 20_000, generator=torch.Generator().manual_seed(0))
    noise = colour(white, beta)
    assert noise.shape == white.shape
    assert noise.std(1).tolist() == pytest.approx([1.0] * steps, abs=0.03)  # six times 1 / sqrt(40,000)
    assert noise.mean(1).tolist() == pytest.approx([0.0] * steps, abs=0.04)


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_coloured_noise_has_power_one_over_f_to_the_beta(beta):
    white = torch.randn(256, 2000, generator=torch.Generator().manual_seed(1))
    power = torch.fft.rfft(colour(white, beta), dim=0).abs().square().mean(1)[1:-1]  # without 0 and Nyquist
    log_frequency = np.log(np.arange(1, 128))
    slope = np.polyfit(log_frequency, np.log(power.numpy()), 1)[0]
    assert slope == pytest.approx(-beta, abs=0.03)


def test_coloured_noise_persists_only_if_asked_for():
    def lag_one(beta):
        ours = DiagGaussian([0.0] * 1, num_sessions=1, noise_beta=beta)
        noise = ours.noise(Streams(0, 1, "action"), 256, 500)[:, 0, :, 0]
        return float((noise[1:] * noise[:-1]).mean())

    assert abs(lag_one(0.0)) < 0.02
    assert lag_one(1.0) > 0.4
