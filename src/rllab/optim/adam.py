"""Adam for S sessions at once."""

from functools import cached_property
from itertools import compress
from typing import Any

import torch
from torch import Tensor

from rllab.optim.flat import FlatParameters


class Adam:
    """Adam (Kingma & Ba 2015) over the ``[S, P]`` buffer of `FlatParameters`, by torch's own fused kernel.

    `torch.optim.Adam` would call the same kernel, but imports torch's compiler at its first step (a second of
    start-up), costs four times as much per step on small networks, and keeps one step count for all sessions. Here a
    session that has stopped early is left out, moments and step count included.
    """

    def __init__(self, flat: FlatParameters, *, eps: float = 1e-8, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self.flat = flat
        self.eps = eps
        self.betas = betas
        self.exp_avg = torch.zeros_like(flat.data)
        self.exp_avg_sq = torch.zeros_like(flat.data)
        self.steps = torch.zeros(flat.data.shape[0], device=flat.data.device)

    @cached_property
    def rows(self) -> list[tuple[Tensor, ...]]:
        """Views, one for each session; made at the first step, when it is known where the memory lies."""
        return [b.unbind() for b in (self.flat.master, self.flat.grad, self.exp_avg, self.exp_avg_sq, self.steps)]

    def step(self, lr: float, active: list[bool] | None = None) -> None:
        """Move the sessions that are `active` (all, if not given) along ``flat.grad``."""
        if active is None or all(active):
            rows = self.rows
            self.steps += 1
        else:
            rows = [tuple(compress(views, active)) for views in self.rows]
            self.steps += torch.tensor(active, dtype=self.steps.dtype, device=self.steps.device)
        data, grad, exp_avg, exp_avg_sq, steps = rows
        beta1, beta2 = self.betas
        torch._fused_adam_(
            data,
            grad,
            exp_avg,
            exp_avg_sq,
            [],
            steps,
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            weight_decay=0.0,
            eps=self.eps,
            amsgrad=False,
            maximize=False,
        )
        self.flat.pull()

    def tensors(self) -> list[Tensor]:
        """What workers that share a policy share."""
        return [self.exp_avg, self.exp_avg_sq, self.steps, *self.flat.tensors()]

    def state_dict(self) -> dict[str, Any]:
        return {"exp_avg": self.exp_avg, "exp_avg_sq": self.exp_avg_sq, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.exp_avg.copy_(state["exp_avg"])
        self.exp_avg_sq.copy_(state["exp_avg_sq"])
        self.steps.copy_(state["steps"])
