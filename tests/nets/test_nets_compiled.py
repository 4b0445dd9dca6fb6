"""Networks by torch.compile, against themselves in eager torch."""

import json

import pytest
import torch

from rllab.errors import ConfigError
from rllab.nets.compiled import NotCompiledError, compile_networks
from rllab.nets.mlp import MLP
from rllab.training import trial
from test_trial import assert_same_policy

SHORT = ["agent.num_steps=16", "agent.num_minibatches=2", "env.max_frame=1500", "meta.log_frequency=250"]
COMPILED = [*SHORT, "meta.max_session=2", "meta.kernels=off", "meta.compile=true"]


def no_compiler(*_args, **_kwargs):
    raise RuntimeError("no compiler\nand so on")


def test_what_cannot_be_compiled_here_is_said_in_a_line(monkeypatch):
    net = MLP([3, 4, 1], generators=[torch.Generator().manual_seed(0)])
    monkeypatch.setattr(torch, "compile", no_compiler)
    with pytest.raises(NotCompiledError, match=r"^torch.compile fails here \(RuntimeError: no compiler\)$"):
        compile_networks([net], "cpu")
    with pytest.raises(NotCompiledError, match="there is no network"):
        compile_networks([torch.nn.Module()], "cpu")


def test_a_network_that_fails_to_compile_goes_on_in_torch(monkeypatch, capsys):
    net = MLP([3, 4, 1], generators=[torch.Generator().manual_seed(0)])
    x = torch.ones(1, 2, 3)
    expected = net(x)
    monkeypatch.setattr(torch, "compile", lambda f, **_options: f if f is torch.sin else no_compiler)
    compile_networks([net], "cpu")
    assert torch.equal(net(x), expected)
    assert torch.equal(net(x), expected)
    said = "compile: MLP goes on in torch, for it cannot be compiled (RuntimeError: no compiler)\n"
    assert capsys.readouterr().err == said


@pytest.mark.usefixtures("no_picture")
def test_where_a_kernel_learns_nothing_is_compiled(load_config, tmp_path, capsys):
    trial.run(load_config(*SHORT, "meta.compile=true", "env.max_frame=256", run_dir="run"))
    assert "compile: nothing, for the update runs in C++" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "provenance.json").read_text())["compile"].startswith("nothing, for")


def test_hogwild_is_refused(load_config):
    config = load_config(*SHORT, "meta.compile=true", "meta.max_session=2", "meta.distributed=shared", run_dir="run")
    with pytest.raises(ConfigError, match=r"meta.compile: got True with meta.distributed=shared.*write meta.compile"):
        trial.run(config)


@pytest.mark.slow
@pytest.mark.usefixtures("no_picture")
def test_a_compiled_run_equals_an_eager_one_and_resumes_exactly(load_config, tmp_path, stop_at, capsys):
    trial.run(load_config(*COMPILED, run_dir="whole"))
    assert "compile: networks, in every loss" in capsys.readouterr().out
    stop_at(776)
    with pytest.raises(SystemExit):
        trial.run(load_config(*COMPILED, run_dir="cut"))
    trial.run(load_config(f"meta.resume={tmp_path / 'cut'}"))
    assert_same_policy(tmp_path / "whole", tmp_path / "cut")


def test_compiled_gradients_are_those_of_eager_torch():
    net = MLP([3, 4, 1], generators=[torch.Generator().manual_seed(0)])
    x = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(1))
    expected = torch.autograd.grad(net(x).square().sum(), list(net.parameters()))
    names = list(net.state_dict())
    try:
        compile_networks([net], "cpu")
    except NotCompiledError as error:
        pytest.skip(str(error))
    got = torch.autograd.grad(net(x).square().sum(), list(net.parameters()))
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert list(net.state_dict()) == names
