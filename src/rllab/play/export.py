"""A greedy policy as one file that needs no rllab: raw observations in, actions out as the env takes them."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rllab import envs
from rllab.envs.actions import ActionMap, scaled
from rllab.errors import ConfigError
from rllab.files import write_bytes
from rllab.nets.parts import Packed
from rllab.nets.stacked import unstack
from rllab.random.streams import session_seeds

if TYPE_CHECKING:
    from pathlib import Path

    from rllab.play.player import Player

Format = Literal["onnx", "torchscript"]
Inputs = dict[str, np.ndarray]
"""What a file takes, by name, ``[B, ...]`` each: ``obs``, or the parts of an observation that holds an image."""
Run = Callable[[Inputs], np.ndarray]
"""Observations to actions ``[B, ...]``."""

FILES: dict[Format, str] = {"onnx": "policy.onnx", "torchscript": "policy.pt"}
NUM_CHECKED = 1000
"""Observations of the env on which the file must do what the policy does."""
TOLERANCE = 1e-4
"""How far an action of real numbers may be off, beside its size."""
MAX_DIFFERENT = 0.01
"""Part of the observations at which a choice may be another one: rounding decides between equals."""


class RawPolicy(nn.Module):
    """A policy for the env without rllab's wrappers: ``[B, *obs_shape]`` to ``[B, *action_shape]`` of its dtype.

    With the space of observations that are `Packed`, it takes their parts one by one.
    """

    offset: Tensor
    scale: Tensor
    bounds: Tensor | None

    def __init__(self, policy: nn.Module, actions: ActionMap, packed: Packed | None = None) -> None:
        """`actions`: from the policy's to the env's."""
        super().__init__()
        self.packed = packed
        self.policy = policy
        self.dtype = torch.from_numpy(np.zeros(0, actions.env_space.dtype)).dtype
        self.shape = actions.env_space.shape or ()
        self.register_buffer("offset", torch.from_numpy(actions.offset))
        self.register_buffer("scale", torch.from_numpy(actions.scale))
        self.register_buffer("bounds", None if actions.bounds is None else torch.from_numpy(np.stack(actions.bounds)))

    def forward(self, *obs: Tensor) -> Tensor:
        space = self.packed
        seen = obs[0] if space is None else {n: space.as_stored(n, x) for n, x in zip(space.leaves, obs, strict=True)}
        action: Tensor = self.policy(seen)[0]
        action = action.reshape(-1, *self.offset.shape)
        action = action + self.offset if self.bounds is None else scaled(action, self.offset, self.scale, *self.bounds)
        return action.to(self.dtype).reshape(-1, *self.shape)


class Exported(NamedTuple):
    """What was written, and how well it agrees."""

    path: Path
    inputs: Inputs
    """The observations it was checked on, `NUM_CHECKED` of them."""
    action: np.ndarray
    """What the policy does there."""
    num_same: int
    """On how many of them the file does the same."""


def export(player: Player, session: int, kind: Format, folder: Path) -> Exported:
    """Write one session's policy, once it has been read back and does the same on observations of the env.

    Raises:
        ConfigError: the extra is missing, or the policy cannot be exported, or not faithfully; one line.
    """
    policy = player.policy(session)
    if not list(policy.parameters()):
        raise ConfigError(f"{player.path}: agent={player.config.agent.name} has no network that could be exported")
    obs = torch.from_numpy(observations(player, session))
    space = player.info.obs_space if isinstance(player.info.obs_space, Packed) else None
    parts = {} if space is None else space.unpack(obs)
    inputs = {"obs": obs} if space is None else {name: space.as_given(name, parts[name]) for name in space.leaves}
    module = RawPolicy(policy, player.info.actions, space).eval()
    with torch.no_grad():  # by the bytes themselves, which need no module of the parts
        action = RawPolicy(policy, player.info.actions).eval()(obs).numpy()
    unstack(module)
    few = {name: x[:2] for name, x in inputs.items()}
    content, run = {"onnx": _onnx, "torchscript": _torchscript}[kind](module, few)
    given = {name: x.numpy() for name, x in inputs.items()}
    same = _same(run(given), action)
    first = {name: x[:1] for name, x in given.items()}
    if same.mean() < 1 - MAX_DIFFERENT or not _same(run(first), action[:1]).all():
        raise ConfigError(
            f"{player.path}: as {kind} the policy acts differently at {(~same).sum()} of {len(obs)} observations"
        )
    path = folder / FILES[kind]
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)
    return Exported(path, given, action, int(same.sum()))


def observations(player: Player, session: int) -> np.ndarray:
    """What the env shows while this policy plays, ``[NUM_CHECKED, ...]``."""
    num_envs, seed = player.config.env.num_envs, player.config.meta.seed
    act = player.act([session])
    rows: list[np.ndarray] = []
    with closing(envs.make(player.config.env, num_sessions=1, num_envs=num_envs)) as games:
        games.reset(session_seeds(seed, session, "test", num_envs, 0))
        while len(rows) * num_envs < NUM_CHECKED:
            rows.append(games.obs[0].copy())
            games.step(act(games.obs, games.starts))
    return np.concatenate(rows)[:NUM_CHECKED]


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which rows agree, ``[B]``."""
    same_type = a.dtype == b.dtype
    close = np.asarray(np.isclose(a, b, rtol=TOLERANCE, atol=TOLERANCE)) & same_type
    return np.asarray(close.reshape(len(b), -1).all(1))


def _onnx(module: nn.Module, example: dict[str, Tensor]) -> tuple[bytes, Run]:
    try:
        import onnxruntime  # noqa: PLC0415 - an extra
        import onnxscript  # noqa: F401, PLC0415 - torch's exporter needs it
    except ImportError:
        raise ConfigError("--format onnx: needs the extra export; type pip install 'rllab[export]'") from None
    batch = torch.export.Dim("batch")
    with _one_line("onnx"):
        program = torch.onnx.export(
            module,
            tuple(example.values()),
            input_names=list(example),
            output_names=["action"],
            dynamic_shapes=(tuple({0: batch} for _ in example),),
            verbose=False,
        )
        assert program is not None
        content = program.model_proto.SerializeToString()
        session = onnxruntime.InferenceSession(content)
    return content, lambda inputs: session.run(None, inputs)[0]


def _torchscript(module: nn.Module, example: dict[str, Tensor]) -> tuple[bytes, Run]:
    buffer = io.BytesIO()
    with _one_line("torchscript"):
        torch.jit.save(torch.jit.freeze(torch.jit.trace(module, tuple(example.values()))), buffer)  # type: ignore[no-untyped-call]
        loaded = torch.jit.load(io.BytesIO(buffer.getvalue()))  # type: ignore[no-untyped-call]
    return buffer.getvalue(), lambda inputs: loaded(*map(torch.from_numpy, inputs.values())).numpy()


@contextmanager
def _one_line(kind: str) -> Iterator[None]:
    """Torch's exporters tell a person much that is not for them, and fail at length."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ConfigError(f"the policy cannot be written as {kind}: {reason.strip()}") from error
    finally:
        logger.setLevel(level)
