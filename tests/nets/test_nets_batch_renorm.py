import pytest
import torch

from rllab.nets.batch_renorm import BatchRenorm, RenormMLP

BATCH = torch.tensor([[[1.0], [3.0]]])  # mean 2, variance 1


def renorm(**settings):
    norm = BatchRenorm(1, 1, momentum=0.1, eps=0.0, **settings)
    norm.weight.data.fill_(2.0)
    norm.bias.data.fill_(0.5)
    return norm


def assert_no_gradient(y, x):
    """Of two rows the normalised ones are always -1 and 1."""
    (grad,) = torch.autograd.grad(y[0, 0, 0], x)
    torch.testing.assert_close(grad, torch.zeros_like(grad))


def test_warming_up_is_batch_normalisation_and_moves_the_running_statistics():
    norm = renorm(warmup=1)
    torch.testing.assert_close(norm(BATCH, training=True), torch.tensor([[[-1.5], [2.5]]]))
    assert norm.mean.item() == pytest.approx(0.2)  # 0.9 * 0 + 0.1 * 2
    norm(2 * BATCH, training=True)
    assert norm.var.item() == pytest.approx(1.3)  # 0.9 * 1 + 0.1 * 1, then 0.9 * 1 + 0.1 * 4
    assert norm.count.item() == 2


def test_afterwards_corrected_towards_the_running_statistics():
    norm = renorm(warmup=0)
    norm.mean.fill_(1.0)
    norm.var.fill_(0.25)
    # r = 1 / 0.5 = 2, d = (2 - 1) / 0.5 = 2: as if normalised by the running ones, ((1 - 1) / 0.5, (3 - 1) / 0.5)
    expected = norm(BATCH)
    torch.testing.assert_close(expected, torch.tensor([[[0.5], [8.5]]]))
    x = BATCH.clone().requires_grad_()
    y = norm(x, training=True)
    torch.testing.assert_close(y, expected)
    assert_no_gradient(y, x)  # the correction has none; with one it would be that of the line above: 4
    assert norm.mean.item() == pytest.approx(1.1)
    assert norm.var.item() == pytest.approx(0.325)


def test_the_correction_is_clipped():
    norm = renorm(warmup=0)
    norm.mean.fill_(-100.0)
    norm.var.fill_(0.01)
    x = BATCH.clone().requires_grad_()
    y = norm(x, training=True)
    # r = 3 of 10, d = 5 of 1020: 2 * (-+1 * 3 + 5) + 0.5
    torch.testing.assert_close(y, torch.tensor([[[4.5], [16.5]]]))
    assert_no_gradient(y, x)


def test_statistics_are_each_sessions_own(make_generators):
    net = RenormMLP([3, 8, 2], generators=make_generators(2))
    x = torch.randn(2, 5, 3)
    y = net(x, training=True)
    alone = RenormMLP([3, 8, 2], generators=make_generators(1))
    torch.testing.assert_close(alone(x[:1], training=True), y[:1])
    assert torch.equal(alone.norm_1.mean, net.norm_1.mean[:1])
    assert torch.equal(net(x), net(x))  # evaluation moves nothing
    assert not torch.equal(net(x), y)
