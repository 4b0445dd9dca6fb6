"""Who may import whom: DESIGN.md, section 3."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
CORE = ("rllab.functional", "rllab.random", "rllab.optim", "rllab.nets", "rllab.buffers")
CORE_OUTSIDE = ("torch", "numpy", "gymnasium.spaces")

ONLY_IN = {
    "hydra": ("rllab.config", "rllab.command.train", "rllab.command", "rllab.search"),
    "omegaconf": ("rllab.config", "rllab.command.train", "rllab.command", "rllab.search"),
    "optuna": ("rllab.search",),
    "tensorboard": ("rllab.tracking.trackers.tensorboard",),
    "PIL": ("rllab.tracking.trackers.tensorboard",),
    "wandb": ("rllab.tracking.trackers.wandb",),
    "mlflow": ("rllab.tracking.trackers.mlflow",),
    "jinja2": ("rllab.report",),
    "pygame": ("rllab.play.show",),
    "moviepy": ("rllab.play.show",),
    "imageio_ffmpeg": ("rllab.play.show", "rllab.tracking.trackers.tensorboard"),
    "onnxruntime": ("rllab.play.export",),
    "onnxscript": ("rllab.play.export",),
    "rich": ("rllab.tracking.console", "rllab.tracking.notebook", "rllab.search.console", "rllab.command"),
}
"""Libraries that have a room of their own."""


def within(name, *rooms):
    """Whether a dotted name is one of these, or below one."""
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def imports(source, module, *, package=False):
    """Dotted names that a module imports anywhere: (a,) of `import a`, (a, a.b) of `from a import b`."""
    here = module.split(".") if package else module.split(".")[:-1]
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {(alias.name,) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            names |= {(origin, f"{origin}.{alias.name}") for alias in node.names}
    return names


def violations(source, module, *, package=False):
    """What a module imports against the rules, one line each."""
    return [
        f"{module} imports {names[-1]}: {reason}"
        for names in sorted(imports(source, module, package=package))
        if (reason := broken_rule(module, names))
    ]


def broken_rule(module, names):
    """The rule that this import breaks, or None; `names` is one element of `imports`."""

    def imported(*rooms):
        return any(within(name, *rooms) for name in names)

    for library, rooms in ONLY_IN.items():
        if imported(library) and not within(module, *rooms):
            return f"{library} belongs in {', '.join(rooms)}"
    standard = names[0].split(".")[0] in sys.stdlib_module_names
    if module == "rllab.errors" and not standard:
        return "whoever only refuses something waits for no library"
    shared = ("rllab.algorithms.contract", "rllab.algorithms.shared", "rllab.kernels")
    known = (*CORE, *CORE_OUTSIDE, *shared, "rllab.errors", "rllab.host.memory")
    if within(module, *CORE, "rllab.algorithms") and not (standard or imported(*known)):
        return "it may know torch, numpy, gymnasium.spaces, functional, nets, buffers and errors"
    if module in ("rllab.training.loop", "rllab.training.evaluation") and any(
        within(name, *concrete_algorithms()) for name in names
    ):
        return "the loop and the evaluation know no concrete algorithm"
    if within(module, "rllab.analysis", "rllab.report") and imported("torch", "gymnasium"):
        return "analysis and report work without torch and gymnasium"
    return None


def concrete_algorithms():
    return [f"rllab.algorithms.{path.stem}" for path in (SRC / "rllab" / "algorithms").glob("[!_]*.py")]


def modules():
    for path in sorted((SRC / "rllab").rglob("*.py")):
        package = path.name == "__init__.py"
        parts = path.relative_to(SRC).with_suffix("").parts
        yield path, ".".join(parts[:-1] if package else parts), package


@pytest.mark.parametrize(("path", "module", "package"), [pytest.param(*m, id=m[1]) for m in modules()])
def test_imports_keep_the_rules(path, module, package):
    assert violations(path.read_text(encoding="utf-8"), module, package=package) == []


def test_all_rooms_were_found():
    found = {module for _, module, _ in modules()}
    assert found >= {
        *CORE,
        "rllab.algorithms.ppo",
        "rllab.analysis",
        "rllab.training.loop",
        "rllab.training.evaluation",
    }


FORBIDDEN = [
    ("rllab.functional.returns", "import gymnasium"),
    ("rllab.functional.returns", "from gymnasium import Env"),
    ("rllab.functional.returns", "import scipy.signal"),
    ("rllab.functional.returns", "import torchvision"),
    ("rllab.nets.mlp", "from rllab.envs import make"),
    ("rllab.nets.mlp", "from rllab import envs"),
    ("rllab.nets.mlp", "import rllab"),
    ("rllab.nets.mlp", "from ..tracking import tracker"),
    ("rllab.nets.mlp", "def f():\n    import gymnasium.vector"),
    ("rllab.nets", "from ..envs import make"),
    ("rllab.buffers.replay", "from rllab.algorithms import ppo"),
    ("rllab.algorithms.sac", "from rllab.algorithms.ppo import PPO"),
    ("rllab.algorithms.sac", "from rllab.algorithms import ppo"),
    ("rllab.algorithms.sac", "from . import ppo"),
    ("rllab.algorithms.sac", "from .ppo import PPO"),
    ("rllab.algorithms.sac", "import rllab.algorithms.ppo"),
    ("rllab.algorithms.sac", "import optuna"),
    ("rllab.algorithms.sac", "import hydra"),
    ("rllab.algorithms.sac", "from omegaconf import DictConfig"),
    ("rllab.algorithms.sac", "from tensorboard.summary import writer"),
    ("rllab.algorithms.sac", "from rllab.envs import SessionEnvs"),
    ("rllab.algorithms.sac", "from rllab import trial"),
    ("rllab.algorithms.sac", "if TYPE_CHECKING:\n    from rllab.config import RunConfig"),
    ("rllab.algorithms", "from rllab.training.loop import train"),
    ("rllab.training.loop", "from rllab.algorithms.ppo import PPO"),
    ("rllab.training.loop", "from rllab.algorithms import ppo"),
    ("rllab.training.evaluation", "import rllab.algorithms.ppo as p"),
    ("rllab.training.trial", "import hydra"),
    ("rllab.errors", "from omegaconf.errors import OmegaConfBaseException"),
    ("rllab.play.player", "import pygame"),
    ("rllab.play.card", "import onnxruntime"),
    ("rllab.training.trial", "from omegaconf.errors import OmegaConfBaseException"),
    ("rllab.training.trial", "try:\n    import optuna\nexcept ImportError:\n    pass"),
    ("rllab.config", "import optuna"),
    ("rllab.tracking.console", "from tensorboard import program"),
    ("rllab.tracking.trackers", "import rich"),
    ("rllab.tracking.trackers.deliver", "import wandb"),
    ("rllab.training.trial", "from mlflow import MlflowClient"),
    ("rllab.analysis.plots", "import torch"),
    ("rllab.analysis.plots", "from gymnasium import spaces"),
    ("rllab.report.plots", "import torch"),
    ("rllab.report.study", "import optuna"),
    ("rllab.analysis.summary", "from jinja2 import Environment"),
]
ALLOWED = [
    ("rllab.functional.returns", "import math\nimport torch\nfrom torch import Tensor"),
    ("rllab.nets.mlp", "import gymnasium.spaces as gs\nfrom gymnasium.spaces import Box"),
    ("rllab.nets.mlp", "from gymnasium import spaces"),
    (
        "rllab.nets.mlp",
        "from rllab.functional import streams\nfrom .flat import FlatParameters\nfrom . import flat",
    ),
    (
        "rllab.algorithms.sac",
        "from rllab.buffers import Buffer\nfrom ..nets import mlp\nfrom rllab import nets",
    ),
    ("rllab.algorithms", "import importlib\nfrom rllab.buffers import Buffer"),
    ("rllab.training.loop", "from rllab.algorithms import Algorithm"),
    ("rllab.search.sweeper", "import hydra\nimport optuna"),
    ("rllab.report.page", "from jinja2 import Environment"),
    ("rllab.command.presets", "from rich.console import Console"),
    ("rllab.command", "import rich\nfrom omegaconf import OmegaConf"),
    ("rllab.training.trial", "import torch\nfrom rllab.analysis import summarize"),
    ("rllab.training.trial", "import hydrate\nimport optunax"),  # another library with a longer name
    ("rllab.analysis.plots", "import numpy\nimport matplotlib\nimport scipy"),
]


@pytest.mark.parametrize(("module", "source"), FORBIDDEN)
def test_the_checker_finds(module, source):
    found = violations(source, module, package=module in ("rllab.nets", "rllab.algorithms"))
    assert len(found) == 1
    assert found[0].startswith(f"{module} imports ")


@pytest.mark.parametrize(("module", "source"), ALLOWED)
def test_the_checker_lets_pass(module, source):
    assert violations(source, module, package=module == "rllab.algorithms") == []


def test_analysis_loads_neither_torch_nor_gymnasium_by_way_of_others():
    code = "import sys, rllab.analysis.plots; print('torch' in sys.modules, 'gymnasium' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]
