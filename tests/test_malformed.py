"""Files of a run that are not what was written: whatever lies there, every verb ends well or with one line."""

import json
import math
import random
import shutil
import traceback

import pytest
import yaml
from safetensors.torch import load, save

from rllab import checkpoint
from rllab.command import main
from rllab.config import trust

pytestmark = pytest.mark.usefixtures("no_picture")

TABLES = ("session_0/train.csv", "session_1/eval.csv")
TREES = ("trial.json", "provenance.json", "eval.json", "config.yaml")
CHECKPOINTS = ("checkpoints/last.safetensors", "checkpoints/best.safetensors")
VERBS = (["ls", "."], ["report", "run"], ["compare", "run", "run"], ["eval", "run", "--episodes", "1"])
WITH_CHECKPOINT = (
    VERBS[-1],
    ["export", "run", "--format", "torchscript"],
    ["train", "meta.resume=run"],
    ["eval", "run", "--episodes", "1", "--checkpoint", "last"],
)
DEEP = "[" * 100_000
JUNK = (
    None,
    True,
    -1,
    0,
    10**400,
    1e300,
    math.nan,
    "",
    "x",
    "../x",
    "\0",
    "\x1b[2J",
    "${oc.env:HOME}",
    [],
    {},
    [[]],
    {"": 1},
)
BYTES = (
    b"\0",
    b"\xff\xfe",
    b"\n",
    b",",
    b'"',
    b"\r",
    b"nan",
    b"\xe2\x80",
    b"{",
    b"]",
    DEEP.encode(),
    b"1e999",
    b"&a *a",
    b"!!x",
)


@pytest.fixture
def run(cases, tmp_path, monkeypatch):
    """A run that has been evaluated, `run` in the working directory, as a fresh copy for each malformed file."""
    whole = tmp_path / "whole"
    shutil.copytree(cases("ppo"), whole)
    (whole / "eval.json").write_text(
        json.dumps({"best": {"greedy": {"sessions": [{"session": 0, "mean": {"value": 1.0}}]}}})
    )
    monkeypatch.chdir(tmp_path)
    return whole


def nodes(tree, path=()):
    """Paths of all that lies in nested data."""
    yield path
    for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield from nodes(tree[key], (*path, key))


def spoil_tree(tree, rng):
    """Put junk in the place of a node, or remove it."""
    path = rng.choice(list(nodes(tree)))
    if not path:
        return rng.choice(JUNK)
    node = tree
    for key in path[:-1]:
        node = node[key]
    if rng.random() < 0.25:
        del node[path[-1]]
    else:
        node[path[-1]] = rng.choice(JUNK)
    return tree


def spoil_bytes(content, rng):
    """Cut, flip, insert, repeat."""
    at, to = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return rng.choice(
        [
            content[:at],
            content[:at] + content[to:],
            content[:at] + rng.choice(BYTES) + content[at:],
            content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :],
            content[:to] + content[at:],
            content[:at] + bytes(to - at) + content[to:],
        ]
    )


def spoil_checkpoint(content, rng):
    """Malformed, with the checksum of what is malformed."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])["__metadata__"]
    structure = json.dumps(spoil_tree(json.loads(header["structure"]), rng))
    header |= {"structure": structure, "sha256": checkpoint._digest(structure.encode())}
    if rng.random() < 0.1:
        header = {key: rng.choice(["", "x", DEEP]) if rng.random() < 0.5 else value for key, value in header.items()}
    return save(load(content), header)


def spoil(path, rng):
    content = path.read_bytes()
    name = path.name
    if path.suffix == ".safetensors":
        path.write_bytes(rng.choice([spoil_bytes, spoil_checkpoint, spoil_checkpoint])(content, rng))
    elif path.suffix == ".csv" or rng.random() < 0.4:
        path.write_bytes(spoil_bytes(content, rng))
    elif path.suffix == ".json":
        path.write_text(json.dumps(spoil_tree(json.loads(content), rng)))
    else:
        path.write_text(yaml.safe_dump(spoil_tree(yaml.safe_load(content), rng)))
    if name == "config.yaml":
        trust.sign(path)


def after(verb, command, capsys):
    """What is wrong with how a verb ended; None if nothing is."""
    try:
        if verb[0] == "train":
            result = command(verb[1])
            code, errors = result.code, result.err.splitlines()
        else:
            code = 0
            try:
                main(verb)
            except SystemExit as stop:
                code = stop.code or 0
            errors = capsys.readouterr().err.splitlines()
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        frame = traceback.extract_tb(error.__traceback__)[-1]
        own = [f for f in traceback.extract_tb(error.__traceback__) if "rllab" in f.filename][-1]
        capsys.readouterr()
        return f"{type(error).__name__}: {str(error)[:100]} at {own.filename[-30:]}:{own.lineno} {frame.name}"
    told = any(line.startswith("error: ") for line in errors)
    if code not in (0, 1) or told != (code == 1):
        return f"code {code}, {errors}"
    unknown = [line for line in errors if not line.startswith(("error: ", "note: "))]
    return f"said {unknown}" if unknown else None


@pytest.mark.parametrize("count", [24, pytest.param(2400, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_every_verb_ends_well_or_with_one_line(run, command, capsys, count):
    files = [*TABLES, *TREES, *CHECKPOINTS, CHECKPOINTS[0]]
    problems = []
    for seed in range(count):
        rng = random.Random(seed)
        shutil.rmtree("run", ignore_errors=True)
        shutil.copytree(run, "run")
        name = files[seed % len(files)]
        spoil(run.parent / "run" / name, rng)
        verb = rng.choice(WITH_CHECKPOINT if name.endswith("safetensors") else VERBS)
        if problem := after(verb, command, capsys):
            problems.append(f"seed {seed}, {' '.join(verb)} after {name} was spoiled: {problem}")
    assert not problems, "\n".join(problems)
