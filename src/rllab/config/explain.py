"""One line for each error of Hydra, OmegaConf and YAML: the field, what it got, and what to write instead."""

from __future__ import annotations

import difflib
import re
import traceback
from dataclasses import fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from rllab.errors import ConfigError

_SAYINGS = (
    (
        r"Could not load '(tracker)/(.+)'",
        "{0}={1}: no such option; rllab presets {0} shows those that there are",
    ),
    (
        r"'(\w+\.[\w.]+)=(glob\(.*?\))'",
        "{0}: got {1}, which chooses presets, as -m env=glob(*) does; write one value",
    ),
    (
        r"(?:Ambiguous value for argument|Sweep parameters) '(.+?)=(.*?)'",
        r"{0}: got several values, {1}; write one, or sweep over them with -m",
    ),
    (
        r"Sweeping over Hydra's configuration is not supported : '(.+?)=(.*)'",
        "{0}: got several values, {1}; write one",
    ),
    (
        r"does not support sweep type : (\w+)_SWEEP",
        "hydra/sweeper: got one that cannot sample from an {0}; write hydra/sweeper=rllab",
    ),
    (
        r"(?:An item is already at|Multiple values for) '?([\w.]*\w)",
        "{0}: is there already; write {0}=... without the +",
    ),
    (
        r"Additional config directory '(.+)' not found",
        "--config-dir: got '{0}', which is no directory; write one that holds presets, e.g. env/my_env.yaml",
    ),
    (
        r"Error resolving interpolation '\$\{agent\}/\$\{env\}'",
        "agent, env: each wants the name of one preset; write e.g. agent=ppo env=cartpole",
    ),
)
"""Texts of errors that carry nothing else `explain` could read, and what it says in their place."""


_EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit", "ray": "ray"}
"""Launchers that are not there unless an extra of rllab is installed."""


BAD_INPUT = (ConfigError, HydraException, OmegaConfBaseException, yaml.YAMLError)
"""What bad input raises, most of the time."""


def is_bad_input(error: Exception) -> bool:
    """Whether the input is at fault, and `explain` has a line for it; otherwise it is an error of the program."""
    *_, (frame, _line) = traceback.walk_tb(error.__traceback__)
    from_hydra = frame.f_globals.get("__name__", "").startswith(("hydra.", "omegaconf."))
    return from_hydra or isinstance(error, BAD_INPUT)


def explain(error: BaseException) -> str:
    """The line that a person sees for an error of Hydra, OmegaConf or YAML."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        return _explain_choice(error.missing_cfg_file, list(error.options))
    if isinstance(error, ConfigError):
        return str(error)
    if isinstance(error, OverrideParseException):
        return _explain_syntax(error.override)
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OmegaConfBaseException) and cause.full_key):
        cause = cause.__cause__ or cause.__context__
    text = str(error)
    if cause is not None:
        preset = re.match(r"In '(.+)': \w+ raised while composing", text)
        return (f"{preset[1]}.yaml: " if preset else "") + _explain_field(cause)
    for pattern, saying in _SAYINGS:
        if match := re.search(pattern, text):
            return saying.format(*match.groups())
    return " ".join(text.partition("\nConfig search path")[0].split()) or type(error).__name__


def _explain_choice(path: str, options: list[str]) -> str:
    """One line for ``group/option`` that is not there."""
    group, _, option = path.rpartition("/")
    if group == "hydra/launcher" and (extra := _EXTRAS.get(option)):
        return f"{group}={option}: not installed; pip install 'rllab[{extra}]'"
    return f"{group}={option}: no such option; {_near(option, options, prefix=f'{group}=')}"


def _explain_syntax(override: str) -> str:
    """One line for an override that Hydra's grammar cannot read."""
    name, equals, value = override.partition("=")
    if not equals:
        return f"{name}: no value; write {name}=..."
    if call := re.fullmatch(r"linear\((.+),(.+)\)", value):
        return f"{name}: got {value!r}; write {name}=linear:{call[1].strip()}:{call[2].strip()}"
    if re.fullmatch(r"\w+\(.*\)", value):
        sweeps = "interval(0,1), tag(log,interval(1e-5,1e-2)), choice(a,b) or range(1,9)"
        return f"{name}: got {value!r}, which cannot be read; write e.g. {sweeps}, with -m"
    return f"{name}: got {value!r}, which cannot be read; quote special characters, e.g. '{name}=\"a=b\"'"


def _explain_field(error: OmegaConfBaseException) -> str:
    """One line for a field that is not there, or not of its type."""
    name = str(error.full_key)
    _, _, key = name.rpartition(".")
    if isinstance(error, MissingMandatoryValue):
        return f"{name}: not set; write {name}=..."
    if isinstance(error, (ConfigKeyError, ConfigAttributeError)):
        siblings = error.parent_node if isinstance(error.parent_node, DictConfig) else OmegaConf.create()
        return _explain_unknown(name, siblings)
    if isinstance(error, ValidationError):
        got = repr(getattr(error, "value", None))
        got = {"None": "null", "True": "true", "False": "false"}.get(got, got)
        owner = error.object_type
        wanted = get_type_hints(owner).get(key) if is_dataclass(owner) else error.ref_type  # of a list: itself
        return f"{name}: got {got}; write {expected(wanted)}"
    return _explain_kind(name, error)


def _explain_kind(name: str, error: OmegaConfBaseException) -> str:
    """One line for a list where a mapping is wanted, or the other way round, and for what has no words of our own."""
    kind = get_origin(error.ref_type)
    if kind in (list, dict) and "incompatible container types" in str(error):
        return f"{name}: got {'a mapping' if kind is list else 'a list'}; write {expected(error.ref_type)}"
    return f"{name}: {str(error).splitlines()[0]}"


def _explain_unknown(name: str, siblings: DictConfig) -> str:
    """One line for a field that is not among its siblings."""
    parent, _, key = name.rpartition(".")
    if parent == "tracker":
        return f"{name}: not chosen; write tracker=[tensorboard,{key}]"
    if parent and not is_dataclass(OmegaConf.get_type(siblings)):
        near = difflib.get_close_matches(key, [str(k) for k in siblings], n=1, cutoff=0.8)
        hint = f"did you mean {parent}.{near[0]}? Otherwise " if near else ""
        return f"{name}: not set by the preset; {hint}write +{name}=... to add it"
    known = [str(k) for k in siblings if k not in ("hydra", "_target_")]
    for group in ("meta", "env", "agent") if not parent else ():
        if key in (OmegaConf.select(siblings, group) or {}):
            return f"{name}: no such field; did you mean {group}.{key}?"
    return f"{name}: no such field; {_near(key, known, prefix=f'{parent}.' if parent else '')}"


def _near(word: str, known: list[str], *, prefix: str) -> str:
    """What to write in place of a word that is not known: one that looks like it, or any that is."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if near:
        return f"did you mean {prefix}{near[0]}?"
    return f"write one of {', '.join(sorted(known))}" if known else "remove it"


def expected(annotation: Any) -> str:
    """What a field's type wants, in words."""
    words = {int: "an integer", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(str(choice).lower() for choice in arguments)
    if origin is list and arguments == (Any,):
        return "a list, e.g. [a,b]"
    if origin is list:
        return f"a list, e.g. {'[a,b]' if arguments == (str,) else '[64,64]'}, each item {expected(arguments[0])}"
    if origin is dict:
        return "a mapping, e.g. {name:value}"
    if is_dataclass(annotation):
        return "its fields one by one: " + ", ".join(field.name for field in fields(annotation))
    if float in arguments:  # 1 is a number too
        arguments = tuple(a for a in arguments if a is not int)
    return " or ".join(expected(a) for a in arguments) or words.get(annotation, str(annotation))
