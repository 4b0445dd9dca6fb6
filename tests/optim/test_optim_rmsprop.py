import copy

import torch
from torch import nn

from rllab.optim.flat import FlatParameters
from rllab.optim.rmsprop import RMSprop


class Vector(nn.Module):
    def __init__(self):
        super().__init__()
        self.x = nn.Parameter(torch.linspace(-1, 1, 6).view(2, 3))


def test_equals_torch_over_20_steps_and_goes_on_from_its_state():
    flat = FlatParameters(Vector())
    optimizer = RMSprop(flat, alpha=0.9, eps=1e-5)
    expected = nn.Parameter(Vector().x.detach().clone())
    reference = torch.optim.RMSprop([expected], alpha=0.9, eps=1e-5)
    generator = torch.Generator().manual_seed(0)
    for step in range(20):
        grad, lr = torch.randn(2, 3, generator=generator), 1e-2 * (1 - step / 20)
        flat.grad.copy_(grad)
        expected.grad, reference.param_groups[0]["lr"] = grad, lr
        if step == 10:
            resumed = RMSprop(flat, alpha=0.9, eps=1e-5)
            resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            optimizer = resumed
        optimizer.step(lr)
        reference.step()
    torch.testing.assert_close(flat.data, expected.data)
