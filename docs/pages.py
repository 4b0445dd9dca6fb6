"""The pages as check.py and a test see them: their blocks, the commands in them, and what a command names.

A comment before a block says how it is checked; neither GitHub nor the site shows it:

    <!-- check: skip, it needs Slurm -->         the block is not run
    <!-- check: without make, it downloads -->   the commands of the block that begin so are not run
    <!-- check: first COMMAND -->                runs before the block; may have several lines
    <!-- check: prints COMMAND -->               the block is what this command prints
    <!-- check: with WORDS -->                   what commands that train are shortened by
    <!-- check: whole -->                        they are not shortened
    <!-- check: shape -->                        numbers of the output are not compared
    <!-- check: machine WORD ... -->             lines of the output that begin so differ between machines
"""

import argparse
import dataclasses
import functools
import re
import shlex
import tomllib
from pathlib import Path

from rllab.command import VERBS, presets
from rllab.completion import offers
from rllab.config.schema import RunConfig
from rllab.files import conf_dir

ROOT = Path(__file__).resolve().parents[1]
TESTED = {"README.md": "test_public_api", "docs/python.md": "test_public_api", "docs/architecture.md": "test_docs"}
"""Pages whose Python snippets a test runs."""
NOTE = re.compile(r"<!-- check: (\w+),?\s*(.*?)\s*-->\n", re.DOTALL)
FENCE = re.compile(
    r"(?P<notes>(?:<!-- check: (?:(?!-->).)*-->\n)*)^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
FILE = re.compile(r"(?:# @.*\n)?# (\S+\.(?:py|yaml))(?: .*)?\n")
CODE = re.compile(r"`` (.+?) ``|`([^`]+)`", re.DOTALL)
PROGRAMS = {"python", "rllab", "rllab-train", "make", "pip", "tensorboard", "optuna-dashboard", "eval", "export"}
FIELD = re.compile(r"[+~]*(meta|env|eval_env|agent|tuned|search|experiment|tracker|callbacks|run_dir|hydra)\b[\w./]*=")
GROUPS = ("meta", "env", "agent", "tuned", "search", "experiment", "tracker", "eval_env")
PLACEHOLDER = re.compile(r"\.\.\.|<\w+>|\b[A-Z]{3,}\b")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    line: int
    kind: str
    """``file``, ``python``, ``commands``, ``session``: commands after $ and their output, ``output``, ``unknown``."""
    text: str
    notes: tuple[tuple[str, str], ...]

    def note(self, name):
        """What the comment of this name says, or None."""
        return next((text for each, text in self.notes if each == name), None)


def pages():
    """Paths of what is checked, in reading order: decisions and changes tell history."""
    docs = (path for path in sorted((ROOT / "docs").rglob("*.md")) if path.parent.name != "decisions")
    return [ROOT / "README.md", *docs, ROOT / "CONTRIBUTING.md"]


def blocks(path):
    """Every fenced block of a page."""
    page = path.read_text("utf-8")
    for found in FENCE.finditer(page):
        line = page.count("\n", 0, found.start("language")) + 1
        notes = tuple(NOTE.findall(found["notes"]))
        kind = _kind(found["language"], found["text"], {name for name, _ in notes})
        yield Block(line, kind, found["text"], notes)


def own_presets(path):
    """Presets that a page writes, as ``env/corridor``."""
    files = (FILE.match(block.text) for block in blocks(path) if block.kind == "file")
    return {"/".join(Path(found[1]).with_suffix("").parts[-2:]) for found in files}


def _kind(language, text, notes):
    if language in ("python", "yaml"):
        return "file" if FILE.match(text) else "python" if language == "python" else "unknown"
    if "prints" in notes:
        return "output"
    if text.startswith("$ "):
        return "session"
    return "commands" if program(text.split("\n", 1)[0]) in PROGRAMS else "unknown"


def program(command):
    """The first word of a command that is no VARIABLE=value."""
    first = next((word for word in command.split() if not re.match(r"[A-Z_]+=", word)), "")
    return first.removeprefix(".venv/bin/")


def commands(text):
    """The commands of a block, one a line, without their comments; those that go over several lines as one."""
    for line in re.sub(r" *\\\n *", " ", text).splitlines():
        if command := re.sub(r"(^| +)# .*", "", line).strip():
            yield command


def inline(path):
    """Code between backticks that is a command, or words of one: the line it is on, and the text."""
    page = path.read_text("utf-8")
    prose = FENCE.sub(lambda block: "\n" * block[0].count("\n"), page)
    for found in CODE.finditer(prose):
        text = " ".join((found[1] or found[2]).split())
        words = FIELD.match(re.sub("^(-m )?'?", "", text))
        if words or (program(text) in PROGRAMS - {"eval", "export"} and " " in text):
            yield prose.count("\n", 0, found.start()) + 1, text


def complaint(command, own=()):
    """What a command names that does not exist: a field, a preset, a verb, an option, an extra, a target; or None.

    Args:
        command: as it is typed, or words of it alone.
        own: presets that the page itself writes, as ``env/corridor``.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        return str(error)
    name = program(command)
    if name in PROGRAMS:
        while re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        words.pop(0)
    module = words[1] if words[:1] == ["-m"] and words[1:] else ""
    if name == "rllab" or (name == "python" and module == "rllab.command"):
        return _of_verb(words[2:] if module else words)
    if name == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        return next((f"make has no target {word}" for word in words if "=" not in word and word not in targets), None)
    if name == "pip":
        extras = {extra for word in words for found in re.findall(r"\[(.+)\]", word) for extra in found.split(",")}
        there = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
        return f"there is no extra {', '.join(extras - {*there})}" if extras - {*there} else None
    if module.startswith("benchmarks."):
        path = ROOT / f"{module.replace('.', '/')}.py"
        options = [word for word in words[2:] if word.startswith("--")] if path.is_file() else [module]
        source = path.read_text("utf-8") if path.is_file() else ""
        return next((f"there is no {option}" for option in options if f'"{option}"' not in source), None)
    trains = name == "rllab-train" or (name == "python" and words[:1] and words[0].endswith("train.py"))
    return _of_words(words, own, strict=trains) if trains or name not in PROGRAMS else None


def _of_verb(words):
    verb = next((verb for verb in VERBS if words[:1] == [verb.NAME]), None)
    if verb is None:
        named = words and not words[0].startswith("-") and not PLACEHOLDER.search(words[0])
        return f"rllab has no verb {words[0]}" if named else None
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    options = re.findall(r"--[\w-]+", parser.format_help())
    given = [word.partition("=")[0] for word in words if word.startswith("--")]
    if unknown := [option for option in given if option not in options]:
        return f"rllab {verb.NAME} has no {unknown[0]}"
    if verb is presets:
        return next((f"rllab presets knows no {word}" for word in words[1:] if word not in presets.GROUPS), None)
    return _of_words(words[1:], (), strict=False)


def _of_words(words, own, *, strict):
    """With `strict` the fields are those of the presets that are chosen, otherwise those of any."""
    values = dict(word.lstrip("+").split("=", 1) for word in words if "=" in word)
    for key, value in values.items():
        section = key.partition(".")[0]
        if key.startswith(("hydra", "tracker.", "-", "~")) or f"+{key}={value}" in words:
            continue
        if not FIELD.match(f"{key}="):
            if strict:
                return f"{key}: no such field"
            continue
        if key in GROUPS:
            names = [] if PLACEHOLDER.search(value) or not value else value.split(",")
            missing = [name for name in names if not _is_preset(key, name) and f"{key}/{name}" not in own]
            if missing:
                return f"{key} has no preset {missing[0]}"
        elif f"{section}/{values.get(section)}" not in own and not _is_field(key, values, strict=strict):
            return f"{key}: no such field"
    return None


def _is_preset(group, name):
    return name == "none" or any(conf_dir().glob(f"{group}/**/{name}.yaml"))


def _is_field(key, values, *, strict):
    section = key.partition(".")[0]
    if section == key:
        return key in {field.name for field in dataclasses.fields(RunConfig)}
    if key.startswith(("env.kwargs.", "eval_env.")) and not strict:
        return True
    if section == "agent" and not strict:
        choices = [f"agent={path.stem}" for path in sorted((conf_dir() / "agent").glob("*.yaml"))]
    else:
        choices = [f"{section}={values[section].split(',')[0]}" if section in values else ""]
    return any(key in _fields(key.rpartition(".")[0], choice) for choice in choices)


@functools.cache
def _fields(section, choice):
    """The fields of a section, as TAB offers them."""
    return {name.rstrip("=.") for name in offers(f"python train.py {choice} {section}.") or ()}
