"""What TAB offers is read from source and YAML: it must be what Hydra composes."""

import dataclasses
import subprocess
import sys

import pytest

from rllab import algorithms
from rllab.completion import offers
from rllab.config import EnvConfig, MetaConfig
from rllab.tracking import trackers


@pytest.mark.parametrize("name", algorithms.names())
def test_every_field_of_an_agent_is_offered(name):
    fields = {f"agent.{field.name}=" for field in dataclasses.fields(algorithms.find(name).Config)}
    assert set(offers(f"python train.py agent={name} agent.")) == fields


@pytest.mark.parametrize("name", trackers.names())
def test_every_field_of_a_tracker_is_offered(name):
    fields = {f"tracker.{name}.{x.name}=" for x in dataclasses.fields(trackers.find(name, field="x").Config)}
    assert set(offers(f"python train.py tracker=csv,{name} tracker.{name}.")) == fields
    assert offers(f"python train.py tracker=csv,{name[:2]}") == [f"tracker=csv,{name}"]


@pytest.mark.parametrize(("section", "config"), [("meta", MetaConfig), ("env", EnvConfig)])
def test_every_field_of_a_section_is_offered(section, config):
    offered = {name.rstrip("=.") for name in offers(f"python train.py {section}.")}
    assert offered == {f"{section}.{field.name}" for field in dataclasses.fields(config)}


def test_presets_of_a_user_and_fields_that_a_preset_adds(tmp_path):
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "moon.yaml").write_text("id: Pendulum-v1\nkwargs:\n  g: 1.62\n")
    line = f"python train.py -cd {tmp_path} env=moon"
    assert offers(line) == ["env=moon"]
    assert offers(f"{line} env.kwargs.") == ["env.kwargs.g="]
    (tmp_path / "env" / "moon.yaml").write_text("id: [")
    assert offers(f"{line} env.kw") is None  # Hydra may say why


def test_nothing_heavy_is_imported_for_it():
    code = "import sys, rllab.entry, rllab.completion; print({'torch', 'hydra', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
