"""The card of an exported policy: what it is, how good it is, how to load it, where it comes from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rllab.envs.backends import BACKENDS
from rllab.envs.registry import find_spec
from rllab.envs.sub_env import has_axes
from rllab.files import read_json, value_at, write_text
from rllab.text import interval_text, printable, score_text

if TYPE_CHECKING:
    from pathlib import Path

    from rllab.play.export import Exported, Format
    from rllab.play.player import Player, Which

_CARD = """\
# {agent} on {env}

`{file}` is a policy that was trained with rllab: the greedy one of session {session}, as it was at frame {frame:,}
(checkpoint `{which}`). It takes raw observations; normalising and scaling are inside.

| | shape | type |
|---|---|---|
| observation | {obs_shape} | {obs_dtype} |
| action | {action_shape} | {action_dtype}, of `{action_space}` |
{memory}
On {num_checked:,} observations of the env it does what the original does at {num_same:,}.

## Scores

{scores}

## How to load it

```python
{code}
```

## Where it comes from

{provenance}
"""

_TORCHSCRIPT_STEP = (
    "action, *state = map(torch.Tensor.numpy, policy(*map(torch.from_numpy, (obs.astype(np.{dtype}), *state, starts))))"
)
_LOAD: dict[Format, tuple[list[str], str, str, str]] = {
    "onnx": (
        ["import numpy as np", "import onnxruntime"],
        'policy = onnxruntime.InferenceSession("{file}")',
        'action = policy.run(None, {{"obs": obs.astype(np.{dtype})}})[0]',
        'action, *state = policy.run(None, {{"obs": obs.astype(np.{dtype}), {states}, "starts": starts}})',
    ),
    "torchscript": (
        ["import numpy as np", "import torch"],
        'policy = torch.jit.load("{file}")',
        "action = policy(torch.from_numpy(obs.astype(np.{dtype}))).numpy()",
        _TORCHSCRIPT_STEP,
    ),
}
"""The code that an exported file needs, by its format: imports, how to load it, how to act on a batch, and how with a
memory."""


_QUOTED = ("run", "command")
"""Facts of the card that are code."""


def write_card(player: Player, session: int, which: Which, kind: Format, exported: Exported) -> Path:
    """Write `README.md` beside an exported policy."""
    path = exported.path.with_name("README.md")
    obs, action = exported.obs, exported.action
    text = _CARD.format(
        agent=player.config.agent.name,
        env=player.config.env.id,
        file=exported.path.name,
        session=session,
        frame=player.frames[session],
        which=which,
        obs_shape=_shape(obs.shape),
        obs_dtype=obs.dtype,
        action_shape=_shape(action.shape),
        action_dtype=action.dtype,
        action_space=player.info.actions.env_space,
        memory=_memory(exported),
        num_checked=len(obs),
        num_same=exported.num_same,
        scores=_scores(player, session, which),
        code=loading_code(player, kind, exported),
        provenance=_provenance(player),
    )
    write_text(path, text)
    return path


def loading_code(player: Player, kind: Format, exported: Exported) -> str:
    """A program that plays one episode with the file, and without rllab."""
    imports, load, *acts = _LOAD[kind]
    env_imports, env_lines = _env_code(player)
    shapes = exported.state_shapes
    states = ", ".join(f'"state_{name}": state[{i}]' for i, name in enumerate(shapes))
    fields = {"file": exported.path.name, "dtype": exported.obs.dtype, "states": states}
    zeros = ", ".join(f"np.zeros({(1, *shape)}, np.float32)" for shape in shapes.values())
    begin = [f"state, starts = [{zeros}], np.ones(1, np.bool_)"] if shapes else []
    lines = [
        *sorted({*imports, *env_imports}, key=lambda line: line.split()[1]),
        "",
        load.format(**fields),
        *env_lines,
        "obs, _ = env.reset(seed=0)",
        "total, done = 0.0, False",
        *begin,
        "while not done:",
        f"    {acts[bool(shapes)].format(**fields)}",
        *(["    starts[:] = False  # True where an episode begins"] if shapes else []),
        "    obs, reward, terminated, truncated, _ = env.step(action)",
        "    total += reward[0]",
        "    done = terminated[0] or truncated[0]",
        'print("return", total)',
    ]
    return "\n".join(lines)


def _env_code(player: Player) -> tuple[list[str], list[str]]:
    """The imports and lines of Python that make one sub-env as in training."""
    config = player.config.env
    spec = find_spec(config)
    imports, make = BACKENDS[player.info.backend].counterpart(spec).code(spec, config)
    if has_axes(player.info.env_obs_space):
        return imports, [make]
    flatten = "env = gymnasium.wrappers.vector.FlattenObservation(env)"
    return [*imports, "import gymnasium.wrappers.vector"], [make, flatten]


def _memory(exported: Exported) -> str:
    """Rows of the table: what is carried from step to step."""
    shapes = exported.state_shapes
    rows = [f"| `state_{name}`, in and out | {_shape((0, *shape))} | float32 |" for name, shape in shapes.items()]
    if shapes:
        rows.append("| `starts`: an episode begins | [batch] | bool |")
    return "".join(f"{row}\n" for row in rows)


def _shape(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(["batch", *map(str, shape[1:])]) + "]"


def _scores(player: Player, session: int, which: Which) -> str:
    lines = [f"- Best score while it trained: {score_text(player.scores[session])}."]
    evaluation = value_at(read_json(player.path / "eval.json"), which, "greedy")
    count = value_at(evaluation, "num_episodes", kind=int)
    mean = value_at(evaluation, "sessions", session, "mean", kind=dict) or {}
    score = value_at(mean, "value", kind=float)
    if score is None or count is None:  # none, or not what it writes
        lines.append("- `rllab eval` had not been run.")
    else:
        interval = f", 95 % interval {text}" if (text := interval_text(mean)) else ""
        lines.append(f"- `rllab eval`: mean return of {count:,} greedy episodes {score_text(score)}{interval}.")
    if (threshold := player.info.reward_threshold) is not None:
        lines.append(f"- The env counts as solved at {threshold:,g}.")
    return "\n".join(lines)


def _provenance(player: Player) -> str:
    facts = read_json(player.path / "provenance.json")
    versions = found if isinstance(found := facts.get("versions"), dict) else {}
    rows = {
        "run": f"`{_plain(player.path.resolve().name)}`",
        "command": f"`{_plain(facts.get('command', 'unknown'))}`",
        "time": facts.get("time"),
        "commit": facts.get("git_sha"),
        "seed": player.config.meta.seed,
        "versions": ", ".join(f"{name} {value}" for name, value in versions.items() if value),
    }
    return "\n".join(
        f"- {name}: {value if name in _QUOTED else _plain(value)}" for name, value in rows.items() if value is not None
    )


def _plain(value: object) -> str:
    """What a file says, on one line, without what would be markup."""
    return re.sub(r"[`<>\[\]|]", "'", printable(value))
