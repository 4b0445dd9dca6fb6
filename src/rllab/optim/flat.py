"""All parameters of S sessions in one ``[S, P]`` buffer: per-session reductions and the optimiser become few calls."""

import torch
from torch import Tensor, nn


class FlatParameters:
    """Moves a module's parameters, each ``[S, ...]``, into ``data [S, P]``, and their ``grad`` into ``grad [S, P]``.

    The module keeps working, on views. Row s is session s. Optimisers move `master`, which is ``data`` itself unless
    several processes share it while each computes with a copy of its own.
    """

    def __init__(self, module: nn.Module) -> None:
        self.parameters = parameters = list(module.parameters())
        num_sessions = parameters[0].shape[0]
        sizes = [p[0].numel() for p in parameters]
        self.data = torch.cat([p.detach().reshape(num_sessions, -1) for p in parameters], dim=1)
        self.grad = torch.zeros_like(self.data)
        pieces = zip(parameters, torch.split(self.data, sizes, 1), torch.split(self.grad, sizes, 1), strict=True)
        self.grads = []
        for parameter, data, grad in pieces:
            parameter.data = data.view(parameter.shape)
            parameter.grad = grad.view(parameter.shape)
            self.grads.append(parameter.grad)
        self.master = self.data

    def backward(self, loss: Tensor) -> None:
        """Write the gradient of each session's loss, ``[S]``, into ``grad``, and into no other network's.

        ``loss.sum().backward()`` would add to what is there, to all networks behind the loss, and warn that rows of
        ``grad`` do not lie side by side.
        """
        grads = torch.autograd.grad(loss.sum(), self.parameters, materialize_grads=True)
        torch._foreach_copy_(self.grads, grads)

    def tensors(self) -> list[Tensor]:
        """What workers that share a policy share: all but the gradient."""
        return [self.data, *self.parameters]

    def keep_copy(self) -> None:
        """Let optimisers move a tensor of its own, `master`, instead of ``data``."""
        self.master = self.data.clone()

    def pull(self) -> None:
        """Bring ``data`` up to date with `master`."""
        if self.master is not self.data:
            self.data.copy_(self.master)

    def clip_grad_norm_(self, max_norm: float) -> Tensor:
        """Scale each session's gradient down to `max_norm`; returns the norms before, ``[S]``."""
        norm: Tensor = torch.linalg.vector_norm(self.grad, dim=1)
        self.grad.div_((norm / max_norm).clamp_(min=1.0).unsqueeze(1))
        return norm
