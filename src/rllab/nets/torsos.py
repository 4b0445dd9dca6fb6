"""Torsos by name: from observations ``[S, B, *obs_shape]`` to features ``[S, B, n]``."""

import math
from collections.abc import Sequence
from typing import Any

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import Tensor, nn

from rllab.nets.cnn import CNN, LAYOUTS, output_shapes
from rllab.nets.images import AXES, axes_of, is_image, size_of_image
from rllab.nets.mlp import MLP, Activation
from rllab.nets.parts import Packed, Parts, described
from rllab.nets.parts_torso import PartsTorso, WholeTorso
from rllab.nets.spaces import shape_of, size_of
from rllab.nets.user_torso import make_user_torso, try_user_torso

Network = Any
"""Of a Config, where OmegaConf has no such union: a name, or names by part, see `choose_network`."""


def choose_network(network: Network, obs_space: gs.Space[Any]) -> str | dict[str, str]:
    """The names of networks that are meant, for observations of several parts by part.

    ``auto`` is for images a convolutional network that they are large enough for, ``mlp`` for all else; `cnn` and
    `cnn_small` are meant for those parts that are images. A module of the user's own takes all parts.
    """
    if not isinstance(obs_space, Parts) or _is_users(network):
        return _choose(network, obs_space)
    if isinstance(network, str):
        if not isinstance(obs_space, Packed):
            return _choose(network, obs_space)
        network = {name: network for name, leaf in obs_space.leaves.items() if is_image(leaf)}
    return {name: _choose(network.get(name, "auto"), leaf) for name, leaf in obs_space.leaves.items()}


def _choose(network: str, obs_space: gs.Space[Any]) -> str:
    """`auto` stays where it cannot be told how an image is to be read: `check_network` refuses that."""
    if network != "auto" or not isinstance(obs_space, gs.Box):
        return "mlp" if network == "auto" else network
    if not is_image(obs_space) or not (axes := axes_of(obs_space.shape)):
        return "auto" if len(obs_space.shape) > 2 else "mlp"
    size = size_of_image(obs_space.shape, axes)
    return "cnn" if min(output_shapes(size, LAYOUTS["cnn"])[-1]) >= 1 else "cnn_small"


def _is_layout(network: str) -> bool:
    return network.partition(":")[0] in LAYOUTS


def _is_users(network: Network) -> bool:
    return isinstance(network, str) and network not in ("auto", "mlp") and not _is_layout(network)


def _layout_axes(network: str, shape: tuple[int, ...]) -> tuple[str, str]:
    """Layout and axes of a convolutional network for images of this shape: ``cnn``, or ``cnn:HWC``."""
    layout, _, axes = network.partition(":")
    return layout, axes or axes_of(shape)


def make_torso(
    network: Network,
    obs_space: gs.Space[Any],
    generators: list[torch.Generator],
    *,
    hidden: Sequence[int] = (),
    activation: Activation = "relu",
) -> tuple[nn.Module, int]:
    """The torso of this name, `choose_network`'s or a user's, and how many features it gives.

    `hidden` and `activation` are those of `mlp`.

    Raises:
        ValueError: it is not there, or does not take such observations.
    """
    network = choose_network(network, obs_space)
    if isinstance(network, dict):
        assert isinstance(obs_space, Parts)
        own = {name: each for name, each in network.items() if each != "mlp"}
        torsos = {name: make_torso(each, obs_space.leaves[name], generators) for name, each in own.items()}
        parts = PartsTorso(obs_space, torsos, generators, hidden=hidden, activation=activation)
        return parts, parts.num_features
    if network == "mlp":
        sizes = [size_of(obs_space), *hidden]
        return MLP(sizes, generators=generators, activation=activation, activate_last=True), sizes[-1]
    if _is_users(network):
        if not isinstance(obs_space, Parts):
            return make_user_torso(network, obs_space, generators)
        module, width = make_user_torso(network, obs_space.whole, generators)
        return WholeTorso(obs_space, module), width
    _check_one(network, obs_space)
    layout, axes = _layout_axes(network, shape_of(obs_space))
    return CNN(shape_of(obs_space), axes, LAYOUTS[layout], generators=generators), LAYOUTS[layout].num_features


def as_input(torso: nn.Module | None, x: Tensor) -> Tensor:
    """Bytes as numbers, except for a network that makes numbers of them itself."""
    if isinstance(torso, (CNN, PartsTorso, WholeTorso)) or x.is_floating_point():
        return x
    return x.float()


def keeps_bytes(obs_space: gs.Space[Any], *, normalize_obs: bool) -> bool:
    """Whether observations are bytes that become numbers in the network alone: images, unless they are normalised."""
    return isinstance(obs_space, Packed) or (is_image(obs_space) and obs_space.dtype == np.uint8 and not normalize_obs)


def check_network(network: Network, obs_space: gs.Space[Any], *, normalize_obs: bool = False) -> None:
    """Raise a one-line ``ValueError`` if there is no such torso for such observations; cheaper than to make it.

    `normalize_obs`: their running statistics are to standardise them, which is refused where there are images alone.
    """
    if not isinstance(network, str):
        _check_names(network, obs_space)
    chosen = choose_network(network, obs_space)
    if isinstance(chosen, dict):
        assert isinstance(obs_space, Parts)
        for name, leaf in obs_space.leaves.items():
            _check_one(chosen[name], leaf, name)
    else:
        _check_one(chosen, obs_space)
    only_images = isinstance(obs_space, Packed) and not obs_space.num_numbers
    if normalize_obs and (only_images or (isinstance(chosen, str) and _is_layout(chosen))):
        raise ValueError(
            f"agent.normalize_obs: got True for observations {described(obs_space)}, where there are no numbers to "
            "standardise: the network scales images to [0, 1]; write agent.normalize_obs=false"
        )


def _check_names(network: Any, obs_space: gs.Space[Any]) -> None:
    """Refuse what is no mapping of parts that there are to names."""
    got = f"agent.network: got {network!r}"
    if not isinstance(network, dict) or not all(isinstance(name, str) for name in network.values()):
        raise ValueError(f"{got}; write a name, e.g. cnn, or one for each part, e.g. {{camera: cnn, state: mlp}}")
    if not isinstance(obs_space, Parts):
        raise ValueError(  # noqa: TRY004 - as all bad input
            f"{got} for observations {described(obs_space)}, which have no parts; write one name, e.g. auto"
        )
    if unknown := [name for name in network if name not in obs_space.leaves]:
        raise ValueError(f"{got}, but there is no part {unknown[0]!r}; write one of {', '.join(obs_space.leaves)}")


def _check_one(network: str, obs_space: gs.Space[Any], part: str = "") -> None:
    """Refuse a network that does not take such observations, or such a `part` of them."""
    if network == "mlp":
        return
    if not _is_layout(network) and network != "auto":
        try_user_torso(network, obs_space.whole if isinstance(obs_space, Parts) else obs_space)
        return
    shape = obs_space.shape or ()
    what = f"agent.network: got {network!r} for " + (f"the part {part!r}, " if part else "")
    layout, axes = _layout_axes(network, shape)
    if network == "auto":
        what += f"observations {shape} of {obs_space.dtype}, which look like images, but "
        if is_image(obs_space):
            first = "KCHW"[-len(shape) :]
            either = " or ".join(_setting(f"cnn_small:{axes}", part) for axes in (first, first.replace("CHW", "HWC")))
            raise ValueError(f"{what}channels may come first or last; write {either}, or mlp, which flattens them")
        raise ValueError(
            f"{what}images are uint8, or real numbers in [0, 1], with three axes, or four for a stack; write "
            f"{_setting('mlp', part)}, which flattens them, {_setting('my_pkg.nets:MyTorso', part)}, or a wrapper that "
            "gives such images into env.wrappers"
        )
    if len(axes) != len(shape) or (":" in network and axes not in AXES):
        known = [f" or {_setting(f'{layout}:{each}', part)}" for each in AXES if len(each) == len(shape)]
        raise ValueError(f"{what}observations {shape}, no images; write {_setting('mlp', part)}{''.join(known)}")
    if min(output_shapes(size_of_image(shape, axes), LAYOUTS[layout])[-1]) < 1:
        raise ValueError(f"{what}images {shape}, too small for it; write {_setting('cnn_small', part)}")


def _setting(network: str, part: str) -> str:
    return f"agent.network={{{part}: {network}}}" if part else f"agent.network={network}"


def num_activations(network: Network, obs_space: gs.Space[Any], *, hidden: list[int]) -> int:
    """Numbers that a row leaves in such a torso until its gradient is known; of a user's torso a guess."""
    chosen = choose_network(network, obs_space)
    if isinstance(chosen, dict):
        assert isinstance(obs_space, Parts)
        return sum(num_activations(chosen[name], leaf, hidden=hidden) for name, leaf in obs_space.leaves.items())
    shape = obs_space.shape or ()
    if _is_layout(chosen):
        layout, axes = _layout_axes(chosen, shape)
        layers = [math.prod(s) for s in output_shapes(size_of_image(shape, axes), LAYOUTS[layout])]
        return math.prod(shape) + sum(layers) + LAYOUTS[layout].num_features
    return math.prod(shape) + (sum(hidden) if chosen == "mlp" else 0)
