"""What several test files need: a config as a person would compose it, and one-thread torch."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rllab import config


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def load_config(tmp_path):
    """`load_config("env=pendulum", ...)` -> RunConfig, writing into the test's directory."""

    def load(*overrides, run_dir="run"):
        config.register()
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(config.conf_dir())):
            composed = compose("config", [*overrides, f"run_dir={tmp_path / run_dir}", "meta.num_threads=1"])
        return config.load(composed)

    return load
