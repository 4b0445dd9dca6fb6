"""The card of an exported policy: what it is, how good it is, how to load it, where it comes from."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from rllab.envs.backends import BACKENDS
from rllab.envs.registry import find_spec
from rllab.envs.sub_env import has_axes
from rllab.files import read_json, value_at, write_text
from rllab.nets.parts import Packed, paths
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
{inputs}
| action | {action_shape} | {action_dtype}, of `{action_space}` |

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

_LOAD: dict[Format, tuple[list[str], str, str]] = {
    "onnx": (
        ["import numpy as np", "import onnxruntime"],
        'policy = onnxruntime.InferenceSession("{file}")',
        "action = policy.run(None, {{{named}}})[0]",
    ),
    "torchscript": (
        ["import numpy as np", "import torch"],
        'policy = torch.jit.load("{file}")',
        "action = policy({tensors}).numpy()",
    ),
}
"""The code that an exported file needs, by its format: imports, how to load it, how to act on a batch."""


_QUOTED = ("run", "command")
"""Facts of the card that are code."""


def write_card(player: Player, session: int, which: Which, kind: Format, exported: Exported) -> Path:
    """Write `README.md` beside an exported policy."""
    path = exported.path.with_name("README.md")
    action = exported.action
    text = _CARD.format(
        agent=player.config.agent.name,
        env=player.config.env.id,
        file=exported.path.name,
        session=session,
        frame=player.frames[session],
        which=which,
        inputs="\n".join(
            f"| observation{'' if name == 'obs' else f' `{name}`'} | {_shape(x.shape)} | {x.dtype} |"
            for name, x in exported.inputs.items()
        ),
        action_shape=_shape(action.shape),
        action_dtype=action.dtype,
        action_space=player.info.actions.env_space,
        num_checked=len(action),
        num_same=exported.num_same,
        scores=_scores(player, session, which),
        code=loading_code(player, kind, exported),
        provenance=_provenance(player),
    )
    write_text(path, text)
    return path


def loading_code(player: Player, kind: Format, exported: Exported) -> str:
    """A program that plays one episode with the file, and without rllab."""
    imports, load, act = _LOAD[kind]
    env_imports, env_lines = _env_code(player)
    arrays = _arrays(player, exported)
    fields = {
        "file": exported.path.name,
        "named": ", ".join(f'"{name}": {array}' for name, array in arrays.items()),
        "tensors": ", ".join(f"torch.from_numpy({array})" for array in arrays.values()),
    }
    lines = [
        *sorted({*imports, *env_imports}, key=lambda line: line.split()[1]),
        "",
        load.format(**fields),
        *env_lines,
        "obs, _ = env.reset(seed=0)",
        "total, done = 0.0, False",
        "while not done:",
        f"    {act.format(**fields)}",
        "    obs, reward, terminated, truncated, _ = env.step(action)",
        "    total += reward[0]",
        "    done = terminated[0] or truncated[0]",
        'print("return", total)',
    ]
    return "\n".join(lines)


def _arrays(player: Player, exported: Exported) -> dict[str, str]:
    """The Python of each input of the file, given ``obs`` of a vector env."""
    packed = isinstance(player.info.obs_space, Packed)
    places = paths(player.info.env_obs_space) if packed else {"obs": ()}
    where = {name: "obs" + "".join(f"[{json.dumps(key)}]" for key in path) for name, path in places.items()}
    return {name: f"{where[name]}.astype(np.{x.dtype})" for name, x in exported.inputs.items()}


def _env_code(player: Player) -> tuple[list[str], list[str]]:
    """The imports and lines of Python that make one sub-env as in training."""
    config = player.config.env
    spec = find_spec(config)
    imports, make = BACKENDS[player.info.backend].counterpart(spec).code(spec, config)
    if has_axes(player.info.env_obs_space) or isinstance(player.info.obs_space, Packed):
        return imports, [make]
    flatten = "env = gymnasium.wrappers.vector.FlattenObservation(env)"
    return [*imports, "import gymnasium.wrappers.vector"], [make, flatten]


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
