"""Several critics for each session, evaluated together."""

import torch
from torch import Tensor, nn

from rllab.nets.mlp import MLP, Activation
from rllab.nets.vjp import Pullback


class Critics(nn.Module):
    """`num_critics` networks of each of S sessions: ``[S, B, in] -> [S, num_critics, B, out]``.

    They are the networks of one `MLP`, those of a session side by side, so that a layer of all of them is one product.
    """

    def __init__(
        self,
        sizes: list[int],
        *,
        num_critics: int,
        generators: list[torch.Generator],
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.num_critics = num_critics
        each = [generator for generator in generators for _ in range(num_critics)]
        self.mlp = MLP(sizes, generators=each, activation=activation, last_gain=1.0)

    def forward(self, x: Tensor) -> Tensor:
        return self._by_session(self.mlp(x.repeat_interleave(self.num_critics, 0)))

    def vjp(self, x: Tensor, *, input_grad: bool, parameter_grad: bool = True) -> tuple[Tensor, Pullback]:
        """Output and pullback, as of `MLP`; the gradient of the input, ``[S, B, in]``, is summed over the critics."""
        repeated = x.repeat_interleave(self.num_critics, 0)
        y, mlp_pullback = self.mlp.vjp(repeated, input_grad=input_grad, parameter_grad=parameter_grad)

        def pullback(grad: Tensor) -> Tensor:
            grad = mlp_pullback(grad.flatten(0, 1))
            return self._by_session(grad).sum(1) if input_grad else grad

        return self._by_session(y), pullback

    def _by_session(self, x: Tensor) -> Tensor:
        return x.view(-1, self.num_critics, *x.shape[1:])
