import pytest
import torch

from rllab.functional.losses import TD_LOSSES, huber, quantile_huber, squared, td_target


def differentiated(loss, x, *args):
    """A loss of `x`, and its gradient."""
    x = x.clone().requires_grad_()
    value = loss(x, *args)
    return value.detach(), torch.autograd.grad(value.sum(), x)[0]


def test_huber_by_hand():
    loss, gradient = differentiated(huber, torch.tensor([0.5, -3.0, 2.0, 1.0]))
    assert loss.tolist() == [0.125, 2.5, 1.5, 0.5]
    assert gradient.tolist() == [0.5, -1.0, 1.0, 1.0]


def test_squared_by_hand():
    loss, gradient = differentiated(squared, torch.tensor([0.5, -3.0, 2.0]))
    assert loss.tolist() == [0.125, 4.5, 2.0]
    assert gradient.tolist() == [0.5, -3.0, 2.0]


@pytest.mark.parametrize(("loss", "value"), [("mse", 9.0), ("huber", 10 - 1 / 9)])
def test_a_rare_end_counts_in_full_with_mse_and_hardly_with_huber(loss, value):
    # nine targets of 10, one of 0. mse: the mean. huber: the nine pull with 10 - q each, the one with 1 against them
    targets, q = torch.tensor([10.0] * 9 + [0.0]), torch.zeros(1)
    for _ in range(300):
        q = q - 0.1 * differentiated(lambda q: TD_LOSSES[loss](q - targets), q)[1]
    assert q.item() == pytest.approx(value, abs=1e-3)


def test_q_learning_takes_the_highest_value_and_double_q_learning_that_of_the_online_networks_choice():
    next_q = torch.tensor([[[1.0, 5.0], [1.0, 5.0], [1.0, 5.0]]])
    online = torch.tensor([[[4.0, 3.0], [0.0, 3.0], [4.0, 3.0]]])
    reward, discount = torch.tensor([[1.0, 1.0, 1.0]]), torch.tensor([[0.5, 0.5, 0.0]])
    assert td_target(reward, discount, next_q).tolist() == [[3.5, 3.5, 1.0]]
    assert td_target(reward, discount, next_q, online).tolist() == [[1.5, 3.5, 1.0]]


def test_quantile_huber_by_hand():
    # two quantiles, at 1/4 and 3/4, and two targets. Errors quantile - target: 0 - (0, 3), then 2 - (0, 3)
    # quantile 0: 1/4 * (0 + 2.5) / 2, gradient 1/4 * -1 / 2
    # quantile 2: above the first target 1/4 * 1.5, below the second 3/4 * 0.5, gradients 1/4 * 1 and 3/4 * -1
    loss, gradient = differentiated(quantile_huber, torch.tensor([0.0, 2.0]), torch.tensor([0.0, 3.0]))
    torch.testing.assert_close(loss, torch.tensor(0.3125 + 0.375))
    torch.testing.assert_close(gradient, torch.tensor([-0.125, -0.25]))


def test_quantiles_converge_to_those_of_the_target():
    # of the numbers 0, 1, ..., 99 a quarter lies below 24.5, and so on; the Huber loss blurs by less than 1
    quantiles, target = torch.zeros(2), torch.arange(100.0)
    for _ in range(4000):
        quantiles = quantiles - 0.5 * differentiated(quantile_huber, quantiles, target)[1]
    torch.testing.assert_close(quantiles, torch.tensor([24.5, 74.5]), atol=1.0, rtol=0)
