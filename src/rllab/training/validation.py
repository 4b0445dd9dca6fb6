"""How a result is validated: the same command on eight seeds of which nobody has seen a stream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from rllab import config
from rllab.files import value_at
from rllab.host.process import program
from rllab.search.report import BEST
from rllab.text import shell

if TYPE_CHECKING:
    from collections.abc import Sequence


def validation_command(argv: list[str] | None, *, seed: int) -> str | None:
    """The command line of this run, with the meta preset that validates a result.

    None for a grid, for a resumed run, and where there is no command line.

    What that preset sets is left to it, and everything else stays. `seed` is one of which nobody has seen a stream: a
    result is validated on fresh ones.
    """
    if argv is None or {"-m", "--multirun"} & set(argv) or any("meta.resume=" in word for word in argv):
        return None
    preset = yaml.safe_load((config.conf_dir() / "meta" / "validate.yaml").read_text("utf-8"))
    left_out = {"meta", "meta.seed", "run_dir", *(f"meta.{field}" for field in preset)}

    def stays(word: str) -> bool:
        field, equals, _ = word.lstrip("+").partition("=")
        return not equals or not (field in left_out or field.startswith("hydra."))

    kept = [word for word in argv[1:] if stays(word)]
    return " ".join([program(argv), *map(shell, kept), f"meta.seed={seed}", "meta=validate"])


def unseen_seed(seed: int, presets: Sequence[str]) -> int:
    """One after that of this run and, where it trains a search's `best.yaml`, after all that the search has seen."""
    best = [yaml.safe_load(Path(path).read_text("utf-8")) for path in presets if Path(path).name == BEST]
    return max([seed + 1, *(value_at(content, "meta", "seed", kind=int) or 0 for content in best)])
