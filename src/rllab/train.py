"""The `rllab-train` command; `python train.py` in a checkout is the same."""

import dataclasses
import os
import sys

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # before numpy: its threads would fight torch's over small products

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from rllab import config


@hydra.main(config_path=str(config.conf_dir()), config_name="config")
def _train(cfg: DictConfig) -> float:
    from rllab import trial  # noqa: PLC0415 - --help and --cfg need no training code

    run = config.load(cfg)
    hydra_config = HydraConfig.get()
    if hydra_config.mode == RunMode.MULTIRUN or hydra_config.run.dir != ".":  # a directory that Hydra chose
        run = dataclasses.replace(run, run_dir=hydra_config.runtime.output_dir)
    extra = [o for o in hydra_config.overrides.task if not o.startswith(("meta.resume=", "+meta.resume="))]
    if run.meta.resume is not None and extra:
        raise config.ConfigError(
            f"meta.resume: got it together with {' '.join(extra)}; write meta.resume=... alone"
        )
    return trial.run(run)


def main() -> None:
    """Compose, check, train. Bad input ends with one line on stderr and exit code 1."""
    wants_traceback = "HYDRA_FULL_ERROR" in os.environ
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra prints and exits by itself otherwise
    if any(word in ("--cfg", "-c") for word in sys.argv) and "--resolve" not in sys.argv:
        sys.argv.append("--resolve")
    config.register()
    try:
        _train()
    except (config.ConfigError, HydraException, OmegaConfBaseException) as error:
        if wants_traceback:
            raise
        sys.exit(f"error: {error if isinstance(error, config.ConfigError) else config.explain(error)}")
