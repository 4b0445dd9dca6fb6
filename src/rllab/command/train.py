"""The `rllab-train` command; `python train.py` in a checkout is the same."""

import dataclasses
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

# before numpy is imported: its threads would fight torch's over small products
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from rllab import config, search
from rllab.command import best
from rllab.config import hydra_internals, trust, words
from rllab.config.explain import BAD_INPUT, is_bad_input
from rllab.search.report import BEST
from rllab.text import printable

_trusted = ContextVar("_trusted", default=False)
"""Whether --trust was given."""


def main() -> None:
    """Let Hydra compose the config of the command line, check it, and train; bad input ends with one line on stderr."""
    parser = hydra_internals.get_args_parser()
    parser.add_argument(
        "--trust", action="store_true", help="Import what a run to resume, or -cn best, names, whoever wrote it"
    )
    parser.error = _refuse_flags  # type: ignore[method-assign] # argparse would print every flag of Hydra
    args = parser.parse_intermixed_args()
    if args.cfg is not None:
        args.resolve = args.cfg != "hydra"  # what Hydra has for itself cannot be resolved without the rest
    name = Path(f"{(args.config_name or 'config').removesuffix('.yaml')}.yaml")
    args.overrides = config.complete(args.overrides, has_env=name.name == BEST)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra prints and exits by itself otherwise
    _trusted.set(args.trust)
    config.register()
    with bad_input_refused():
        words.check(args.overrides)
        if not any(word.lstrip("+").startswith("meta.resume=") for word in args.overrides):
            trust.find_packages_here()  # with what the command line names; a run to resume may be somebody else's
        if name.name == BEST:
            best.check(name, args.config_dir, args.config_path, args.overrides, trusted=args.trust)
        where = {"config_path": str(config.conf_dir()), "config_name": "config"}
        hydra_internals.run_app(_train, args, parser, **where, trusted="rllab.command.train.CheckJobs")


def _train(cfg: DictConfig) -> float:
    """Run one job that Hydra has composed."""
    from rllab.training import trial  # noqa: PLC0415 - --help and --cfg need no training code

    hydra_config = HydraConfig.get()
    loader = GlobalHydra.instance().config_loader()
    presets = config.own_presets(hydra_config, loader)
    if hydra_config.mode == RunMode.MULTIRUN:
        held = search.attach()
        run = dataclasses.replace(words.load(cfg, hydra_config, loader), run_dir=hydra_config.runtime.output_dir)
        return trial.run(run, held, trusted=_trusted.get(), presets=presets)
    with bad_input_refused():  # not only in `main`: Hydra would print a line of its own first
        run = words.load(cfg, hydra_config, loader)
        words.check_single(run, hydra_config)
        if hydra_config.run.dir != ".":  # somebody has told Hydra the directory
            run = dataclasses.replace(run, run_dir=hydra_config.runtime.output_dir)
        own = [] if run.meta.resume else presets
        return trial.run(run, trusted=_trusted.get(), presets=own, max_frame=words.longer(run, hydra_config))


class CheckJobs(Callback):
    """Checks the jobs of a multirun before the first one starts, and before any directory is made."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        from rllab.search.space import is_grid, read_space  # noqa: PLC0415 - as in `_train`

        loader = GlobalHydra.instance().config_loader()
        with bad_input_refused():  # Hydra would make a warning of it
            space = read_space(config, loader)
            if is_grid(config):
                space.check_grid()
            try:
                _check_jobs(config, loader, space.probes(jointly=True))
            except BAD_INPUT:  # a few values that do not go together are left to the search
                _check_jobs(config, loader, space.probes())


def _check_jobs(config: DictConfig, loader: ConfigLoader, jobs: Iterable[list[str]]) -> None:
    from rllab.training import checks  # noqa: PLC0415 - as in `_train`

    for chosen in jobs:
        job = loader.load_sweep_config(config, chosen)
        fields = [str(key) for key in job if key != "hydra"]
        checks.check(words.load(OmegaConf.masked_copy(job, fields), job.hydra, loader))


@contextmanager
def bad_input_refused() -> Iterator[None]:
    """End with one line where the input is at fault; with RLLAB_TRACEBACK set, let the error through."""
    try:
        yield
    except Exception as error:
        if "RLLAB_TRACEBACK" in os.environ or not is_bad_input(error):
            raise
        _refuse(config.explain(error))


def _refuse_flags(message: str) -> NoReturn:
    _refuse(f"{message}; fields are written as agent.lr=1e-3, and --help shows the rest")


def _refuse(line: str) -> NoReturn:
    sys.exit(f"error: {printable(line)}")
