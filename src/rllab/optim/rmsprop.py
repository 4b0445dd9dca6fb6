"""RMSprop for S sessions at once."""

from typing import Any

import torch
from torch import Tensor

from rllab.optim.flat import FlatParameters


class RMSprop:
    """RMSprop (Tieleman & Hinton 2012) over the ``[S, P]`` buffer of `FlatParameters`.

    As in `torch.optim`: `eps` is added to the root, not under it.
    """

    def __init__(self, flat: FlatParameters, *, alpha: float = 0.99, eps: float = 1e-8) -> None:
        self.flat = flat
        self.alpha = alpha
        self.eps = eps
        self.square_avg = torch.zeros_like(flat.data)

    def step(self, lr: float) -> None:
        """Move along ``flat.grad``."""
        grad = self.flat.grad
        self.square_avg.mul_(self.alpha).addcmul_(grad, grad, value=1.0 - self.alpha)
        self.flat.master.addcdiv_(grad, self.square_avg.sqrt().add_(self.eps), value=-lr)
        self.flat.pull()

    def tensors(self) -> list[Tensor]:
        """What workers that share a policy share."""
        return [self.square_avg, *self.flat.tensors()]

    def state_dict(self) -> dict[str, Any]:
        return {"square_avg": self.square_avg}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.square_avg.copy_(state["square_avg"])
