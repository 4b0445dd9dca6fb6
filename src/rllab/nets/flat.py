"""All parameters of S sessions in one ``[S, P]`` buffer: per-session reductions and the optimiser become few calls."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class FlatParameters:
    """Moves a module's parameters, each ``[S, ...]``, into ``data [S, P]``, with gradients in ``grad [S, P]``.

    The module keeps working, on views of ``data``. Row s is session s.
    """

    def __init__(self, module: nn.Module) -> None:
        self.parameters = list(module.parameters())
        num_sessions = self.parameters[0].shape[0]
        self.data = torch.cat([p.detach().reshape(num_sessions, -1) for p in self.parameters], dim=1)
        self.grad = torch.zeros_like(self.data)
        pieces = torch.split(self.data, [p[0].numel() for p in self.parameters], dim=1)
        for parameter, piece in zip(self.parameters, pieces, strict=True):
            parameter.data = piece.view(parameter.shape)

    def backward(self, outputs: Sequence[Tensor], grad_outputs: Sequence[Tensor] | None = None) -> None:
        """Replace ``grad`` by the gradient of a loss that sums over sessions, so that each row is its session's own.

        Args:
            outputs: the loss, or tensors on the way to it.
            grad_outputs: the loss's gradient with respect to each of them.
        """
        grads = torch.autograd.grad(outputs, self.parameters, grad_outputs, materialize_grads=True)
        torch.cat([g.flatten(1) for g in grads], dim=1, out=self.grad)

    def clip_grad_norm_(self, max_norm: float) -> Tensor:
        """Scale each session's gradient down to `max_norm`; returns the norms before, ``[S]``."""
        norm = torch.linalg.vector_norm(self.grad, dim=1)
        self.grad.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0).unsqueeze(1))
        return norm
