"""`rllab doctor`: what is installed, and whether an env keeps what training relies on."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllab.command.arguments import add_json
from rllab.command.output import fail, print_json, say
from rllab.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from rllab.config import RunConfig
    from rllab.envs.check import Finding

NAME = "doctor"
SUMMARY = "show what is installed, and check an env with an agent"
EXAMPLE = "rllab doctor env=lunarlander agent=ppo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    text = "as for train.py, e.g. env=lunarlander or env.id=my_pkg:MyEnv-v0; the default env without"
    parser.add_argument("overrides", nargs="*", metavar="FIELD=VALUE", help=text)
    parser.add_argument("--config-dir", "-cd", metavar="DIR", help="presets of your own, as for train.py")
    add_json(parser)


def run(chosen: argparse.Namespace) -> None:
    from rllab.host.installation import installation  # noqa: PLC0415 - torch, which TAB and --help need not

    cfg = _load(chosen.overrides, chosen.config_dir)
    facts, (findings, able) = installation(), _examine(cfg)
    wrong = any(finding.level == "wrong" for finding in findings)
    if chosen.json:
        checks = [vars(finding) for finding in findings]
        print_json(facts | {"env": cfg.env.id, "agent": cfg.agent.name, "checks": checks, "agents": able})
    else:
        title = f"\n{cfg.agent.name} on {cfg.env.id}"
        lines = [*_machine(facts), title, *map(_line, findings), _verdict(findings, able)]
        for line in "\n".join(lines).split("\n"):
            say(line)
    if wrong:
        sys.exit(1)


def _load(words: list[str], config_dir: str | None) -> RunConfig:
    """The config of a command line, composed as train.py composes it; ends with one line if it is wrong."""
    from hydra import compose, initialize_config_dir  # noqa: PLC0415 - as above

    from rllab import config  # noqa: PLC0415

    sys.path.append(str(Path.cwd()))  # a package that lies here may bring envs and agents
    if config_dir is not None:
        words = [*words, f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"]
    config.register()
    try:
        with initialize_config_dir(str(config.conf_dir())):
            return config.load(compose("config", [*config.complete(words), "run_dir=."]))
    except Exception as error:  # noqa: BLE001 - whatever Hydra finds wrong with the words
        fail(config.explain(error), code=2)


def _examine(cfg: RunConfig) -> tuple[list[Finding], list[str]]:
    """Findings about the agent and the env, and the names of the agents that can learn in it."""
    from rllab import algorithms, envs  # noqa: PLC0415 - as above
    from rllab.envs.check import Finding, check_env  # noqa: PLC0415
    from rllab.training import checks  # noqa: PLC0415

    info = None
    try:
        cfg, info = checks.check(cfg)
        findings = [Finding("agent", "ok", f"{cfg.agent.name} can learn here; backend {info.backend}")]
    except (ConfigError, ValueError) as error:
        findings = [Finding("agent" if str(error).startswith("agent") else "env", "wrong", str(error))]
        with contextlib.suppress(ValueError):  # the env may be fine all the same
            info = envs.inspect(cfg.env, num_sessions=cfg.meta.max_session)
    if info is None:
        return findings, []
    found = list(check_env(cfg.env, info))
    is_wrong = any(finding.level == "wrong" for finding in found)
    task = cfg.task(info.obs_space, info.action_space, cfg.meta.max_session)
    return findings + found, [] if is_wrong else algorithms.fitting(task)


def _machine(facts: dict[str, Any]) -> list[str]:
    versions = [f"{name} {number}" for name, number in facts["versions"].items() if number]
    gpus = ", ".join(facts["gpus"]) or f"none ({'no device' if facts['cuda'] else 'torch is built without CUDA'})"
    complete = [name for name, missing in facts["extras"].items() if not missing]
    lines = [
        *(", ".join(versions[start : start + 6]) for start in range(0, len(versions), 6)),
        f"{facts['platform']}, {facts['cores']} cores, GPUs: {gpus}",
        f"env backends: {', '.join(facts['backends'])}",
        f"kernels: {facts['kernels']}",
        f"extras that are complete: {', '.join(complete) or 'none'}",
    ]
    for name, missing in facts["extras"].items():
        if missing:
            lines.append(f"extra {name} lacks {', '.join(missing)}: pip install 'rllab[{name}]'")
    return lines


def _line(finding: Finding) -> str:
    return f"  {finding.level:<6}{finding.name:<11}{finding.text}"


def _verdict(findings: list[Finding], able: list[str]) -> str:
    wrong = sorted({finding.name for finding in findings if finding.level == "wrong"})
    agents = f"agents that fit: {', '.join(able) or 'none'}"
    return f"\n{agents}\nverdict: {'wrong: ' + ', '.join(wrong) if wrong else 'fine'}"
