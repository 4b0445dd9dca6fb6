"""What a search leaves behind: the table of its trials, the config of the best one, and the models that it keeps."""

from __future__ import annotations

import csv
import math
import shutil
import textwrap
from io import StringIO
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from rllab.config import trust
from rllab.config.loading import escaped
from rllab.files import write_text
from rllab.search.trials import ENDED, ranked

if TYPE_CHECKING:
    from pathlib import Path

    from rllab.search.trials import TrialRow


BEST = "best.yaml"


def write_trials(rows: list[TrialRow], path: Path) -> None:
    """Write a CSV file with a line for each trial; what was not sampled, and a value of nan, are empty cells."""
    fields = list(dict.fromkeys(field for row in rows for field in row.params))
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("trial", "state", "value", "frames", "seconds", *fields, "reason"))
    for row in rows:
        value = "" if math.isnan(row.value) else row.value
        params = (row.params.get(field, "") for field in fields)
        writer.writerow((row.index, row.state, value, row.frame, round(row.seconds, 1), *params, row.reason))
    write_text(path, text.getvalue())


def remove_models(rows: list[TrialRow], directory: Path, *, keep: int) -> None:
    """Delete the checkpoints of ended trials, apart from those of the best `keep` and of trials that still run.

    Complete trials come first, by value; where there are fewer, pruned ones fill up. Failed ones keep none.

    Args:
        rows: all trials of the search.
        directory: holds one directory per trial, named by its index.
        keep: at least 1: the best trial keeps its checkpoints.
    """
    best = [trial for state in ("complete", "pruned") for trial in ranked([r for r in rows if r.state == state])]
    kept = {row.index for row in best[: max(keep, 1)]}
    for row in rows:
        if row.state in ENDED and row.index not in kept:
            shutil.rmtree(directory / str(row.index) / "checkpoints", ignore_errors=True)


def write_best(path: Path, *, config: dict[str, Any], groups: list[str], comment: str) -> None:
    """Write the best trial's config, whole but for `meta`, for ``python train.py -cd DIR -cn best``.

    Args:
        path: the YAML file.
        config: its sections: ``{"env": {"id": "CartPole-v1", ...}, ...}``. Nothing in it is resolved.
        groups: those of which no preset is to be chosen, since their sections are here.
        comment: what the file's first lines say.
    """
    defaults = ["config", *({f"override {group}": None} for group in groups), "_self_"]
    content = OmegaConf.create({"defaults": defaults} | escaped(config))
    # OmegaConf quotes what it would read back as a number; PyYAML alone takes 1e-05 for text, and "1e-5" for itself
    write_text(path, textwrap.indent(comment, "# ", lambda _: True) + "\n" + OmegaConf.to_yaml(content))
    trust.sign(path)
