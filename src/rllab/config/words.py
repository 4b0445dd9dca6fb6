"""What the words of a command line may not say together: what the schema does not know of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hydra.errors import MissingConfigException

from rllab.config import loading
from rllab.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hydra.conf import HydraConf
    from hydra.core.config_loader import ConfigLoader
    from omegaconf import DictConfig

    from rllab.config.schema import RunConfig


def check(words: Iterable[str]) -> None:
    """Refuse words that would make Hydra say something in which they do not occur."""
    for word in words:
        if word.startswith("="):
            raise ConfigError(f"{word}: names no field; write field=value, e.g. meta.seed=3")
        if nowhere := re.fullmatch(r"\+*(run_dir|meta\.resume|hydra\.(?:run|sweep)\.dir)=(''|\"\"|)", word):
            raise ConfigError(f"{nowhere[1]}: got nothing; write a directory, e.g. {nowhere[1]}=outputs/mine")
        if re.fullmatch(r"(meta|env|eval_env|agent|tuned|search|experiment)=(null|\[.*|[\d.]+)|~(env|agent)", word):
            raise ConfigError(f"{word}: each group wants the name of one preset; write e.g. env=cartpole")


def load(cfg: DictConfig, hydra_config: HydraConf, loader: ConfigLoader) -> RunConfig:
    """The config of one job. What only Hydra knows of the command line is checked here too."""
    words = hydra_config.overrides.task
    run = loading.load(cfg)
    others = [word for word in words if not (word.lstrip("+").startswith("meta.resume=") or _is_budget(word))]
    if run.meta.resume is not None and others:
        raise ConfigError(
            f"meta.resume: got it together with {' '.join(others)}; write meta.resume=... alone, or with a longer "
            "env.max_frame=..."
        )
    for word in words:  # `optional tuned` forgives a name that does not exist
        if word.startswith("tuned="):
            group, _, option = word.replace("=", "/", 1).rpartition("/")
            options = loader.get_group_options(group)
            if option not in options:
                raise MissingConfigException("", f"{group}/{option}", options)
    return run


def check_single(run: RunConfig, hydra_config: HydraConf) -> None:
    """Refuse what makes sense in a search only."""
    if space := hydra_config.runtime.choices.get("search"):
        raise ConfigError(f"search={space}: one run searches nothing; add -m")
    if run.meta.max_trial > 1:
        raise ConfigError(
            f"meta.max_trial: got {run.meta.max_trial}, but this is one run; add -m and a space, e.g. "
            "-m meta=asha search=ppo, or write meta.max_trial=1"
        )


def longer(run: RunConfig, hydra_config: HydraConf) -> int | None:
    """The budget that is typed beside `meta.resume`, if one is."""
    typed = any(map(_is_budget, hydra_config.overrides.task))
    return run.env.max_frame if typed and run.meta.resume is not None else None


def _is_budget(word: str) -> bool:
    return word.lstrip("+").startswith("env.max_frame=")
