"""From an agent's plain actions to those of its env: what arrives lies in the space, whatever the agent says."""

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch
from gymnasium.vector.utils import iterate
from torch import nn

from rllab import envs
from rllab.config import EnvConfig
from rllab.envs.actions import MAX_CHOICES, AgentActions, action_map
from rllab.play.export import RawPolicy


class Same(nn.Module):
    """A policy whose actions are what it sees."""

    def forward(self, obs):
        return obs, {}


def box(low, high, dtype=np.float32):
    return gs.Box(np.array(low, dtype), np.array(high, dtype), dtype=dtype)


MAX = np.finfo(np.float32).max
INF = np.inf
CASES = [  # space, agent's space, agent's actions, env's actions, by hand
    (gs.Discrete(3, start=1), gs.Discrete(3), [0, 2], [1, 3]),
    (gs.Discrete(2, start=-5), gs.Discrete(2), [0, 1], [-5, -4]),
    (gs.MultiDiscrete([2, 3], start=[4, -1]), gs.MultiDiscrete([2, 3]), [[0, 2], [1, 0]], [[4, 1], [5, -1]]),
    (gs.MultiDiscrete([[2, 3], [4, 5]]), gs.MultiDiscrete([2, 3, 4, 5]), [[1, 2, 3, 4]], [[[1, 2], [3, 4]]]),
    (gs.MultiDiscrete([7], start=[2]), gs.Discrete(7), [0, 6], [[2], [8]]),
    (gs.MultiBinary([2, 2]), gs.MultiBinary(4), [[0, 1, 1, 0]], [[[0, 1], [1, 0]]]),
    (gs.Box(0, 20, (2,), np.int32), gs.MultiDiscrete([21, 21]), [[0, 20], [5, 15]], [[0, 20], [5, 15]]),
    (gs.Box(-3, 3, (1,), np.int8), gs.Discrete(7), [0, 6], [[-3], [3]]),
    (gs.Box(0, 255, (1, 2), np.uint8), gs.MultiDiscrete([256, 256]), [[255, 0]], [[[255, 0]]]),
    (box([-1, 0], [3, 10]), gs.Box(-1, 1, (2,)), [[-1, -1], [0, 0], [7, -7]], [[-1, 0], [1, 5], [3, 0]]),
    (box([-2.0], [2.0], np.float64), gs.Box(-1, 1, (1,)), [[0.5], [-2]], [[1.0], [-2.0]]),
    (box([-2.0], [2.0], np.float16), gs.Box(-1, 1, (1,)), [[0.5], [-2]], [[1.0], [-2.0]]),
    (gs.Box(-1, 1, (2, 2)), gs.Box(-1, 1, (4,)), [[0, 0.5, -0.5, 9]], [[[0, 0.5], [-0.5, 1]]]),
    (gs.Box(-1, 1, ()), gs.Box(-1, 1, (1,)), [[0.25]], [0.25]),
    (gs.Box(0, INF, (1,)), gs.Box(0, INF, (1,)), [[-3], [2.5], [1e6]], [[0], [2.5], [1e6]]),
    (gs.Box(-INF, 4, (1,)), gs.Box(-INF, 4, (1,)), [[-9], [5]], [[-9], [4]]),
    (gs.Box(-INF, INF, (1,)), gs.Box(-INF, INF, (1,)), [[-9], [5]], [[-9], [5]]),
    (gs.Box(-MAX, MAX, (1,)), gs.Box(-INF, INF, (1,)), [[-9], [5]], [[-9], [5]]),
    (box([0, -INF, -2], [MAX, INF, 2]), box([0, -INF, -1], [INF, INF, 1]), [[-1, -9, 0.5]], [[0, -9, 1]]),
]


@pytest.mark.parametrize(("space", "agent_space", "actions", "expected"), CASES, ids=[str(case[0]) for case in CASES])
def test_by_hand(space, agent_space, actions, expected):
    found = action_map(space)
    assert found.agent_space == agent_space
    actions = np.array(actions, agent_space.dtype)
    given = found.to_env(actions)
    assert given.dtype == space.dtype
    assert given.tolist() == expected
    assert all(space.contains(each) for each in given)
    exported = RawPolicy(Same(), found)(torch.from_numpy(actions)).numpy()
    assert exported.dtype == space.dtype
    np.testing.assert_array_equal(exported, given)


@pytest.mark.parametrize("space", [case[0] for case in CASES], ids=str)
def test_whatever_an_agent_says_lies_in_the_space(space):
    found = action_map(space)
    rng = np.random.default_rng(0)
    for scale in (1, 1e3, 1e30):
        if found.bounds is not None:
            actions = (scale * rng.normal(size=(50, *found.agent_space.shape))).astype(np.float32)
        else:
            found.agent_space.seed(0)
            actions = np.array([found.agent_space.sample() for _ in range(50)])
        assert all(space.contains(each) for each in found.to_env(actions))


@pytest.mark.parametrize("ends", [(-0.1, 0.3), (0.7, 0.9), (1 / 3, 2 / 3), (-2, 2)])
def test_the_ends_of_a_box_are_reached_and_not_passed(ends):
    space = gs.Box(*ends, (1,), np.float32)
    low, high = action_map(space).to_env(np.array([[-1.0], [1.0]], np.float32))
    assert space.contains(low)
    assert space.contains(high)
    assert (low[0], high[0]) == pytest.approx(ends)


def test_an_integer_box_that_is_too_wide_is_refused():
    action_map(gs.Box(1, MAX_CHOICES, (2,), np.int32))
    for high in (MAX_CHOICES, np.iinfo(np.int32).max):
        with pytest.raises(ValueError, match=rf"^has {high + 1:,} integers in an element, more than .*; write"):
            action_map(gs.Box(0, high, (2,), np.int32))
    with pytest.raises(ValueError, match=r"^has 18,446,744,073,709,551,616 integers in an element"):
        action_map(gs.Box(np.iinfo(np.int64).min, np.iinfo(np.int64).max, (1,), np.int64))


def test_a_space_with_parts_is_refused():
    with pytest.raises(ValueError, match="has parts; rllab acts in Discrete, MultiDiscrete, MultiBinary and Box"):
        action_map(gs.Dict({"a": gs.Discrete(2)}))


def test_a_person_is_told_what_is_not_rescaled():
    assert action_map(gs.Box(-1, 1, (2,))).note is None
    assert action_map(gs.Box(0, INF, (2,))).note.startswith("actions have no two usable bounds")
    assert action_map(box([0, -1], [INF, 1])).note.startswith("elements [0] of the actions have no two usable bounds")
    assert action_map(gs.Box(0, 4, (2,), np.int32)).note == (
        "actions Box(0, 4, (2,), int32) are choices: one of 5 for each element"
    )


@pytest.mark.parametrize(
    ("space", "plain"),
    [
        (gs.Discrete(3), True),
        (gs.MultiDiscrete([2, 3]), True),
        (gs.MultiDiscrete([2, 3], np.int32), False),
        (gs.MultiBinary(3), False),  # its members have 8 bits, an agent's actions 64
        (gs.Box(-1, 1, (2,)), False),  # an agent's may be outside
    ],
    ids=str,
)
def test_which_spaces_take_actions_as_they_are(space, plain):
    found = action_map(space)
    assert found.is_identity == plain
    assert found.to_env(np.ones((1, *found.agent_space.shape), np.int64)).dtype == space.dtype


def test_plain_spaces_are_not_wrapped():
    made = envs.make(EnvConfig(id="CartPole-v1", num_envs=2), num_sessions=1)
    assert "AgentActions" not in str(made.vector)
    made.close()


def test_the_vector_env_acts_in_the_agents_space():
    config = EnvConfig(id="Pendulum-v1", num_envs=2)
    made = envs.make(config, num_sessions=1)
    layer = made.vector
    while not isinstance(layer, AgentActions):
        layer = layer.env
    assert made.action_space == gs.Box(-1, 1, (1,))
    assert layer.action_space.shape == (2, 1)
    assert len(list(iterate(layer.action_space, np.zeros((2, 1))))) == 2
    made.close()


@pytest.mark.parametrize(
    ("space", "why"),
    [
        (gs.Box(-1, 1, (0,)), "has no elements"),
        (gs.Box(2**63, 2**63 + 5, (1,), np.uint64), "has integers beyond 64 bits"),
    ],
)
def test_what_nobody_can_choose_is_refused(space, why):
    with pytest.raises(ValueError, match=f"^{why}"):
        action_map(space)


def test_a_box_with_one_bound_begins_where_it_is_nearest_to_zero():
    for space, actions, expected in (
        (gs.Box(5, INF, (1,)), [[0], [2], [-1]], [[5], [7], [5]]),
        (gs.Box(-INF, -30, (1,)), [[0], [-2], [1]], [[-30], [-32], [-30]]),
        (gs.Box(-3, INF, (1,)), [[0], [-9]], [[0], [-3]]),
    ):
        found = action_map(space)
        assert found.to_env(np.array(actions, np.float32)).tolist() == expected
    assert action_map(gs.Box(5, INF, (1,))).agent_space == gs.Box(0, INF, (1,))
