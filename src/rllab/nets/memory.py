"""Recurrent layers of S sessions: over whole sequences for learning, and step by step for acting."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.nets.spaces import size_of
from rllab.nets.torsos import make_torso

Kind = Literal["lstm", "gru"]
At = Literal["after", "before"]
State = dict[str, Tensor]
"""What is remembered, ``[S, N, layers, size]`` each: ``h``, and of an LSTM ``c``; empty is all zeros."""
HostStep = Callable[[np.ndarray, State, np.ndarray], tuple[np.ndarray, State]]
"""One step in numpy: outputs for ``[S, N, in]``, the state before it, and starts ``[S, N]``; and the state after it."""


@dataclass(frozen=True)
class MemoryLayout:
    """Which memory a network has."""

    kind: Kind
    size: int
    num_layers: int
    at: At
    """After the torso, or before it."""

    @property
    def state_shapes(self) -> dict[str, tuple[int, int]]:
        """What is remembered of one sub-env."""
        return dict.fromkeys("hc" if self.kind == "lstm" else "h", (self.num_layers, self.size))

    @property
    def features(self) -> gs.Box:
        """What a torso behind it observes."""
        return gs.Box(-np.inf, np.inf, (self.size,))


class Past(NamedTuple):
    """What came before rows ``[S, T * N]``, the N of a step side by side."""

    state: State
    """Before the first step."""
    starts: Tensor
    """``[S, T, N]``, 1 where an episode begins: what is remembered there belongs to another one."""


class Memory(nn.Module):
    """Layers of LSTM (Hochreiter, Schmidhuber 1997) or GRU (Cho et al. 2014): ``[S, T * N, in] -> [S, T * N, size]``.

    Parameters are those of `torch.nn.LSTM` and `torch.nn.GRU`, ``[S, ...]``.
    """

    def __init__(self, layout: MemoryLayout, num_inputs: int, *, generators: list[torch.Generator]) -> None:
        """Initialise each gate orthogonally, each session from its own generator, inclined to remember."""
        super().__init__()
        self.layout = layout
        num_gates, size = {"lstm": 4, "gru": 3}[layout.kind], layout.size
        for layer in range(layout.num_layers):
            for name, fan_in in (("ih", size if layer else num_inputs), ("hh", size)):
                weight = torch.empty(len(generators), num_gates * size, fan_in)
                for each, generator in zip(weight, generators, strict=True):
                    for gate in each.split(size):
                        nn.init.orthogonal_(gate, generator=generator)
                self.register_parameter(f"weight_{name}_{layer}", nn.Parameter(weight))
            for name in ("ih", "hh"):
                bias = torch.zeros(len(generators), num_gates * size)
                if name == "ih":
                    bias[:, size : 2 * size] = 1.0  # of the gate that keeps what is remembered, of both kinds
                self.register_parameter(f"bias_{name}_{layer}", nn.Parameter(bias))

    def forward(self, x: Tensor, past: Past, *, goes_on: bool = True) -> tuple[Tensor, State]:
        """Outputs ``[S, T * N, size]``, and what is remembered after the last step, for those that go on from there.

        Others are faster where there are many episodes: these need not be in step then.
        """
        num_sessions, num_steps, num_envs = past.starts.shape
        shape = num_sessions, num_envs
        names = self.layout.state_shapes
        state = [past.state[n] if past.state else x.new_zeros(*shape, *names[n]) for n in names]
        if num_steps == 1:
            y, after = _step(x, state, past.starts[:, 0], list(self.parameters()), _TORCH)
            return y, dict(zip(names, after, strict=True))
        begins = past.starts.bool().cpu().numpy()
        weights = zip(*(parameter.unbind() for parameter in self.parameters()), strict=True)
        before = zip(*(each.unbind() for each in state), strict=True)
        rows = x.view(num_sessions, num_steps, num_envs, -1)
        run = self._in_step if goes_on else self._by_length
        found = [run(*one) for one in zip(rows, begins, before, weights, strict=True)]
        after = [torch.stack(each) for each in zip(*(state for _, state in found), strict=True)]
        return torch.stack([y for y, _ in found]).flatten(1, 2), dict(zip(names, after, strict=goes_on))

    def _in_step(
        self, x: Tensor, begins: np.ndarray, state: Sequence[Tensor], weights: tuple[Tensor, ...]
    ) -> tuple[Tensor, list[Tensor]]:
        """One session: outputs ``[T, N, size]`` for ``[T, N, in]``, and the state ``[N, layers, size]`` after them.

        All sub-envs at once, up to where an episode begins in any of them.
        """
        cuts = np.flatnonzero(begins.any(1) | (np.arange(len(begins)) == 0))
        parts = torch.split(x, np.diff(cuts, append=len(x)).tolist())
        alive = torch.from_numpy(~begins[cuts]).to(x).unbind()
        state, outputs = [each.transpose(0, 1) for each in state], []  # [layers, N, size]
        for part, alive_there in zip(parts, alive, strict=True):
            y, state = self._layers(part, [each * alive_there.unsqueeze(1) for each in state], weights)
            outputs.append(y)
        return torch.cat(outputs), [each.transpose(0, 1) for each in state]

    def _by_length(
        self, x: Tensor, begins: np.ndarray, state: Sequence[Tensor], weights: tuple[Tensor, ...]
    ) -> tuple[Tensor, list[Tensor]]:
        """The same without the state: episodes, and parts of them, side by side with others that are about as long."""
        num_steps, num_envs = begins.shape
        first = np.flatnonzero((begins | (np.arange(num_steps) == 0)[:, None]).T)  # rows of one env after another
        lengths, env = np.diff(first, append=begins.size), first // num_steps
        goes_on = torch.from_numpy((first % num_steps == 0) & ~begins[0, env]).to(x).unsqueeze(1)
        flat, outputs, places = x.flatten(0, 1), [], []
        classes = np.log2(lengths).astype(int) // 2  # a factor of 4: at most so much is padding
        for each in np.unique(classes):
            some = np.flatnonzero(classes == each)
            steps = np.arange(lengths[some].max())[:, None]
            is_row = steps < lengths[some]
            row = first[some] % num_steps + steps * is_row  # padding repeats the first
            row = torch.from_numpy(row * num_envs + env[some]).to(x.device)
            given = [(h[env[some]] * goes_on[some].unsqueeze(2)).transpose(0, 1) for h in state]
            y, _ = self._layers(flat[row], given, weights)
            kept = torch.from_numpy(is_row).to(x.device)
            outputs.append(y[kept])
            places.append(row[kept])
        return torch.cat(outputs)[torch.cat(places).argsort()].view(num_steps, num_envs, -1), []

    def _layers(self, x: Tensor, state: list[Tensor], weights: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
        """Torch's own for one session, ``[T, B, in]``; the state is ``[layers, B, size]``."""
        state = [each.contiguous() for each in state]
        flags = True, self.layout.num_layers, 0.0, torch.is_grad_enabled(), False, False  # as nn.LSTM calls them
        if self.layout.kind == "lstm":
            y, *state = torch.lstm(x, state, weights, *flags)
        else:
            y, *state = torch.gru(x, state[0], weights, *flags)
        return y, state

    def host(self) -> HostStep:
        """`forward`, on the parameters' own memory; for parameters on the CPU."""
        parameters = [parameter.detach().numpy() for parameter in self.parameters()]

        def step(x: np.ndarray, state: State, starts: np.ndarray) -> tuple[np.ndarray, State]:
            names = self.layout.state_shapes
            before = [state[n].numpy() if state else np.zeros((*starts.shape, *names[n]), np.float32) for n in names]
            y, after = _step(x, before, starts, parameters, _NUMPY)
            return y, {name: torch.from_numpy(each) for name, each in zip(names, after, strict=True)}

        return step


class Recurrent(nn.Module):
    """A torso and a memory in a row: ``[S, T * N, ...] -> [S, T * N, n]``."""

    def __init__(self, torso: nn.Module, memory: Memory) -> None:
        super().__init__()
        self.torso, self.memory = torso, memory

    def forward(self, x: Tensor, past: Past, *, goes_on: bool = True) -> tuple[Tensor, State]:
        """Features, and what is remembered after the last step, for those that go on from there."""
        if self.memory.layout.at == "after":
            return self.memory(self.torso(x), past, goes_on=goes_on)  # type: ignore[no-any-return]
        remembered, state = self.memory(x, past, goes_on=goes_on)
        return self.torso(remembered), state

    def host(self, torso: Callable[[np.ndarray], np.ndarray]) -> HostStep:
        """`forward`, by this twin of the torso."""
        memory, after = self.memory.host(), self.memory.layout.at == "after"

        def step(x: np.ndarray, state: State, starts: np.ndarray) -> tuple[np.ndarray, State]:
            y, state = memory(torso(x) if after else x, state, starts)
            return y if after else torso(y), state

        return step


def make_recurrent(
    layout: MemoryLayout,
    network: str,
    obs_space: gs.Space[Any],
    generators: list[torch.Generator],
    **options: Any,
) -> tuple[Recurrent, int]:
    """As `make_torso`, whose arguments these are, with a memory after the torso or before it."""
    if layout.at == "after":
        torso, width = make_torso(network, obs_space, generators, **options)
        return Recurrent(torso, Memory(layout, width, generators=generators)), layout.size
    memory = Memory(layout, size_of(obs_space), generators=generators)
    torso, width = make_torso(network, layout.features, generators, **options)
    return Recurrent(torso, memory), width


class _Math(NamedTuple):
    """The functions that a step needs, of torch or of numpy."""

    sigmoid: Callable[[Any], Any]
    tanh: Callable[[Any], Any]
    stack: Callable[[list[Any], int], Any]


def _numpy_sigmoid(x: np.ndarray) -> np.ndarray:
    return np.float32(0.5) * np.tanh(np.float32(0.5) * x) + np.float32(0.5)  # exp would overflow, with a warning


_TORCH = _Math(torch.sigmoid, torch.tanh, torch.stack)
_NUMPY = _Math(_numpy_sigmoid, np.tanh, np.stack)


def _step(x: Any, state: list[Any], starts: Any, parameters: list[Any], math: _Math) -> tuple[Any, list[Any]]:
    """One step, stacked over sessions: outputs ``[S, N, size]`` for ``[S, N, in]``, and the state after it."""
    alive = (1.0 - starts)[..., None]  # [S, N, 1]
    after = []
    for layer in range(len(parameters) // 4):
        weight_ih, weight_hh, bias_ih, bias_hh = parameters[4 * layer : 4 * layer + 4]
        before = [each[:, :, layer] * alive for each in state]
        size = weight_hh.shape[2]
        given = x @ weight_ih.swapaxes(1, 2) + bias_ih[:, None]
        kept = before[0] @ weight_hh.swapaxes(1, 2) + bias_hh[:, None]
        if len(before) == 2:
            i, f, g, o = _gates(given + kept, size)
            c = math.sigmoid(f) * before[1] + math.sigmoid(i) * math.tanh(g)
            after.append([math.sigmoid(o) * math.tanh(c), c])
        else:
            (given_r, given_z, given_n), (kept_r, kept_z, kept_n) = _gates(given, size), _gates(kept, size)
            n = math.tanh(given_n + math.sigmoid(given_r + kept_r) * kept_n)
            after.append([n + math.sigmoid(given_z + kept_z) * (before[0] - n)])
        x = after[-1][0]
    return x, [math.stack(list(each), 2) for each in zip(*after, strict=True)]


def _gates(x: Any, size: int) -> list[Any]:
    """The parts of `size` numbers, of torch or of numpy."""
    return [x[..., k : k + size] for k in range(0, x.shape[-1], size)]
