"""Every private part of Hydra, its plugins and OmegaConf that `config/hydra_internals.py` uses does what it is for.

What fails here after an upgrade is to be mended in that file, and nowhere else. One that it imports at its top and that
is gone altogether stops all tests at once, with an ImportError that names it and the file.
"""

import ast
import importlib
import inspect
from importlib.metadata import version
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import ConfigCompositionException, SearchPathException
from omegaconf import OmegaConf
from optuna.distributions import FloatDistribution

from rllab.config import MetaConfig, conf_dir, hydra_internals, loading
from rllab.search.sweeper import SearchSweeperImpl

SRC = Path(__file__).parents[2] / "src"
HERE = "config/hydra_internals.py"
PLACES = {
    "hydra._internal.config_loader_impl": ["ConfigLoaderImpl"],
    "hydra._internal.execution_policy": ["execution_whitelist"],
    "hydra._internal.utils": ["_run_hydra", "create_config_search_path", "get_args_parser"],
    "hydra.version": ["_UNSPECIFIED_", "setbase"],
    "hydra_plugins.hydra_optuna_sweeper._impl": ["OptunaSweeperImpl", "create_optuna_distribution_from_override"],
    "hydra_plugins.hydra_ray_launcher._launcher_util": ["start_ray"],
}
"""Modules and what is taken from them; the last one is an extra."""
ATTRIBUTES = ("_get_node", "_metadata", "_return_value", "_is_none", "_apply_overrides_to_config")


def changed(what):
    return f"{what} has moved or changed in Hydra {version('hydra-core')}, OmegaConf {version('omegaconf')}: see {HERE}"


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in PLACES.items() for name in names])
def test_it_is_where_it_was(module, name):
    if module.startswith("hydra_plugins.hydra_ray"):
        pytest.importorskip("ray")
    try:
        found = importlib.import_module(module)
    except ImportError:
        pytest.fail(changed(module))
    assert hasattr(found, name), changed(f"{module}.{name}")


def test_run_hydra_takes_the_arguments_that_it_is_handed():
    from hydra._internal.utils import _run_hydra

    wanted = {"args", "args_parser", "task_function", "config_path", "config_name"}
    assert wanted <= set(inspect.signature(_run_hydra).parameters), changed("_run_hydra")


def test_a_loader_of_our_own_composes(tmp_path):
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "mine.yaml").write_text("id: Mine-v0\n")
    loading.register()
    loader = hydra_internals.config_loader(conf_dir(), tmp_path)
    config = hydra_internals.compose(loader, "config", ["env=mine"])
    assert config.env.id == "Mine-v0", changed("create_config_search_path")
    assert config.hydra.runtime.choices.env == "mine", changed("ConfigLoaderImpl")
    with pytest.raises(SearchPathException, match="not found"):
        hydra_internals.config_loader(conf_dir(), tmp_path / "nowhere")


def test_words_change_a_config():
    config = OmegaConf.create({"a": {"b": 1}})
    hydra_internals.apply_words(config, ["a.b=2", "+a.c=[1,2]"])
    assert config == {"a": {"b": 2, "c": [1, 2]}}, changed("_apply_overrides_to_config")
    with pytest.raises(ConfigCompositionException):
        hydra_internals.apply_words(config, ["a.d=1"])


def test_the_parser_knows_what_train_py_looks_at():
    args = hydra_internals.get_args_parser().parse_intermixed_args(["a=1", "--cfg", "job", "b=2"])
    assert (args.overrides, args.cfg, args.resolve) == (["a=1", "b=2"], "job", False), changed("get_args_parser")


def test_a_job_hands_back_what_it_was_given():
    error = RuntimeError("it failed")
    for status, value in ((JobStatus.COMPLETED, 1.5), (JobStatus.FAILED, error)):
        returned = hydra_internals.job_return(status, value)
        assert isinstance(returned, JobReturn)
        assert returned.status == status
        assert hydra_internals.returned_value(returned) is value, changed("JobReturn._return_value")


@pytest.mark.parametrize(
    ("key", "wanted"), [("seed", int), ("resume", str), ("rigorous_eval", int), ("device", str), ("no_such", None)]
)
def test_the_schema_knows_the_type_of_a_field(key, wanted):
    node = OmegaConf.structured(MetaConfig)
    assert hydra_internals.node_type(node, key) == wanted, changed("_metadata.ref_type")


def test_an_interval_becomes_a_distribution():
    (override,) = OverridesParser.create().parse_overrides(["a=interval(1,8)"])
    found = hydra_internals.create_optuna_distribution_from_override(override)
    assert found == FloatDistribution(1, 8), changed("create_optuna_distribution_from_override")


def test_the_sweeper_has_the_settings_that_ours_inherits():
    options = {"storage": None, "study_name": "name", "n_trials": 3, "n_jobs": 2, "max_failure_rate": 0.5}
    unused = {"sampler": None, "direction": "maximize", "custom_search_space": None, "params": None}
    sweeper = SearchSweeperImpl(max_retries=1, patience=1.0, **options, **unused)
    assert {name: getattr(sweeper, name) for name in options} == options, changed("OptunaSweeperImpl")
    source = inspect.getsource(hydra_internals.OptunaSweeperImpl.setup)
    for name in ("config", "hydra_context", "launcher", "sweep_dir"):
        assert f"self.{name} = " in source, changed("OptunaSweeperImpl.setup")


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nobody"):
        _ = hydra_internals.nobody


def private(source):
    """Private names of Hydra's modules that a module imports, and private attributes that it takes of other objects."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("hydra", "hydra_plugins"):
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
            yield from (name for name in names if name.startswith("_"))
        elif isinstance(node, ast.Attribute) and node.attr in ATTRIBUTES:
            yield node.attr


@pytest.mark.parametrize("path", sorted((SRC / "rllab").rglob("*.py")), ids=lambda path: path.stem)
def test_nobody_else_uses_a_private_part(path):
    found = set(private(path.read_text("utf-8")))
    assert not found or path.as_posix().endswith(HERE), f"{found}: these belong into {HERE}"
