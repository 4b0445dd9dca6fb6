"""A multirun as Hydra's sweepers get to see it, composed but not started."""

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from rllab import config


@pytest.fixture(scope="module")
def multirun():
    """`multirun("agent.lr=1e-3,3e-4")` -> what is composed, and the loader that composes the jobs."""

    def compose(*words):
        config.register()
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(config.conf_dir())):
            loader = GlobalHydra.instance().config_loader()
        return loader.load_configuration("config", [*words, "run_dir=x"], RunMode.MULTIRUN), loader

    return compose
