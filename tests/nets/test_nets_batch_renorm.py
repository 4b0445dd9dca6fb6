import copy

import pytest
import torch

from rllab.nets.batch_renorm import BatchRenorm, RenormMLP

BATCH = torch.tensor([[[1.0], [3.0]]])  # mean 2, variance 1


def renorm(**settings):
    norm = BatchRenorm(1, 1, momentum=0.1, eps=0.0, **settings)
    norm.weight.data.fill_(2.0)
    norm.bias.data.fill_(0.5)
    return norm


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
    torch.testing.assert_close(norm(BATCH, training=True), expected)
    assert norm.mean.item() == pytest.approx(1.1)
    assert norm.var.item() == pytest.approx(0.325)


def test_the_correction_is_clipped_and_carries_no_gradient():
    norm = renorm(warmup=0)
    norm.mean.fill_(-100.0)
    norm.var.fill_(0.01)
    x = BATCH.clone().requires_grad_()
    y = norm(x, training=True)
    # r = 3 of 10, d = 5 of 1020: 2 * (-+1 * 3 + 5) + 0.5
    torch.testing.assert_close(y, torch.tensor([[[4.5], [16.5]]]))
    (grad,) = torch.autograd.grad(y[0, 0, 0], x)
    torch.testing.assert_close(grad, torch.zeros_like(grad))  # of two rows, the normalised ones are always -1 and 1


def test_statistics_are_each_sessions_own(make_generators):
    net = RenormMLP([3, 8, 2], generators=make_generators(2))
    x = torch.randn(2, 5, 3)
    y = net(x, training=True)
    alone = RenormMLP([3, 8, 2], generators=make_generators(1))
    torch.testing.assert_close(alone(x[:1], training=True), y[:1])
    assert torch.equal(alone.norm_1.mean, net.norm_1.mean[:1])
    assert torch.equal(net(x), net(x))  # evaluation moves nothing
    assert not torch.equal(net(x), y)


@pytest.mark.parametrize("warmup", [0, 10])
def test_written_out_gradients_are_those_of_autograd(make_generators, warmup):
    net = RenormMLP([3, 8, 2], generators=make_generators(2), warmup=warmup)
    for parameter in net.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
        parameter.grad = torch.zeros_like(parameter)
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(2), requires_grad=True)
    with torch.no_grad():
        net(3 * x + 1, training=True)  # running statistics near the batch's, where the correction is not clipped
    before = copy.deepcopy(net.state_dict())
    for training, wanted in ((True, list(net.parameters())), (False, [x])):
        net.load_state_dict(before)
        y = net(x, training=training)
        weight = torch.linspace(-1, 1, y.numel()).view(y.shape)
        expected = torch.autograd.grad((y * weight).sum(), wanted)
        net.load_state_dict(before)
        with torch.no_grad():
            again, pullback = net.vjp(x, training=training)
            grad_x = pullback(weight)
        torch.testing.assert_close(again, y)
        for grad, value in zip([p.grad for p in wanted] if training else [grad_x], expected, strict=True):
            torch.testing.assert_close(grad, value, atol=1e-6, rtol=1e-4)
