"""How to act on action values: epsilon-greedily or by Boltzmann's distribution, each sub-env for itself."""

from typing import Any, Literal

import numpy as np
import torch

from rllab.random.streams import Streams

Kind = Literal["epsilon_greedy", "boltzmann"]

_BLOCK = 256  # steps whose random numbers are drawn at once: a draw costs as much as the choice


class Exploration:
    """Chooses among `num_actions` for S sessions on N sub-envs; every sub-env throws a coin of its own."""

    def __init__(self, kind: Kind, streams: Streams, num_envs: int, num_actions: int) -> None:
        self.kind = kind
        self.streams = streams
        self.shape = (num_envs, 2 if kind == "epsilon_greedy" else num_actions)
        self.num_actions = num_actions
        self.step = 0
        self.noise = np.zeros((0,))  # uniform on [0, 1)

    def choose(self, q: np.ndarray, level: float) -> np.ndarray:
        """Actions ``[S, N]`` from values ``[S, N, A]``.

        `level` is the probability of a random action, or the temperature of ``softmax(q / temperature)``; infinity is
        uniformly random in both.
        """
        noise = self.draws(1)[0]
        if self.kind == "boltzmann":
            gumbel = -np.log(-np.log(noise.clip(1e-20)))  # q / temperature + gumbel is largest at a sample
            return (q / max(level, 1e-8) + gumbel).argmax(-1)  # type: ignore[no-any-return]
        action = q.argmax(-1)
        coin = noise[..., 0] < level
        if coin.any():
            action[coin] = noise[coin, 1] * self.num_actions  # rounded down
        return action  # type: ignore[no-any-return]

    def draws(self, most: int) -> np.ndarray:
        """Noise for the next steps, `most` of them at the most: ``[steps, S, N, ...]``."""
        at = self.step % _BLOCK
        if at == 0:
            self.noise = self.streams.uniform(_BLOCK, *self.shape).numpy()
        noise = self.noise[at : at + most]
        self.step += len(noise)
        return noise

    def state_dict(self) -> dict[str, Any]:
        return {"streams": self.streams.state_dict(), "step": self.step, "noise": torch.from_numpy(self.noise)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.streams.load_state_dict(state["streams"])
        self.step = state["step"]
        self.noise = state["noise"].numpy()
