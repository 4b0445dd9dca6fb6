"""A user's network is tried before anything is made; what cannot be trained is refused in one line."""

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch
from torch import nn

from rllab.nets.torsos import check_network
from rllab.nets.user_torso import make_user_torso, try_user_torso

NUMBERS = gs.Box(-1.0, 1.0, (4,))
STACKED = "which cannot be evaluated and differentiated at once for several sessions, by torch.vmap"
ADVICE = "write it without recurrent layers, lazy ones and branches on data"
TAKES = "which cannot take 2 observations (4,)"
MAPS = "write one that maps (B, 4) to (B, n)"


class Torso(nn.Module):
    """What the others have in common: layers, and the call of them."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


def wide(space):
    return Torso(nn.Linear(10, 8))


class Recurrent(nn.Module):
    def __init__(self, space):
        super().__init__()
        self.layer = nn.GRU(space.shape[0], 8)

    def forward(self, x):
        return self.layer(x)


class RecurrentInside(Recurrent):
    def forward(self, x):
        return self.layer(x)[0]


def batch_norm(space):
    return Torso(nn.Linear(4, 8), nn.BatchNorm1d(8))


def batch_norm_of_images(space):
    return Torso(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten())


def frozen_batch_norm(space):
    torso = batch_norm(space)
    torso.layers[1].eval()
    return torso


def lazy(space):
    return Torso(nn.LazyLinear(8))


class Linear(Torso):
    def __init__(self, space):
        super().__init__(nn.Linear(space.shape[0], 8))


class Branch(Linear):
    def forward(self, x):
        return self.layers(x) if x.sum() > 0 else self.layers(-x)


class Squeezed(Linear):
    def forward(self, x):
        return self.layers(x).squeeze()


class Detached(Linear):
    def forward(self, x):
        return self.layers(x).detach()


class Double(Linear):
    def forward(self, x):
        return self.double().layers(x.double())


class InPlace(Linear):
    """It can be evaluated, but a value that the backward pass needs is overwritten."""

    def forward(self, x):
        y = self.layers(x).exp()
        y.mul_(y)
        return y


class Dropout(Linear):
    def forward(self, x):
        return nn.functional.dropout(self.layers(x), 0.5)


class NotANumber(Linear):
    def forward(self, x):
        return self.layers(x) * torch.nan


class Counts(Linear):
    def __init__(self, space):
        super().__init__(space)
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x):
        self.count.add_(1.0)
        return self.layers(x)


def raises(space):
    raise KeyError("width")


def takes_nothing():
    return wide(None)


def many_lines(space):
    raise RuntimeError("\n\n  one line.\nAnother one, " + 50 * "and more, ")


def one_long_line(space):
    raise RuntimeError("word " * 200)


def no_module(space):
    return {"layers": 2}


class Indices(nn.Module):
    """Observations are whole numbers from 1 on, and 0 has no embedding."""

    def __init__(self, space):
        super().__init__()
        self.embedding = nn.Embedding(int(space.high[0]), 6)

    def forward(self, x):
        assert x.dtype == torch.float32
        return self.embedding(x.long()[:, 0] - 1)


REFUSED = {
    "wide": f"{TAKES}: RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x4 and 10x8); {MAPS}",
    "Recurrent": "which gives a tuple for 2 observations; write one that gives (2, n)",
    "RecurrentInside": (f"{STACKED}: RuntimeError: Batching rule not implemented for aten::gru.input; {ADVICE}"),
    "batch_norm": (
        "which changes the running statistics of its BatchNorm1d when it is evaluated, and so when it only acts; "
        "write LayerNorm or GroupNorm in place of BatchNorm"
    ),
    "Dropout": (
        "which gives other features for the same observations (dropout?); write one that depends on observations and "
        "parameters alone"
    ),
    "NotANumber": "which gives nan; write one that depends on observations and parameters alone",
    "Counts": (
        "which changes its buffer count when it is evaluated, and so when it only acts; write LayerNorm or GroupNorm "
        "in place of BatchNorm"
    ),
    "Branch": (
        f"{STACKED}: RuntimeError: vmap: It looks like you're attempting to use a Tensor in some data-dependent "
        f"control flow; {ADVICE}"
    ),
    "Squeezed": "which gives (8,) for 1 observation; write one that gives (1, n)",
    "Detached": (
        "whose output has no gradient; leave out detach() and no_grad(), or freeze it by requires_grad_(False)"
    ),
    "Double": "which computes in torch.float64; write one of torch.float32",
    "raises": "whose constructor raises: KeyError: 'width'; write one that takes the observation space alone",
    "no_module": "which makes a dict; write a torch.nn.Module",
}


@pytest.mark.parametrize(("name", "line"), REFUSED.items())
def test_what_cannot_be_trained_is_refused_in_one_line(name, line):
    network = f"{__name__}:{name}"
    with pytest.raises(ValueError, match=r"^agent\.network: got ") as caught:
        check_network(network, NUMBERS)
    assert str(caught.value) == f"agent.network: got {network!r}, {line}"


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("lazy", f"{STACKED}: ValueError: Attempted to use an uninitialized parameter"),
        ("InPlace", f"{STACKED}: RuntimeError: one of the variables needed for gradient computation"),
        ("takes_nothing", "whose constructor raises: TypeError: takes_nothing() takes 0 positional arguments but 1"),
        ("many_lines", "whose constructor raises: RuntimeError: one line; write"),
        ("one_long_line", "whose constructor raises: RuntimeError: word word"),
    ],
)
def test_torchs_long_messages_become_a_short_line(name, start):
    network = f"{__name__}:{name}"
    with pytest.raises(ValueError, match=r"^agent\.network: got ") as caught:
        check_network(network, NUMBERS)
    assert str(caught.value).startswith(f"agent.network: got {network!r}, {start}")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_statistics_that_move_when_it_acts_are_refused():
    with pytest.raises(ValueError, match=r"changes the running statistics of its BatchNorm2d when it is evaluated"):
        check_network(f"{__name__}:batch_norm_of_images", gs.Box(0, 255, (3, 9, 9), np.uint8))
    check_network(f"{__name__}:frozen_batch_norm", NUMBERS)


@pytest.mark.parametrize("name", ["no_such_module:Torso", f"{__name__}:NoSuchClass", "no_such_name", ":Torso"])
def test_what_cannot_be_found_is_refused(name):
    with pytest.raises(ValueError, match=r"agent\.network: got .*; write auto, mlp, cnn, cnn_small or package"):
        check_network(name, NUMBERS)


def test_a_module_that_cannot_be_imported_is_refused(tmp_path, monkeypatch):
    (tmp_path / "broken_nets.py").write_text("class Torso(\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"whose module cannot be imported: SyntaxError: .*; mend it"):
        check_network("broken_nets:Torso", NUMBERS)


def test_it_is_tried_on_observations_of_the_space():
    assert try_user_torso(f"{__name__}:Indices", gs.Box(1, 5, (1,), np.int64)) == 6
    assert try_user_torso(f"{__name__}:Linear", gs.Box(-np.inf, np.inf, (3,))) == 8
    assert try_user_torso(f"{__name__}:Indices", gs.Box(1, 255, (1,), np.uint8)) == 6


def test_trying_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    try_user_torso(f"{__name__}:Linear", NUMBERS)
    assert torch.equal(before, torch.get_rng_state())


def test_trying_changes_no_weight(make_generators):
    torso, width = make_user_torso(f"{__name__}:Linear", NUMBERS, make_generators(2))
    again, _ = make_user_torso(f"{__name__}:Linear", NUMBERS, make_generators(2))
    assert width == 8
    for a, b in zip(torso.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
