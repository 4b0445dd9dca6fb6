"""Observations of several parts: how they lie in one array, and what networks make of it."""

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch
from torch import nn

from rllab.nets.images import axes_of, is_image, reading
from rllab.nets.obs_net import ObsNet
from rllab.nets.parts import Packed, PackedNorm, Parts, described, flat_obs, flat_space, paths
from rllab.nets.torsos import check_network, choose_network, make_torso

SPACE = gs.Dict(
    camera=gs.Box(0, 255, (7, 8, 3), np.uint8),
    depth=gs.Box(0, 1, (2, 7, 7), np.float32),
    state=gs.Dict(place=gs.Box(-9, 9, (2, 2), np.float64), flags=gs.MultiBinary(3)),
    choice=gs.Tuple([gs.Discrete(3, start=-1), gs.MultiDiscrete([2, 300], start=[5, 0])]),
)
VECTORS = gs.Dict(a=gs.Box(-1, 1, (2, 2)), b=gs.Discrete(3))


def packed_rows(num_rows):
    SPACE.seed(0)
    flat = flat_space(SPACE)
    samples = [SPACE.sample() for _ in range(num_rows)]
    return flat, samples, torch.from_numpy(np.stack([flat_obs(SPACE, flat, sample) for sample in samples]))


def test_each_part_comes_back_as_it_was():
    flat, samples, rows = packed_rows(6)
    parts = flat.split(rows.view(2, 3, -1))
    first = samples[0]
    assert list(parts) == ["camera", "depth", "state.place", "state.flags", "choice.0", "choice.1"]
    for name in ("camera", "depth"):
        assert torch.equal(parts[name][0, 0], torch.from_numpy(first[name]))
    assert parts["camera"].dtype == torch.uint8
    assert parts["camera"].untyped_storage().data_ptr() == rows.untyped_storage().data_ptr()  # no copy
    np.testing.assert_allclose(parts["state.place"][0, 0], first["state"]["place"], rtol=1e-6)
    assert parts["state.flags"][0, 0].tolist() == first["state"]["flags"].tolist()
    assert parts["choice.0"][0, 0].argmax() == first["choice"][0] + 1
    assert parts["choice.1"].shape == (2, 3, 302)
    assert parts["choice.1"][0, 0].nonzero().ravel().tolist() == [first["choice"][1][0] - 5, 2 + first["choice"][1][1]]
    # 4 numbers and 98 pixels of 4 bytes, two choices of up to 300 of 4, then 168 pixels, one choice and three truths
    assert flat.shape == (4 * (4 + 98 + 2) + 168 + 1 + 3,)


def test_parts_go_to_the_env_s_form_and_back():
    flat, samples, rows = packed_rows(2)
    stored = flat.unpack(rows)
    given = {name: flat.as_given(name, part) for name, part in stored.items()}
    assert given["choice.0"].tolist() == [sample["choice"][0] for sample in samples]
    assert given["choice.1"].tolist() == [sample["choice"][1].tolist() for sample in samples]
    assert given["state.place"].dtype == torch.float64
    assert all(torch.equal(flat.as_stored(name, part), stored[name]) for name, part in given.items())


def test_a_dict_without_images_stays_flat_numbers():
    flat = flat_space(VECTORS)
    assert type(flat) is Parts
    assert flat == gs.flatten_space(VECTORS)
    row = torch.from_numpy(flat_obs(VECTORS, flat, {"a": np.arange(4, dtype=np.float32).reshape(2, 2), "b": 2}))
    parts = flat.split(row.expand(2, 3, -1))
    assert parts["a"][0, 0].tolist() == [[0, 1], [2, 3]]
    assert parts["b"][0, 0].tolist() == [0, 0, 1]
    assert choose_network("auto", flat) == "mlp"


def test_names_must_differ():
    with pytest.raises(ValueError, match="two parts of the same name"):
        flat_space(gs.Dict({"a.b": gs.Discrete(2), "a": gs.Dict(b=gs.Discrete(2))}))
    assert paths(SPACE)["choice.1"] == ("choice", 1)


@torch.no_grad()
def test_numbers_alone_are_normalised():
    flat, _, rows = packed_rows(40)
    norm, x = PackedNorm(2, flat), rows.view(2, 20, -1)
    norm.update(x, torch.ones(2, 20))
    bytes_, parts = norm(x), norm(flat.unpack(x))
    seen = flat.unpack(bytes_)
    torch.testing.assert_close(seen["state.place"].mean(1), torch.zeros(2, 2, 2), rtol=0, atol=1e-5)
    torch.testing.assert_close(seen["state.place"].var(1, unbiased=False), torch.ones(2, 2, 2), rtol=1e-4, atol=0)
    for name, part in flat.unpack(x).items():
        torch.testing.assert_close(parts[name], seen[name])
        assert torch.equal(seen[name], part) == (name != "state.place")


IMAGES = [
    ((64, 64, 3), "HWC", "channels last"),
    ((3, 128, 96), "CHW", "channels first"),
    ((4, 84, 84), "CHW", "channels first"),
    ((4, 64, 48, 3), "KHWC", "frames first, then channels last"),
    ((4, 3, 64, 48), "KCHW", "frames first, then channels first"),
    ((7, 9), "HW", "grey"),
]


@pytest.mark.parametrize(("shape", "axes", "words"), IMAGES)
def test_how_axes_are_read(make_generators, shape, axes, words):
    space = gs.Box(0, 255, shape, np.uint8)
    assert is_image(space)
    assert axes_of(shape) == axes
    assert reading(axes) == words
    check_network("auto", space)
    torso, width = make_torso(choose_network("auto", space), space, make_generators(2))
    x = torch.randint(0, 256, (2, 3, *shape), dtype=torch.uint8)
    # the same picture with channels first, all of them: the same features
    order = [axes.index(each) for each in "KCHW" if each in axes]
    moved = x.permute(0, 1, *(2 + i for i in order)).reshape(2, 3, -1, *(shape[axes.index(each)] for each in "HW"))
    first, name = gs.Box(0, 255, moved.shape[2:], np.uint8), f"{choose_network('auto', space)}:CHW"
    torso_first, _ = make_torso(name, first, make_generators(2))
    torch.testing.assert_close(torso(x), torso_first(moved))
    assert torso(x).shape == (2, 3, width)
    floats = gs.Box(0, 1, shape)
    if len(shape) > 2:
        same, _ = make_torso("auto", floats, make_generators(2))
        torch.testing.assert_close(same(x.float() / 255), torso(x))


@pytest.mark.parametrize(
    ("network", "space", "wrong"),
    [
        (
            "auto",
            gs.Box(0, 255, (9, 9, 9), np.uint8),
            "agent.network=cnn_small:CHW or agent.network=cnn_small:HWC",
        ),
        ("auto", gs.Box(-9, 9, (9, 9, 3)), "look like images, but images are uint8, or real numbers in [0, 1]"),
        ("cnn_small:HW", gs.Box(0, 255, (9, 9, 3), np.uint8), "write agent.network=mlp or agent.network=cnn_small:CHW"),
        ({"a": "mlp"}, gs.Box(-1, 1, (3,)), "which have no parts"),
        ({"c": "mlp"}, flat_space(VECTORS), "there is no part 'c'; write one of a, b"),
        ({"camera": "cnn"}, flat_space(SPACE), "too small for it; write agent.network={camera: cnn_small}"),
        ({"state.flags": "cnn"}, flat_space(SPACE), "for the part 'state.flags', observations (3,), no images"),
        (["cnn"], flat_space(SPACE), "write a name, e.g. cnn, or one for each part"),
        ({"camera": 3}, flat_space(SPACE), "write a name, e.g. cnn, or one for each part"),
    ],
)
def test_refusals(network, space, wrong):
    with pytest.raises(ValueError, match=r"^agent\.network: got ") as caught:
        check_network(network, space)
    assert wrong in str(caught.value)
    assert "\n" not in str(caught.value)


def test_images_alone_are_not_normalised():
    images = flat_space(gs.Dict(a=gs.Box(0, 255, (9, 9, 3), np.uint8), b=gs.Discrete(2)))
    with pytest.raises(ValueError, match=r"^agent\.normalize_obs: got True for .* write agent\.normalize_obs=false$"):
        check_network("auto", images, normalize_obs=True)


class OfAPart(nn.Module):
    def __init__(self, space):
        super().__init__()
        self.layer = nn.Linear(int(np.prod(space.shape)), 5)

    def forward(self, x):
        assert x.dtype == torch.float32
        return self.layer(x.flatten(1))


class Whole(nn.Module):
    def __init__(self, space):
        super().__init__()
        assert isinstance(space, gs.Dict)
        self.layer = nn.Linear(2, 5)

    def forward(self, parts):
        return self.layer(torch.stack([parts["camera"].mean((1, 2, 3)) / 255, parts["choice.0"][:, 1]], 1))


@pytest.mark.parametrize("network", ["auto", "mlp", {"camera": f"{__name__}:OfAPart"}, f"{__name__}:Whole"])
def test_sessions_are_what_each_is_alone(make_generators, network):
    flat, _, rows = packed_rows(8)
    check_network(network, flat, normalize_obs=True)

    def make(num_sessions):
        return ObsNet(
            flat, 2, generators=make_generators(num_sessions), network=network, hidden=[6], normalize_obs=True
        )

    one, two, x = make(1), make(2), rows.view(2, 4, -1)
    torch.testing.assert_close(two(two.normalize(x))[:1], one(one.normalize(x[:1])), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(two(two.normalize(x[:1].repeat(2, 1, 1)))[1], one(x[:1])[0], atol=1e-3)
    by_name = flat.unpack(x)
    torch.testing.assert_close(two(two.normalize(by_name)), two(two.normalize(x)))


def test_what_observations_are_taken_for():
    assert described(flat_space(SPACE)) == (
        "camera (7, 8, 3) image, channels last; depth (2, 7, 7) image, channels first; state.place (2, 2); "
        "state.flags MultiBinary(3); choice.0 Discrete(3, start=-1); choice.1 MultiDiscrete([  2 300], start=[5 0])"
    )
    assert isinstance(flat_space(SPACE), Packed)
