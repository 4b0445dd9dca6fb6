import warnings

import pytest
import torch
from torch import nn

from rllab.nets.mlp import MLP
from rllab.optim.flat import FlatParameters


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


def by_row(x):
    """Losses ``[S]`` of a `Pair`: of rows 1, 2 and 10, 20."""
    return (x.a.squeeze(1) * x.b[:, 0, 0]) ** 2


def test_backward_writes_every_sessions_gradient_over_what_was_there():
    module = Pair()
    flat = FlatParameters(module)
    for _ in range(2):  # a second time nothing is added
        flat.grad.fill_(float("nan"))
        flat.backward(by_row(module))
        # (a b)^2: 2 a b^2 = 8 and 2 a^2 b = 4, for session 1 a thousand times as much; b's other number has no part
        assert flat.grad.tolist() == [[8, 4, 0], [8000, 4000, 0]]
    assert module.b.grad.tolist() == [[[4, 0]], [[4000, 0]]]
    assert module.b.grad.untyped_storage().data_ptr() == flat.grad.untyped_storage().data_ptr()


def test_backward_leaves_other_sessions_and_other_networks_alone():
    module, other = Pair(), Pair()
    flat, other_flat = FlatParameters(module), FlatParameters(other)
    other_flat.grad.fill_(7.0)
    loss = by_row(module) * by_row(other)
    flat.backward(torch.stack([loss[0], loss[1].detach()]))
    assert flat.grad[0].abs().sum() > 0
    assert flat.grad[1].abs().sum() == 0
    assert (other_flat.grad == 7).all()


@pytest.fixture
def _every_warning():
    """Torch gives most of its warnings once in a process."""
    torch.set_warn_always(True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    torch.set_warn_always(False)


@pytest.mark.usefixtures("_every_warning")
def test_backward_does_so_in_silence(make_generators):
    net = MLP([3, 4, 2], generators=make_generators(2))
    flat = FlatParameters(net)
    flat.backward(net(torch.ones(2, 5, 3)).sum((1, 2)))
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
