import gymnasium.spaces as gs
import numpy as np
import pytest
import torch
from torch import nn

from rllab.nets.actor_critic import ActorCritic
from rllab.nets.distributions import make_distribution
from rllab.nets.greedy import GreedyPolicy
from rllab.optim.flat import FlatParameters

OBS = gs.Box(-np.inf, np.inf, (4,))
THREE = gs.Discrete(3)
IMAGE = gs.Box(0, 255, (2, 3), np.uint8)
USER = f"{__name__}:Torso"


class Torso(nn.Module):
    """A network of a user, built with the observation space."""

    def __init__(self, obs_space):
        super().__init__()
        self.linear = nn.Linear(int(np.prod(obs_space.shape)), 6)

    def forward(self, x):
        return torch.tanh(self.linear(x.flatten(1)))


class NoFeatures(nn.Module):
    """Forgets the batch axis."""

    def __init__(self, _obs_space):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.scale * x.sum()


@pytest.fixture
def make_net(make_generators, randomized):
    def make(num_sessions=2, *, obs_space=OBS, action_space=THREE, random=True, seed=0, **kwargs):
        distribution = make_distribution(action_space, num_sessions=num_sessions)
        net = ActorCritic(
            obs_space,
            distribution,
            generators=make_generators(num_sessions, seed),
            **{"hidden": [8, 8]} | kwargs,
        )
        if random:
            randomized(net)
        return net

    return make


def set_statistics(net):
    net.obs_norm.update(torch.randn(2, 50, *net.obs_norm.mean.shape[2:]) * 5 + 3, torch.ones(2, 50))


@pytest.mark.parametrize("network", ["mlp", USER])
@pytest.mark.parametrize("shared", [False, True])
def test_a_loss_of_one_head_moves_that_head_and_its_torso(make_net, network, shared):
    net = make_net(network=network, shared=shared)
    flat = FlatParameters(net)
    x = torch.randn(2, 5, 4)
    outputs, value = net(x)
    torch.testing.assert_close(outputs, net.actor_head(net.actor_torso(x)))
    torch.testing.assert_close(value, net.critic_head(net.critic_torso(x)).squeeze(-1))
    torch.testing.assert_close(net.policy(x), outputs)
    for head in ("actor", "critic"):
        flat.grad.fill_(float("nan"))
        outputs, value = net(x)
        flat.backward(outputs.square().sum((1, 2)) if head == "actor" else value.sum(1))
        learning = {f"{head}_head", "actor_torso" if shared else f"{head}_torso"}
        assert {n.split(".")[0] for n, p in net.named_parameters() if p.grad.any()} == learning
        assert flat.grad.isfinite().all()


def test_shared_means_one_torso(make_net):
    shared, separate = make_net(shared=True), make_net()
    assert shared.critic_torso is shared.actor_torso
    assert not torch.equal(separate.critic_torso.weight_0, separate.actor_torso.weight_0)
    torso = sum(p.numel() for p in separate.actor_torso.parameters())
    counts = [sum(p.numel() for p in net.parameters()) for net in (separate, shared)]
    assert counts[0] - counts[1] == torso


@torch.no_grad()
def test_sessions_are_independent_and_the_same_in_any_number(make_net):
    one, three = make_net(1, random=False), make_net(3, random=False)
    x = torch.randn(3, 5, 4)
    for a, b in zip(one(x[:1]), three(x), strict=True):
        torch.testing.assert_close(a[0], b[0], rtol=1e-6, atol=1e-7)
    before = three.policy(x)
    FlatParameters(three).data[1] += 1
    after = three.policy(x)
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [True, False, True]


@torch.no_grad()
def test_the_first_policy_is_nearly_uniform(make_net):
    net = make_net(random=False)
    outputs, value = net(torch.randn(2, 50, 4))
    assert outputs.abs().max() < 0.1
    assert value.abs().max() > 0.1


@torch.no_grad()
@pytest.mark.parametrize("obs_space", [OBS, IMAGE])
@pytest.mark.parametrize("normalize_obs", [False, True])
def test_host_policy_equals_the_network(make_net, obs_space, normalize_obs):
    net = make_net(obs_space=obs_space, normalize_obs=normalize_obs)
    FlatParameters(net)
    host = net.host_policy()
    if normalize_obs:
        set_statistics(net)
    obs_space.seed(0)
    obs = np.stack([[obs_space.sample() for _ in range(5)] for _ in range(2)])
    expected = net.policy(net.normalize(torch.from_numpy(obs)))
    np.testing.assert_allclose(host(obs), expected.numpy(), rtol=1e-4, atol=1e-4)


def test_a_user_network_has_no_host_policy_but_works(make_net):
    net = make_net(network=USER, obs_space=gs.Box(-1, 1, (2, 3)))
    assert net.host_policy() is None
    x = net.normalize(torch.randn(2, 5, 2, 3))
    assert x.shape == (2, 5, 2, 3)  # a user's module gets the observation as it is
    assert net.policy(x).shape == (2, 5, 3)
    assert not torch.equal(net.policy(x[[0, 0]])[0], net.policy(x[[0, 0]])[1])


@pytest.mark.parametrize(
    "network",
    [
        "mpl",
        "no_such_package:Net",
        f"{__name__}:NoSuchClass",
        f"{__name__}:",
        ":Torso",
        f"{__name__}:NoFeatures",
    ],
)
def test_an_unusable_network_is_one_line_that_names_the_field(make_net, network):
    with pytest.raises(ValueError, match=r"^agent\.network: got ") as caught:
        make_net(network=network)
    assert repr(network) in str(caught.value)
    assert "\n" not in str(caught.value)


@torch.no_grad()
@pytest.mark.parametrize("network", ["mlp", USER])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("action_space", [gs.Discrete(3), gs.Box(-1, 1, (2,)), gs.MultiBinary(3)])
def test_greedy_policy_is_the_mode_of_its_session(make_net, network, shared, action_space):
    net = make_net(network=network, shared=shared, action_space=action_space, normalize_obs=True)
    FlatParameters(net)
    set_statistics(net)
    obs = torch.randn(2, 20, 4) * 5 + 3
    expected = net.distribution.mode(net.policy(net.normalize(obs)))
    for session in range(2):
        policy = GreedyPolicy(net, session, ActorCritic.greedy)
        torch.testing.assert_close(policy(obs[session])[0], expected[session], rtol=1e-5, atol=1e-6)
        assert all(x.shape[0] == 1 for x in policy.state_dict().values())
        torch.testing.assert_close(policy.net.obs_norm.mean[0], net.obs_norm.mean[session])


@torch.no_grad()
def test_greedy_policy_is_a_copy(make_net):
    net = make_net(action_space=gs.Box(-1, 1, (2,)), normalize_obs=True)
    flat = FlatParameters(net)
    policy, obs = GreedyPolicy(net, 1, ActorCritic.greedy), torch.randn(7, 4)
    before, _ = policy(obs)
    flat.data += 1
    set_statistics(net)
    assert torch.equal(policy(obs)[0], before)
    assert not torch.equal(GreedyPolicy(net, 1, ActorCritic.greedy)(obs)[0], before)


@torch.no_grad()
def test_state_dict_carries_the_normaliser(make_net):
    first, second = make_net(normalize_obs=True), make_net(normalize_obs=True, random=False, seed=1)
    set_statistics(first)
    second.load_state_dict(first.state_dict())
    obs = torch.randn(2, 5, 4)
    assert torch.equal(first.policy(first.normalize(obs)), second.policy(second.normalize(obs)))
