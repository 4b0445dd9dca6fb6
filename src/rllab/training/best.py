"""The policies that scored best, as the checkpoint `best` keeps them."""

import math
from typing import Any

import torch

from rllab.algorithms import Algorithm


class Best:
    """A copy of each session's policy as it was when it scored best."""

    def __init__(self, num_sessions: int) -> None:
        self.scores: list[float] = [-math.inf] * num_sessions
        self.frames = [0] * num_sessions
        self.policy: dict[str, torch.Tensor] | None = None
        self.changed = False

    def keep(self, scores: list[float], frame: int, algorithm: Algorithm) -> None:
        """Remember the policy of each session whose score is its best so far."""
        better = [new > old for new, old in zip(scores, self.scores, strict=True)]
        if not any(better):
            return
        policy = algorithm.net.state_dict()
        old = policy if self.policy is None else self.policy
        chosen = torch.tensor(better, device=algorithm.device)
        self.policy = {
            name: torch.where(chosen.view(-1, *[1] * (x.dim() - 1)), x, old[name].to(x.device))
            for name, x in policy.items()
        }
        self.frames = [frame if b else f for b, f in zip(better, self.frames, strict=True)]
        self.scores = [new if b else s for b, new, s in zip(better, scores, self.scores, strict=True)]
        self.changed = True

    def news(self) -> dict[str, Any] | None:
        """What `load_state_dict` takes, if it has changed since the last call."""
        if not self.changed:
            return None
        self.changed = False
        return {"frame": self.frames, "policy": self.policy, "score": self.scores}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.frames, self.policy, self.scores = state["frame"], state["policy"], state["score"]
