import pytest
from hydra.errors import MissingConfigException

from rllab.config import explain


@pytest.mark.parametrize(("launcher", "extra"), [("ray", "ray"), ("joblib", "joblib"), ("submitit_slurm", "submitit")])
def test_a_launcher_that_is_not_installed(launcher, extra):
    error = MissingConfigException("", f"hydra/launcher/{launcher}", ["basic", "process"])
    assert explain(error) == f"hydra/launcher={launcher}: not installed; pip install 'rllab[{extra}]'"
