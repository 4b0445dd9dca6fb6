"""The entropy coefficient of maximum-entropy algorithms."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from rllab.functional.schedules import Coefficient, Schedule, check_coefficient
from rllab.optim.adam import Adam
from rllab.optim.flat import FlatParameters


class Temperature:
    """Entropy coefficient of each session: scheduled, or without a schedule learned (Haarnoja et al. 2018b, section 5).

    Learned, its logarithm descends on ``log_coef * (entropy - target_entropy)``: it falls while the policy is more
    random than the target, and rises while it is less. It begins at 1.
    """

    def __init__(
        self,
        schedule: Schedule | None,
        *,
        target_entropy: float,
        num_sessions: int,
        device: str,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        self.schedule = schedule
        self.target_entropy = target_entropy
        self.flat = FlatParameters(nn.ParameterList([torch.zeros(num_sessions, 1, device=device)]))
        self.optimizer = Adam(self.flat, betas=betas)

    def value(self, progress: float) -> Tensor:
        """The coefficient of each session, ``[S, 1]``."""
        if self.schedule is None:
            return self.flat.data.exp()
        return torch.full_like(self.flat.data, self.schedule(progress))

    def step(self, entropy: Tensor, lr: float) -> None:
        """Learn from the policy's present entropy, ``[S, B]``."""
        if self.schedule is None:
            (log_coef,) = self.flat.parameters  # [S, 1]
            self.flat.backward(log_coef.squeeze(1) * (entropy.detach().mean(1) - self.target_entropy))
            self.optimizer.step(lr)

    def tensors(self) -> list[Tensor]:
        """What workers that share a policy share."""
        return self.optimizer.tensors()

    def state_dict(self) -> dict[str, Any]:
        return {"log_coef": self.flat.data, "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.flat.data.copy_(state["log_coef"])
        self.optimizer.load_state_dict(state["optimizer"])


def check_ent_coef(ent_coef: Coefficient) -> None:
    """Raise the one-line ``ValueError`` unless it is ``auto`` or a coefficient of at least 0."""
    if ent_coef != "auto":
        try:
            check_coefficient("agent.ent_coef", ent_coef, low=0.0, high=math.inf)
        except ValueError as error:
            raise ValueError(f"{error}, or auto") from None
