import gymnasium.spaces as gs
import numpy as np
import pytest
import torch

from rllab.nets.greedy import GreedyPolicy
from rllab.nets.q_network import QNetwork, aggregate
from rllab.optim.flat import FlatParameters
from rllab.random.exploration import Exploration
from rllab.random.streams import Streams


def make_net(**options):
    generators = Streams(0, 2, "weights").generators
    net = QNetwork(gs.Box(-1, 1, (3,)), 4, generators=generators, hidden=[8], **options)
    FlatParameters(net)
    return net


def test_dueling_aggregation_by_hand():
    # value 10, advantages 1, 2, 6 with mean 3
    assert aggregate(torch.tensor([[[10.0, 1.0, 2.0, 6.0]]])).tolist() == [[[8.0, 9.0, 13.0]]]


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("num_quantiles", [1, 5])
@torch.no_grad()
def test_values_in_torch_in_numpy_and_of_the_policy(dueling, num_quantiles):
    net = make_net(dueling=dueling, num_quantiles=num_quantiles)
    obs = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1))
    outputs = net.head(net.torso(obs)).view(2, 6, -1, num_quantiles)
    values = net(obs)
    torch.testing.assert_close(values, aggregate(outputs) if dueling else outputs)
    mean = values.mean(-1)
    host = torch.from_numpy(net.host()(obs.numpy()))
    torch.testing.assert_close(host - host.mean(-1, keepdim=True), mean - mean.mean(-1, keepdim=True))
    assert torch.equal(GreedyPolicy(net, 1, QNetwork.greedy)(obs[1])[0], mean[1].argmax(-1))


def choices(kind, q, level, steps=3000, num_sessions=2):
    exploration = Exploration(kind, Streams(0, num_sessions, "action"), 4, 3)
    return np.stack([exploration.choose(np.tile(np.float32(q), (num_sessions, 4, 1)), level) for _ in range(steps)])


def test_epsilon_greedy_throws_a_coin_for_each_sub_env():
    chosen = choices("epsilon_greedy", [0, 5, 1], 0.3)
    np.testing.assert_allclose(np.bincount(chosen.ravel()) / chosen.size, [0.1, 0.8, 0.1], atol=0.01)
    greedy = (chosen == 1).mean(2)  # of the four sub-envs at one step: with one coin for all they would agree
    assert 0.3 < (greedy == 1).mean() < 0.6
    assert (choices("epsilon_greedy", [0, 5, 1], 0.0, 10) == 1).all()


def test_boltzmann_draws_from_the_softmax():
    chosen = choices("boltzmann", [0, 2 * np.log(2), 2 * np.log(5)], 2.0)  # 1 : 2 : 5
    np.testing.assert_allclose(np.bincount(chosen.ravel()) / chosen.size, [1 / 8, 2 / 8, 5 / 8], atol=0.01)
    assert (choices("boltzmann", [0, 5, 1], 0.0, 10) == 1).all()


@pytest.mark.parametrize("kind", ["epsilon_greedy", "boltzmann"])
def test_infinity_is_uniform_and_sessions_draw_their_own(kind):
    chosen = choices(kind, [0, 5, 1], np.inf)
    np.testing.assert_allclose(np.bincount(chosen.ravel()) / chosen.size, [1 / 3] * 3, atol=0.01)
    assert np.array_equal(chosen[:, :1], choices(kind, [0, 5, 1], np.inf, num_sessions=1))
    assert not np.array_equal(chosen[:, 0], chosen[:, 1])
