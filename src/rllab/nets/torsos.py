"""Torsos by name: from observations ``[S, B, *obs_shape]`` to features ``[S, B, n]``."""

import math
from collections.abc import Sequence
from typing import Any

import gymnasium.spaces as gs
import numpy as np
import torch
from torch import nn

from rllab.nets.cnn import CNN, LAYOUTS, output_shapes
from rllab.nets.mlp import MLP, Activation
from rllab.nets.spaces import has_pixels, shape_of
from rllab.nets.user_torso import make_user_torso, try_user_torso


def is_image(obs_space: gs.Space[Any]) -> bool:
    """Whether observations are images: bytes with a height, a width and channels."""
    return obs_space.dtype == np.uint8 and len(obs_space.shape or ()) == 3


def choose_network(network: str, obs_space: gs.Space[Any]) -> str:
    """What ``auto`` stands for: a convolutional network that such images are large enough for, otherwise ``mlp``."""
    if network != "auto":
        return network
    if not is_image(obs_space):
        return "mlp"
    return "cnn" if min(output_shapes(shape_of(obs_space), LAYOUTS["cnn"])[-1]) >= 1 else "cnn_small"


def make_torso(
    network: str,
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
    if network == "mlp":
        sizes = [math.prod(shape_of(obs_space)), *hidden]
        return MLP(sizes, generators=generators, activation=activation, activate_last=True), sizes[-1]
    if network in LAYOUTS:
        check_network(network, obs_space)
        layout = LAYOUTS[network]
        return CNN(shape_of(obs_space), layout, generators=generators), layout.num_features
    return make_user_torso(network, obs_space, generators)


def check_network(network: str, obs_space: gs.Space[Any]) -> None:
    """Raise a one-line ``ValueError`` if there is no such torso for such observations; cheaper than to make it."""
    if network == "auto" and has_pixels(obs_space) and not is_image(obs_space):
        raise ValueError(
            f"agent.network: got 'auto' for observations {shape_of(obs_space)} of {obs_space.dtype}, which look like "
            "images, but images are uint8 with three axes; write agent.network=mlp, which flattens them, "
            "agent.network=my_pkg.nets:MyTorso, or a wrapper that gives such images into env.wrappers"
        )
    network, shape = choose_network(network, obs_space), shape_of(obs_space)
    if network == "mlp":
        return
    if network not in LAYOUTS:
        try_user_torso(network, obs_space)
    elif len(shape) != 3:
        raise ValueError(f"agent.network: got {network!r} for observations {shape}, no images; write agent.network=mlp")
    elif min(output_shapes(shape, LAYOUTS[network])[-1]) < 1:
        raise ValueError(
            f"agent.network: got {network!r} for images {shape}, too small for it; write agent.network=cnn_small"
        )


def num_activations(network: str, obs_space: gs.Space[Any], *, hidden: list[int]) -> int:
    """Numbers that a row leaves in such a torso until its gradient is known; of a user's torso a guess."""
    network, shape = choose_network(network, obs_space), shape_of(obs_space)
    if network in LAYOUTS:
        layers = [math.prod(s) for s in output_shapes(shape, LAYOUTS[network])]
        return math.prod(shape) + sum(layers) + LAYOUTS[network].num_features
    return math.prod(shape) + (sum(hidden) if network == "mlp" else 0)
