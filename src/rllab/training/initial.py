"""What a new run begins with that another one has learned: `meta.init_from`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rllab import checkpoint
from rllab.checkpoint import CheckpointError
from rllab.errors import ConfigError
from rllab.files import read_json
from rllab.links import refuse_links
from rllab.nets.normalize import RunningNorm
from rllab.optim.adam import Adam
from rllab.optim.rmsprop import RMSprop
from rllab.optim.temperature import Temperature

if TYPE_CHECKING:
    from rllab.algorithms import Algorithm
    from rllab.config import MetaConfig, RunConfig
    from rllab.envs import EnvInfo

_MOVES = (Adam, RMSprop, Temperature)
"""What `meta.init_optimizers` is about."""


@dataclass(frozen=True)
class Origin:
    """The policies of another run."""

    meta: MetaConfig
    """Of the new run."""
    frames: list[int]
    """Of each session: the frame that its policy is from."""
    scores: list[float]
    parts: dict[str, Any]
    """By their names in `Algorithm.state_dict`: networks, and of `last` all the rest."""

    def facts(self) -> dict[str, Any]:
        """For ``provenance.json``: where the policies come from, and where those came from."""
        path = Path(str(self.meta.init_from))
        facts: dict[str, Any] = {"run": str(path.resolve()), "checkpoint": self.meta.init_checkpoint}
        before = read_json(path / "provenance.json").get("init_from")
        facts |= {"frames": self.frames, "scores": [x if math.isfinite(x) else None for x in self.scores]}
        return facts | ({"init_from": before} if before else {})

    def give(self, algorithm: Algorithm, numbers: range) -> None:
        """Let the sessions of an algorithm, which are these of the run, begin with these policies.

        Where there are more sessions than policies, these are given again from the first one on.

        Raises:
            ConfigError: they do not fit; one line that names the tensor.
        """
        with torch.no_grad():
            for name, part in _parts(algorithm, self.meta):
                given = self.parts.get(name, self.parts["policy"] if name == "target" else None)
                if given is not None:
                    self._load(name, part, _rows(given, numbers, len(self.frames)))

    def _load(self, name: str, part: Any, given: dict[str, Any]) -> None:
        wanted = part.state_dict()
        statistics = {*_statistics(part)}
        known = self.meta.init_normalizers and not statistics.isdisjoint(given)  # that run may not have normalised
        kept = {*getattr(part, "private", ()), *(() if known else statistics)}
        shapes, found = (dict(_shapes(state)) for state in (wanted, given))
        for key in shapes | found:
            if key not in kept and shapes.get(key) != found.get(key):
                there, here = (str(each.get(key, "nothing")) for each in (found, shapes))
                which = key if name == "policy" else f"{name}.{key}"
                raise _refusal(
                    self.meta,
                    f"whose {which} is {there}, where this run has {here}; write the agent, the network and an env of "
                    "the spaces of that run",
                )
        part.load_state_dict({key: wanted[key] if key in kept else given[key] for key in wanted})


def read(meta: MetaConfig) -> Origin | None:
    """What `meta.init_from` names; None where a run begins from nothing.

    Raises:
        ConfigError: no such checkpoint; one line.
    """
    if meta.init_from is None:
        return None
    folder = Path(meta.init_from)
    if not (folder / "config.yaml").is_file():
        raise _refusal(meta, "which is no run directory; write one that holds config.yaml")
    refuse_links(folder)
    path = folder / "checkpoints" / f"{meta.init_checkpoint}.safetensors"
    if meta.init_checkpoint == "best" and not path.is_file():
        raise _refusal(meta, "which has no `best`, for no episode had finished; write meta.init_checkpoint=last")
    if meta.init_checkpoint == "best" and meta.init_optimizers:
        raise ConfigError(
            "meta.init_optimizers: got true, but `best` holds policies alone; write meta.init_checkpoint=last"
        )
    try:
        return _read(meta, path)
    except CheckpointError as error:
        raise _refusal(meta, f"whose checkpoint cannot be used: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _refusal(meta, f"whose checkpoint is not what a run writes ({type(error).__name__})") from None


def check(cfg: RunConfig, info: EnvInfo) -> None:
    """Refuse policies that do not fit this run, before anything is made."""
    if origin := read(cfg.meta):
        origin.give(cfg.make_algorithm(info.obs_space, info.action_space, 1, cfg.meta.seed), range(1))


def _read(meta: MetaConfig, path: Path) -> Origin:
    if meta.init_checkpoint == "best":
        state = checkpoint.read(path)
        return Origin(meta, [*state["frame"]], [*state["score"]], {"policy": state["policy"]})
    scores = [*checkpoint.read(path, "scores")]
    frame = int(checkpoint.read(path, "frame"))
    return Origin(meta, [frame] * len(scores), scores, _of_last(path, len(scores)))


def _of_last(path: Path, num_policies: int) -> dict[str, Any]:
    """The state of a whole algorithm; workers have saved that of their sessions, or with Hogwild the same each."""
    parts: list[Any] = []
    try:
        while num_policies > 1 or not parts:
            parts.append(checkpoint.read(path, "workers", len(parts), "algorithm"))
    except CheckpointError:  # no more of them, or trained in one process
        if not parts:
            return checkpoint.read(path, "algorithm")  # type: ignore[no-any-return]
    return _side_by_side(parts)  # type: ignore[no-any-return]


def _side_by_side(parts: list[Any]) -> Any:
    if isinstance(parts[0], Mapping):
        return {key: _side_by_side([part[key] for part in parts]) for key in parts[0]}
    return torch.cat(parts) if isinstance(parts[0], Tensor) and parts[0].dim() else parts[0]


def _parts(algorithm: Algorithm, meta: MetaConfig) -> Iterator[tuple[str, Any]]:
    """What is to be loaded, by its name in the algorithm's state."""
    yield "policy", algorithm.net
    for name in algorithm.saved:
        part = getattr(algorithm, name)
        if isinstance(part, RunningNorm):
            wanted = meta.init_normalizers
        else:
            wanted = isinstance(part, nn.Module) or (meta.init_optimizers and isinstance(part, _MOVES))
        if wanted:
            yield name, part


def _rows(state: Any, numbers: range, num_sessions: int) -> Any:
    """What these sessions get of the state of `num_sessions`. Where there are several critics, each has a row."""
    if isinstance(state, Mapping):
        return {key: _rows(value, numbers, num_sessions) for key, value in state.items()}
    rows = state.view(num_sessions, -1, *state.shape[1:])[[number % num_sessions for number in numbers]]
    return rows.flatten(0, 1)


def _statistics(part: Any) -> Iterator[str]:
    """Names of the running statistics of observations or rewards in a module's state."""
    for prefix, module in part.named_modules() if isinstance(part, nn.Module) else ():
        if isinstance(module, RunningNorm):
            yield from (f"{prefix}.{key}".lstrip(".") for key in module.state_dict())


def _shapes(state: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, tuple[int, ...]]]:
    """Shapes of all tensors, without the axis of sessions."""
    for key, value in state.items():
        if isinstance(value, Mapping):
            yield from _shapes(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", tuple(value.shape[1:])


def _refusal(meta: MetaConfig, why: str) -> ConfigError:
    return ConfigError(f"meta.init_from: got {meta.init_from!r}, {why}")
