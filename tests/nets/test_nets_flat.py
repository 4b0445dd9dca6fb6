import pytest
import torch
from torch import nn

from rllab.nets.flat import FlatParameters
from rllab.nets.mlp import MLP


class Pair(nn.Module):
    """Two parameters of different shapes, S = 2."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor([[1.0], [10.0]]))  # [2, 1]
        self.b = nn.Parameter(torch.tensor([[[2.0, 3.0]], [[20.0, 30.0]]]))  # [2, 1, 2]


def test_row_s_is_session_s():
    module = Pair()
    flat = FlatParameters(module)
    assert flat.data.tolist() == [[1, 2, 3], [10, 20, 30]]
    assert module.b.tolist() == [[[2, 3]], [[20, 30]]]
    module.b.grad.copy_(torch.tensor([[[5.0, 6.0]], [[7.0, 8.0]]]))
    assert flat.grad.tolist() == [[0, 5, 6], [0, 7, 8]]


@torch.no_grad()
def test_views_stay_alive_after_updates_in_place_and_load_state_dict():
    module = Pair()
    flat = FlatParameters(module)
    flat.data.mul_(2)
    assert module.a.tolist() == [[2], [20]]
    module.load_state_dict({"a": torch.tensor([[4.0], [40.0]]), "b": torch.full((2, 1, 2), 9.0)})
    assert flat.data.tolist() == [[4, 9, 9], [40, 9, 9]]
    module.a += 1
    assert flat.data[:, 0].tolist() == [5, 41]


@pytest.mark.filterwarnings("ignore:grad and param do not obey")  # slower, but right
def test_autograd_writes_into_the_flat_gradient(make_generators):
    net = MLP([3, 4, 2], generators=make_generators(2))
    flat = FlatParameters(net)
    net(torch.ones(2, 5, 3)).sum().backward()
    assert flat.grad[:, -2:].tolist() == [[5.0, 5.0]] * 2  # the last bias: one for each of 5 rows


@pytest.mark.parametrize(("max_norm", "first"), [(1.0, [0.0, 0.6, 0.8]), (10.0, [0.0, 3.0, 4.0])])
def test_clip_per_session(max_norm, first):
    # session 0 has norm 5 = |(3, 4)|, session 1 has 0.5 = |(0.3, 0.4)|: each is clipped alone
    flat = FlatParameters(Pair())
    flat.grad.copy_(torch.tensor([[0.0, 3.0, 4.0], [0.3, 0.0, 0.4]]))
    norms = flat.clip_grad_norm_(max_norm)
    assert norms.tolist() == pytest.approx([5.0, 0.5])
    assert flat.grad[0].tolist() == pytest.approx(first, rel=1e-5)
    assert flat.grad[1].tolist() == pytest.approx([0.3, 0.0, 0.4])


def test_clip_of_a_zero_gradient_stays_zero():
    flat = FlatParameters(Pair())
    assert flat.clip_grad_norm_(0.5).tolist() == [0.0, 0.0]
    assert flat.grad.abs().sum() == 0
