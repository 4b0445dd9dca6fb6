"""A greedy policy as one file that needs no rllab: raw observations in, actions out as the env takes them."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

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
Run = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]
"""Observations to actions, ``[B, ...]``. With a memory, its state and the starts follow the observations, and the state
after the step follows the actions."""

FILES: dict[Format, str] = {"onnx": "policy.onnx", "torchscript": "policy.pt"}
NUM_CHECKED = 1000
"""Observations of the env on which the file must do what the policy does."""
TOLERANCE = 1e-4
"""How far an action of real numbers may be off, beside its size."""
MAX_DIFFERENT = 0.01
"""Part of the observations at which a choice may be another one: rounding decides between equals."""


class RawPolicy(nn.Module):
    """A policy for the env without rllab's wrappers: ``[B, *obs_shape]`` to ``[B, *action_shape]`` of its dtype.

    With a memory, its state ``[B, ...]`` and the starts ``[B]`` follow the observations, and the state after the step
    follows the actions.
    """

    offset: Tensor
    scale: Tensor
    bounds: Tensor | None

    def __init__(self, policy: nn.Module, actions: ActionMap) -> None:
        """`actions`: from the policy's to the env's."""
        super().__init__()
        self.policy = policy
        self.names = list(state_shapes(policy))
        self.dtype = torch.from_numpy(np.zeros(0, actions.env_space.dtype)).dtype
        self.shape = actions.env_space.shape or ()
        self.register_buffer("offset", torch.from_numpy(actions.offset))
        self.register_buffer("scale", torch.from_numpy(actions.scale))
        self.register_buffer("bounds", None if actions.bounds is None else torch.from_numpy(np.stack(actions.bounds)))

    def forward(self, obs: Tensor, *memory: Tensor) -> Tensor | tuple[Tensor, ...]:
        given = [dict(zip(self.names, memory, strict=False)), memory[-1]] if memory else []
        action, state = self.policy(obs, *given)
        action = self._to_env(action)
        return (action, *(state[name] for name in self.names)) if memory else action

    def _to_env(self, action: Tensor) -> Tensor:
        action = action.reshape(-1, *self.offset.shape)
        action = action + self.offset if self.bounds is None else scaled(action, self.offset, self.scale, *self.bounds)
        return action.to(self.dtype).reshape(-1, *self.shape)


def state_shapes(policy: nn.Module) -> dict[str, tuple[int, ...]]:
    """What a policy remembers of each row, by name."""
    return getattr(policy, "state_shapes", {})


class Exported(NamedTuple):
    """What was written, and how well it agrees."""

    path: Path
    obs: np.ndarray
    """The observations it was checked on, ``[NUM_CHECKED, ...]``."""
    action: np.ndarray
    """What the policy does there."""
    num_same: int
    """On how many of them the file does the same."""
    state_shapes: dict[str, tuple[int, ...]]
    """What the policy remembers, by name."""


def export(player: Player, session: int, kind: Format, folder: Path) -> Exported:
    """Write one session's policy, once it has been read back and does the same on observations of the env.

    Raises:
        ConfigError: the extra is missing, or the policy cannot be exported, or not faithfully; one line.
    """
    if isinstance(player.info.obs_space, Packed):
        raise ConfigError(f"{player.path}: its observations have several parts, of which no file can be made yet")
    policy = player.policy(session)
    if not list(policy.parameters()):
        raise ConfigError(f"{player.path}: agent={player.config.agent.name} has no network that could be exported")
    module, shapes = RawPolicy(policy, player.info.actions).eval(), state_shapes(policy)
    steps = observations(player, session)
    obs = np.concatenate([obs for obs, _ in steps])[:NUM_CHECKED]
    action = actions(_run(module), steps, shapes)
    unstack(module)
    example = [obs[:2], *(np.zeros((2, *shape), np.float32) for shape in shapes.values())]
    if shapes:
        example.append(np.ones(2, np.bool_))
    content, run = {"onnx": _onnx, "torchscript": _torchscript}[kind](module, [torch.from_numpy(x) for x in example])
    same = _same(actions(run, steps, shapes), action)
    if same.mean() < 1 - MAX_DIFFERENT or not _same(run([x[:1] for x in example])[0], action[:1]).all():
        raise ConfigError(
            f"{player.path}: as {kind} the policy acts differently at {(~same).sum()} of {len(obs)} observations"
        )
    path = folder / FILES[kind]
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)
    return Exported(path, obs, action, int(same.sum()), shapes)


def actions(run: Run, steps: Sequence[tuple[np.ndarray, np.ndarray]], shapes: dict[str, tuple[int, ...]]) -> np.ndarray:
    """Actions ``[NUM_CHECKED, ...]`` for `observations`, with a memory of these shapes from step to step."""
    if not shapes:
        return run([np.concatenate([obs for obs, _ in steps])[:NUM_CHECKED]])[0]
    state: Sequence[np.ndarray] = [np.zeros((len(steps[0][0]), *shape), np.float32) for shape in shapes.values()]
    rows = []
    for obs, starts in steps:
        action, *state = run([obs, *state, starts])
        rows.append(action)
    return np.concatenate(rows)[:NUM_CHECKED]


def observations(player: Player, session: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """What the env shows in each step while this policy plays, ``[N, ...]``, and which sub-envs begin an episode."""
    num_envs, seed = player.config.env.num_envs, player.config.meta.seed
    act = player.act([session])
    steps: list[tuple[np.ndarray, np.ndarray]] = []
    with closing(envs.make(player.config.env, num_sessions=1, num_envs=num_envs)) as games:
        games.reset(session_seeds(seed, session, "test", num_envs, 0))
        while len(steps) * num_envs < NUM_CHECKED:
            steps.append((games.obs[0].copy(), games.starts[0].copy()))
            games.step(act(games.obs, games.starts))
    return steps


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which rows agree, ``[B]``."""
    same_type = a.dtype == b.dtype
    close = np.asarray(np.isclose(a, b, rtol=TOLERANCE, atol=TOLERANCE)) & same_type
    return np.asarray(close.reshape(len(b), -1).all(1))


def _onnx(module: RawPolicy, example: list[Tensor]) -> tuple[bytes, Run]:
    try:
        import onnxruntime  # noqa: PLC0415 - an extra
        import onnxscript  # noqa: F401, PLC0415 - torch's exporter needs it
    except ImportError:
        raise ConfigError("--format onnx: needs the extra export; type pip install 'rllab[export]'") from None
    batch, states = torch.export.Dim("batch"), [f"state_{name}" for name in module.names]
    names = ["obs", *states, *(["starts"] if states else [])]
    dynamic: list[Any] = [{0: batch}, tuple({0: batch} for _ in names[1:])]
    with _one_line("onnx"):
        program = torch.onnx.export(
            module,
            tuple(example),
            input_names=names,
            output_names=["action", *(f"next_{name}" for name in states)],
            dynamic_shapes=tuple(dynamic if states else dynamic[:1]),
            verbose=False,
        )
        assert program is not None
        content = program.model_proto.SerializeToString()
        session = onnxruntime.InferenceSession(content)
    return content, lambda given: session.run(None, dict(zip(names, given, strict=True)))


def _torchscript(module: RawPolicy, example: list[Tensor]) -> tuple[bytes, Run]:
    buffer = io.BytesIO()
    with _one_line("torchscript"):
        traced = torch.jit.trace(module, tuple(example))  # type: ignore[no-untyped-call]
        torch.jit.save(torch.jit.freeze(traced), buffer)
        loaded = torch.jit.load(io.BytesIO(buffer.getvalue()))  # type: ignore[no-untyped-call]
    return buffer.getvalue(), _run(loaded)


def _run(module: nn.Module) -> Run:
    """A module of torch on arrays."""

    @torch.no_grad()
    def run(given: Sequence[np.ndarray]) -> list[np.ndarray]:
        found = module(*map(torch.from_numpy, given))
        return [each.numpy() for each in (found if isinstance(found, tuple) else (found,))]

    return run


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
