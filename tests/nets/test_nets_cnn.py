import gymnasium.spaces as gs
import numpy as np
import pytest
import torch
from torch import nn

from rllab.nets.actor_critic import ActorCritic
from rllab.nets.cnn import CNN, LAYOUTS, output_shapes
from rllab.nets.distributions import make_distribution
from rllab.nets.greedy import GreedyPolicy
from rllab.nets.images import axes_of
from rllab.nets.mlp import MLP
from rllab.nets.torsos import choose_network, make_torso, num_activations
from rllab.optim.flat import FlatParameters

ATARI = (4, 84, 84)
SMALL = (2, 12, 12)


def bytes_of(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def image_space(*shape):
    return gs.Box(0, 255, shape, np.uint8)


@pytest.fixture
def make_cnn(make_generators, randomized):
    def make(num_sessions=2, *, shape=SMALL, name="cnn_small", random=True, seed=0):
        cnn = CNN(shape, axes_of(shape), LAYOUTS[name], generators=make_generators(num_sessions, seed))
        if random:
            randomized(cnn)
        return cnn

    return make


def nature(num_features=512):
    """As torch has it, for one session."""
    convs = nn.Conv2d(4, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(), nn.Conv2d(64, 64, 3, 1), nn.ReLU()
    return nn.Sequential(*convs, nn.Flatten(), nn.Linear(64 * 7 * 7, num_features), nn.ReLU())


def test_every_session_is_what_torch_makes_of_its_parameters(make_cnn):
    cnn = make_cnn(shape=ATARI, name="cnn").double()
    x, grad = bytes_of(2, 3, *ATARI), torch.randn(2, 3, 512, dtype=torch.float64)
    flat = FlatParameters(cnn)
    features = cnn(x)
    flat.backward((features * grad).sum((1, 2)))
    for session in range(2):
        module = nature().double()
        ours = [p for conv in zip(cnn.weights, cnn.biases, strict=True) for p in conv] + list(cnn.dense.parameters())
        with torch.no_grad():
            for theirs, parameter in zip(module.parameters(), ours, strict=True):
                theirs.copy_(parameter[session].reshape(theirs.shape))
        expected = module(x[session].double() / 255)
        torch.testing.assert_close(features[session], expected)
        expected.backward(grad[session])
        for theirs, parameter in zip(module.parameters(), ours, strict=True):
            torch.testing.assert_close(parameter.grad[session].reshape(theirs.shape), theirs.grad)


def test_convolution_and_its_gradient_by_hand():
    # one 2 x 2 image [[51, 102], [153, 204]] / 255 = [[.2, .4], [.6, .8]], filter of ones: 2, and 1.5 with bias -.5
    cnn = CNN((1, 2, 2), "CHW", LAYOUTS["cnn_small"], generators=[torch.Generator()])
    cnn.convs = cnn.convs[:1]
    cnn.convs = (cnn.convs[0]._replace(channels=1, kernel=2, stride=1, padding=0),)
    cnn.weights = nn.ParameterList([torch.ones(1, 1, 1, 2, 2)])
    cnn.biases = nn.ParameterList([torch.full((1, 1), -0.5)])
    cnn.dense = MLP([1, 1], generators=[torch.Generator()], activation="relu", activate_last=True)
    with torch.no_grad():
        cnn.dense.weight_0.fill_(3.0)
    flat = FlatParameters(cnn)
    features = cnn(torch.tensor([51, 102, 153, 204], dtype=torch.uint8).view(1, 1, 1, 2, 2))
    assert features.item() == pytest.approx(4.5)
    flat.backward(features.flatten())  # 3 reaches the convolution: 3 * [[.2, .4], [.6, .8]]
    torch.testing.assert_close(cnn.weights[0].grad.flatten(), torch.tensor([0.6, 1.2, 1.8, 2.4]))
    assert cnn.biases[0].grad.item() == pytest.approx(3)


@torch.no_grad()
def test_bytes_are_scaled_and_other_numbers_are_not(make_cnn):
    cnn, x = make_cnn(), bytes_of(2, 3, *SMALL)
    before = x.clone()
    scaled = x.float() / 255
    torch.testing.assert_close(cnn(x), cnn(scaled))
    assert torch.equal(x, before)
    torch.testing.assert_close(scaled, x.float() / 255)


@torch.no_grad()
def test_channels_may_come_last(make_cnn):
    first, last = make_cnn(shape=(3, 12, 14)), make_cnn(shape=(12, 14, 3))
    x = bytes_of(2, 5, 3, 12, 14)
    torch.testing.assert_close(last(x.movedim(2, -1)), first(x))


@torch.no_grad()
@pytest.mark.parametrize("name", LAYOUTS)
def test_sessions_start_orthogonal_and_each_from_its_own_stream(make_cnn, name):
    one, four = (make_cnn(n, name=name, shape=(4, 40, 40), random=False) for n in (1, 4))
    x = bytes_of(4, 3, 4, 40, 40)
    for a, b in zip(one.parameters(), four.parameters(), strict=True):
        assert torch.equal(a[0], b[0])
        assert not b.any() or not torch.equal(b[0], b[1])
    for weight in four.weights:
        rows = weight[2].flatten(1)  # more columns than rows: rows are orthogonal, of length sqrt 2
        torch.testing.assert_close(rows @ rows.T, 2 * torch.eye(len(rows)), rtol=0, atol=1e-4)
    torch.testing.assert_close(one(x[:1])[0], four(x)[0], rtol=1e-5, atol=1e-6)
    before = four(x)
    FlatParameters(four).data[1] += 1
    after = four(x)
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [True, False, True, True]


def test_gradients_of_one_session_do_not_see_another(make_cnn):
    grads = []
    for scale in (1, 5):
        torch.manual_seed(0)
        cnn = make_cnn(3)
        flat = FlatParameters(cnn)
        x, grad = bytes_of(3, 4, *SMALL), torch.randn(3, 4, 128)
        grad[2] *= scale
        flat.backward((cnn(x) * grad).sum((1, 2)))
        grads.append(flat.grad)
    assert torch.equal(grads[0][:2], grads[1][:2])
    assert not torch.equal(grads[0][2], grads[1][2])


@torch.no_grad()
def test_state_round_trip(make_cnn):
    first, second = make_cnn(), make_cnn(random=False, seed=1)
    FlatParameters(second)
    second.load_state_dict(first.state_dict())
    x = bytes_of(2, 3, *SMALL)
    assert torch.equal(first(x), second(x))


def test_shapes_of_the_layers():
    assert output_shapes(ATARI, LAYOUTS["cnn"]) == [(32, 20, 20), (64, 9, 9), (64, 7, 7)]
    assert output_shapes((3, 210, 160), LAYOUTS["cnn"])[-1] == (64, 22, 16)
    assert output_shapes((1, 1, 1), LAYOUTS["cnn_small"])[-1] == (32, 1, 1)
    # 84 * 84 * 4 + 32 * 400 + 64 * 81 + 64 * 49 + 512
    assert num_activations("auto", image_space(*ATARI), hidden=[64]) == 28224 + 12800 + 5184 + 3136 + 512
    assert num_activations("auto", gs.Box(-1, 1, (4,)), hidden=[64, 32]) == 4 + 64 + 32


def test_auto_is_a_convolutional_network_for_images_and_an_mlp_otherwise():
    spaces = [
        (image_space(*ATARI), "cnn"),
        (image_space(210, 160, 3), "cnn"),
        (image_space(1, 36, 36), "cnn"),
        (image_space(1, 35, 36), "cnn_small"),
        (image_space(128), "mlp"),
        (gs.Box(-1, 1, (4,)), "mlp"),
        (gs.Box(0, 1, (3, 84, 84)), "cnn"),
        (gs.Box(0, 255, (3, 84, 84)), "auto"),  # numbers, not pixels: refused
    ]
    assert [choose_network("auto", space) for space, _ in spaces] == [network for _, network in spaces]
    assert choose_network("cnn_small", image_space(*ATARI)) == "cnn_small"


@pytest.mark.parametrize(
    ("network", "space", "word"),
    [
        ("cnn", gs.Box(-1, 1, (4,)), "agent.network=mlp"),
        ("cnn_small", gs.Box(0, 255, (2, 4, 3, 9, 9), np.uint8), "agent.network=mlp"),
        ("cnn", image_space(4, 35, 84), "agent.network=cnn_small"),
    ],
)
def test_a_network_that_takes_no_such_observations_is_refused(make_generators, network, space, word):
    with pytest.raises(ValueError, match=r"^agent\.network: got ") as caught:
        make_torso(network, space, make_generators(1), hidden=[8], activation="tanh")
    assert str(caught.value).endswith(f"write {word}")
    assert "\n" not in str(caught.value)


@pytest.fixture
def make_net(make_generators, randomized):
    def make(num_sessions=2, *, obs_space=image_space(*SMALL), **kwargs):  # noqa: B008
        distribution = make_distribution(gs.Discrete(3), num_sessions=num_sessions)
        net = ActorCritic(obs_space, distribution, generators=make_generators(num_sessions), hidden=[8], **kwargs)
        randomized(net)
        return net

    return make


class Pixels(nn.Module):
    """A user's, that scales by itself."""

    def __init__(self, obs_space):
        super().__init__()
        self.linear = nn.Linear(int(np.prod(obs_space.shape)), 6)

    def forward(self, x):
        assert x.dtype == torch.float32
        return torch.tanh(self.linear(x.flatten(1) / 255))


@pytest.mark.parametrize("network", ["auto", "mlp", f"{__name__}:Pixels"])
@pytest.mark.parametrize("shared", [False, True])
def test_images_stay_bytes_until_the_network(make_net, network, shared):
    net = make_net(network=network, shared=shared)
    flat = FlatParameters(net)
    obs = bytes_of(2, 5, *SMALL)
    x = net.normalize(obs)
    assert x.dtype == torch.uint8
    assert x.data_ptr() == obs.data_ptr()
    outputs, value = net(x)
    torch.testing.assert_close(net.policy(x), outputs)
    flat.backward(outputs.square().sum((1, 2)) + value.sum(1))
    assert flat.grad.isfinite().all()
    assert flat.grad.any()
    if network == "auto":
        assert isinstance(net.actor_torso, CNN)
    assert (net.host_policy() is None) == (network != "mlp")


@torch.no_grad()
@pytest.mark.parametrize("shared", [False, True])
def test_greedy_policy_is_the_mode_of_its_session(make_net, shared):
    net = make_net(3, shared=shared)
    FlatParameters(net)
    obs = bytes_of(3, 20, *SMALL)
    expected = net.distribution.mode(net.policy(net.normalize(obs)))
    assert len(expected.unique()) > 1
    for session in range(3):
        policy = GreedyPolicy(net, session, ActorCritic.greedy)
        assert torch.equal(policy(obs[session])[0], expected[session])
        assert all(x.shape[0] == 1 for x in policy.state_dict().values())


@torch.no_grad()
def test_a_normaliser_makes_numbers_of_images(make_net):
    net = make_net(network="mlp", normalize_obs=True)
    assert net.normalize(bytes_of(2, 5, *SMALL)).dtype == torch.float32
