import json
import os
import pickle
import struct
from pathlib import Path

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rllab import checkpoint
from rllab.checkpoint import CheckpointError
from rllab.nets.actor_critic import ActorCritic
from rllab.nets.distributions import make_distribution
from rllab.optim.flat import FlatParameters
from rllab.random.streams import Streams


@pytest.fixture
def path(tmp_path):
    return tmp_path / "last.safetensors"


@pytest.fixture
def round_trip(path):
    def go(state):
        checkpoint.write(path, state)
        return checkpoint.read(path)

    return go


def test_nested_plain_data(round_trip):
    state = {
        "step": 3,
        "none": None,
        "flags": [True, False],
        "text": 'quote " and newline \n and ü',
        "nested": {"empty": {}, "list": [[], [1, [2.5, {"deep": "x"}]]]},
    }
    got = round_trip(state)
    assert got == state
    assert got["flags"][0] is True
    assert round_trip({"pair": (1, 2)}) == {"pair": [1, 2]}  # as documented


def test_numbers_keep_every_digit(round_trip):
    generator = np.random.default_rng(7).bit_generator.state  # PCG64: two 128-bit integers
    assert generator["state"]["state"] > 2**64
    state = {"generator": generator, "big": 2**127 + 1, "third": 1 / 3, "tiny": 5e-324, "inf": -np.inf}
    assert round_trip(state) == state
    assert np.isnan(round_trip({"score": float("nan")})["score"])


@pytest.mark.parametrize("name", ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(2, 3), (), (0, 4)])
def test_tensors(round_trip, name, shape):
    dtype = getattr(torch, name)
    tensor = (torch.randn(shape) * 3).to(dtype)
    got = round_trip({"x": [tensor]})["x"][0]
    assert isinstance(got, torch.Tensor)
    assert got.dtype == dtype
    assert torch.equal(got, tensor)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "i4", "i2", "u1", "u4", "u8", "?"])
def test_arrays_and_scalars(round_trip, dtype):
    state = {
        "array": np.arange(6).reshape(2, 3).astype(dtype),
        "empty": np.zeros(0, dtype),
        "point": np.array(1, dtype),
        "scalar": np.dtype(dtype).type(1),
    }
    got = round_trip(state)
    for name in ("array", "empty", "point"):
        assert isinstance(got[name], np.ndarray)
        assert got[name].dtype == dtype
        np.testing.assert_array_equal(got[name], state[name], strict=True)
    assert got["scalar"] == 1
    assert isinstance(got["scalar"], float if dtype == "f8" else np.dtype(dtype).type)  # f8 is a float


def test_nan_in_tensors_and_arrays(round_trip):
    got = round_trip({"x": torch.tensor([np.nan, 1.0]), "y": np.array([np.inf, np.nan])})
    np.testing.assert_array_equal(got["x"].numpy(), np.array([np.nan, 1.0], np.float32))
    np.testing.assert_array_equal(got["y"], [np.inf, np.nan])


def test_views_gradients_and_shared_memory(round_trip):
    base = torch.arange(6.0).reshape(2, 3).requires_grad_()
    array = np.arange(6).reshape(2, 3)
    state = {
        "t": base.T,
        "column": base[:, 1],
        "base": base,
        "again": base,
        "a": array.T,
        "back": array[::-1],
    }
    got = round_trip(state)
    for name in ("t", "column", "base", "again"):
        assert torch.equal(got[name], state[name].detach())
        assert not got[name].requires_grad
    np.testing.assert_array_equal(got["a"], array.T)
    np.testing.assert_array_equal(got["back"], array[::-1])


@pytest.mark.parametrize("num_sessions", [1, 2])
def test_a_network_whose_torso_is_shared(round_trip, num_sessions):
    def make(seed):
        generators = Streams(seed, num_sessions, "weights").generators
        distribution = make_distribution(gs.Discrete(3), num_sessions=num_sessions)
        return ActorCritic(gs.Box(-1, 1, (4,)), distribution, generators=generators, hidden=[5], shared=True)

    first, second = make(0), make(1)
    FlatParameters(first)  # one session's parameters are then contiguous views of one buffer
    second.load_state_dict(round_trip({"policy": first.state_dict()})["policy"])
    assert all(torch.equal(x, y) for x, y in zip(first.parameters(), second.parameters(), strict=True))


def test_what_is_read_belongs_to_the_reader(path):
    checkpoint.write(path, {"x": torch.zeros(3), "y": np.zeros(3)})
    got = checkpoint.read(path)
    got["x"] += 1
    got["y"] += 1  # writable
    again = checkpoint.read(path)
    assert again["x"].sum() == again["y"].sum() == 0


def test_other_objects_are_refused(path):
    with pytest.raises(TypeError, match="not set"):
        checkpoint.write(path, {"x": {1, 2}})
    assert not path.exists()


def refusal(path):
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text


def test_a_missing_file(path):
    assert refusal(path).endswith("no such checkpoint")
    assert refusal(path / "below").endswith(("no such checkpoint", ")"))


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.3, 0.6, 0.99])
def test_a_truncated_file(path, keep):
    checkpoint.write(path, {"weights": torch.randn(100), "step": 5})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    assert "truncated" in refusal(path)


def test_a_byte_too_few(path):
    checkpoint.write(path, {"weights": torch.randn(100)})
    path.write_bytes(path.read_bytes()[:-1])
    assert "truncated" in refusal(path)


def test_every_flipped_bit_is_noticed(path):
    state = {"weights": torch.randn(7), "counts": np.arange(5), "steps": np.int64(3), "none": torch.zeros(0), "step": 5}
    checkpoint.write(path, state)
    whole = path.read_bytes()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        try:
            found = checkpoint.read(path)
        except CheckpointError:
            continue
        assert str(found) == str(state), f"byte {at}: {whole[at]} became {damaged[at]}"  # as white space may


def test_a_page_of_zeros_is_noticed(path):
    checkpoint.write(path, {"weights": torch.rand(10_000) + 1, "step": 5})
    whole = path.read_bytes()
    for start in range(0, len(whole), 4096):
        path.write_bytes(whole[:start] + bytes(len(whole[start : start + 4096])) + whole[start + 4096 :])
        refusal(path)


def test_a_part_that_is_damaged_is_noticed_where_it_is_read(path):
    checkpoint.write(path, {"policy": torch.ones(9), "buffer": torch.ones(9)})
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert checkpoint.read(path, "policy").equal(torch.ones(9))
    with pytest.raises(CheckpointError, match="not what was written"):
        checkpoint.read(path, "buffer")


def test_a_foreign_safetensors_file(path):
    save_file({"x": torch.zeros(2)}, path)
    assert "not a checkpoint of rllab" in refusal(path)
    save_file({"x": torch.zeros(2)}, path, metadata={"format": "pt"})
    assert "not a checkpoint of rllab" in refusal(path)


def test_foreign_bytes(path):
    path.write_bytes(b"frame,elapsed_s\n" * 50)
    refusal(path)
    path.write_bytes(struct.pack("<Q", 20) + json.dumps({"x": 1}).encode().ljust(20))
    refusal(path)
    path.write_bytes(os.urandom(1000))
    refusal(path)


class Trap:
    def __reduce__(self):
        return (open, ("trapped", "w"))


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_pickled_code_is_refused_and_not_run(path, tmp_path, monkeypatch, writer):
    monkeypatch.chdir(tmp_path)
    if writer == "pickle":
        path.write_bytes(pickle.dumps(Trap()))
    else:
        torch.save({"x": Trap()}, path)
    refusal(path)
    assert not (tmp_path / "trapped").exists()


def test_a_crash_while_writing_leaves_the_old_file(path, monkeypatch):
    checkpoint.write(path, {"step": 1})

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write(path, {"step": 2})
    assert checkpoint.read(path) == {"step": 1}
    monkeypatch.undo()
    checkpoint.write(path, {"step": 3})  # whatever the crash left behind is no obstacle
    assert checkpoint.read(path) == {"step": 3}
    assert list(path.parent.iterdir()) == [path]


def test_the_name_appears_only_when_the_file_is_whole(path, monkeypatch):
    sources = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda *names: (sources.append(names), replace(*names)))
    checkpoint.write(path, {"x": torch.ones(3)})
    ((source, target),) = sources
    assert target == path
    assert source != path
    assert source.parent == path.parent  # else the move would not be atomic


def test_a_file_that_is_replaced_while_it_is_opened(path, monkeypatch):
    """safetensors opens it for the header and once more for the tensors, which are then those of the next one."""
    checkpoint.write(path, {"x": torch.zeros(3)})
    decode = checkpoint._decode

    def mixed(structure, _tensor):
        monkeypatch.setattr(checkpoint, "_decode", decode)
        checkpoint.write(path, {"x": torch.ones(3)})
        return decode(structure, lambda name: checkpoint.loads(path.read_bytes())["x"])

    monkeypatch.setattr(checkpoint, "_decode", mixed)
    assert checkpoint.read(path)["x"].tolist() == [1, 1, 1]
