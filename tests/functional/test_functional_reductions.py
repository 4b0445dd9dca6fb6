import pytest
import torch

from rllab.functional.reductions import explained_variance, masked_mean, masked_standardize


def test_masked_mean_by_session():
    x = torch.tensor([[1.0, 2.0, 30.0], [4.0, 5.0, 6.0]])
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    assert masked_mean(x, mask).tolist() == [1.5, 5.0]  # (1 + 2) / 2, (4 + 5 + 6) / 3


def test_masked_mean_is_zero_where_nothing_is_valid():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert masked_mean(x, torch.tensor([[0.0, 0.0], [0.0, 1.0]])).tolist() == [0.0, 4.0]


def test_masked_standardize_by_hand():
    # valid 1, 3: mean 2, unbiased variance (1 + 1) / 1 = 2; the masked 100 counts in neither
    y = masked_standardize(torch.tensor([[1.0, 3.0, 100.0]]), torch.tensor([[1.0, 1.0, 0.0]]))
    assert y[0, :2].tolist() == pytest.approx([-(2**-0.5), 2**-0.5])


def test_masked_standardize_equals_torch_on_the_valid_entries():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 50, generator=generator) * 4 + 7
    mask = (torch.rand(3, 50, generator=generator) < 0.7).float()
    y = masked_standardize(x, mask)
    for session in range(3):
        valid = x[session, mask[session] > 0]
        expected = (valid - valid.mean()) / valid.std()
        torch.testing.assert_close(y[session, mask[session] > 0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mask", [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
def test_masked_standardize_is_finite_with_one_or_no_valid_entry(mask):
    mask = torch.tensor([mask])
    y = masked_standardize(torch.tensor([[1.0, 3.0, 100.0]]), mask)
    assert torch.isfinite(y).all()
    assert (y * mask).max() == 3.0 * mask.sum()  # a single one has no spread: from 0 nothing would be learned


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        ([0.0, 2.0, 0.0], 1.0),  # perfect on what is valid
        ([9.0, 11.0, 0.0], 1.0),  # a constant offset is no variance
        ([1.0, 1.0, 0.0], 0.0),  # the mean: useless
        ([0.0, 1.0, 0.0], 0.75),  # errors 0, 1 have variance 1/4; targets 0, 2 have variance 1
        ([2.0, 0.0, 0.0], -3.0),  # errors -2, 2 have variance 4: worse than useless
    ],
)
def test_explained_variance_by_hand(prediction, expected):
    target, mask = torch.tensor([[0.0, 2.0, 50.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    assert explained_variance(torch.tensor([prediction]), target, mask).tolist() == pytest.approx([expected])


def test_explained_variance_without_variance_or_valid_entries_is_zero():
    prediction = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    target, mask = torch.tensor([[3.0, 3.0], [4.0, 5.0]]), torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    assert explained_variance(prediction, target, mask).tolist() == [0.0, 0.0]
