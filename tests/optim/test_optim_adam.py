import copy

import torch
from torch import nn

from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters

NUM_SESSIONS, SIZE = 3, 7


class Vector(nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.x = nn.Parameter(torch.randn(NUM_SESSIONS, SIZE, generator=generator))


def make(**kwargs):
    flat = FlatParameters(Vector())
    return flat, Adam(flat, **kwargs)


def gradients(steps=50):
    generator = torch.Generator().manual_seed(2)
    sizes = torch.tensor([1.0, 1e-4, 100.0]).unsqueeze(1)  # each session on a scale of its own
    return [torch.randn(NUM_SESSIONS, SIZE, generator=generator) * sizes for _ in range(steps)]


def reference(activity, *, eps, betas):
    """What torch's Adam makes of each session apart, moved only in the steps where it is active."""
    result = []
    for session in range(NUM_SESSIONS):
        parameter = nn.Parameter(Vector().x[session].detach().clone())
        optimizer = torch.optim.Adam([parameter], eps=eps, betas=betas)
        for step, (grad, active) in enumerate(zip(gradients(len(activity)), activity, strict=True)):
            if active[session]:
                optimizer.param_groups[0]["lr"] = learning_rate(step)
                parameter.grad = grad[session].clone()
                optimizer.step()
        result.append(parameter.detach())
    return torch.stack(result)


def learning_rate(step):
    return 1e-2 * (1 - step / 100)


def test_equals_torch_over_50_steps():
    flat, adam = make(eps=1e-5, betas=(0.8, 0.99))
    for step, grad in enumerate(gradients()):
        flat.grad.copy_(grad)
        adam.step(learning_rate(step))
    assert adam.steps.tolist() == [50, 50, 50]
    expected = reference([[True] * 3] * 50, eps=1e-5, betas=(0.8, 0.99))
    torch.testing.assert_close(flat.data, expected, rtol=1e-5, atol=1e-6)


def test_inactive_sessions_do_not_move_nor_count():
    flat, adam = make()
    activity = [[True, step % 3 == 0, step < 20] for step in range(50)]
    for step, (grad, active) in enumerate(zip(gradients(), activity, strict=True)):
        before = copy.deepcopy([flat.data, adam.exp_avg, adam.exp_avg_sq])
        flat.grad.copy_(grad)
        adam.step(learning_rate(step), active)
        for old, new in zip(before, [flat.data, adam.exp_avg, adam.exp_avg_sq], strict=True):
            assert [not torch.equal(a, b) for a, b in zip(old, new, strict=True)] == active
    assert adam.steps.tolist() == [50, 17, 20]
    expected = reference(activity, eps=1e-8, betas=(0.9, 0.999))
    torch.testing.assert_close(flat.data, expected, rtol=1e-5, atol=1e-6)


def test_state_round_trip():
    flat, adam = make()
    first, second = gradients()[:10], gradients()[10:]
    for grad in first:
        flat.grad.copy_(grad)
        adam.step(1e-2, [True, True, False])
    other_flat, other = make()
    other_flat.data.copy_(flat.data)
    other.load_state_dict(copy.deepcopy(adam.state_dict()))
    for grad in second:
        for f, a in ((flat, adam), (other_flat, other)):
            f.grad.copy_(grad)
            a.step(1e-2)
    assert other.steps.tolist() == [50, 50, 40]
    assert torch.equal(flat.data, other_flat.data)
