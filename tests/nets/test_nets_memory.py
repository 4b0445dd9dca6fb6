"""Memory of S sessions: torch's own layers, begun anew with each episode; step by step the same, in torch and numpy."""

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch
from torch import nn

from rllab.nets.actor_critic import ActorCritic, check_actor_critic
from rllab.nets.distributions import make_distribution
from rllab.nets.greedy import GreedyPolicy
from rllab.nets.memory import Memory, MemoryLayout, Past

S, T, N = 2, 9, 3
KINDS = [(kind, layers) for kind in ("lstm", "gru") for layers in (1, 2)]


def make(kind, layers, make_generators, randomized, dtype=torch.float64):
    memory = Memory(MemoryLayout(kind, 5, layers, "after"), 4, generators=make_generators(S)).to(dtype)
    randomized(memory)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(S, T * N, 4, generator=generator, dtype=dtype)
    state = {
        name: torch.randn(S, N, *shape, generator=generator, dtype=dtype).requires_grad_()
        for name, shape in memory.layout.state_shapes.items()
    }
    starts = (torch.rand(S, T, N, generator=generator) < 0.3).to(dtype)
    starts[0, 0] = torch.tensor([1, 0, 0])  # in the first row too
    return memory, x.requires_grad_(), Past(state, starts)


def one_by_one(memory, x, past):
    """Each episode of each sub-env by torch's module of one session: outputs `[S, T, N, size]`, states at the end."""
    layout, outputs = memory.layout, torch.zeros(S, T, N, memory.layout.size, dtype=x.dtype)
    after = {name: [] for name in past.state}
    for s in range(S):
        module = {"lstm": nn.LSTM, "gru": nn.GRU}[layout.kind](4, layout.size, layout.num_layers).double()
        parameters = {
            f"{name[:9].rstrip('_') if name.startswith('weight') else name[:7]}_l{name[-1]}": each[s]
            for name, each in memory.named_parameters()
        }
        for n in range(N):
            begins = past.starts[s, :, n].nonzero().flatten().tolist()
            cuts = sorted({0, *begins})
            for begin, end in zip(cuts, [*cuts[1:], T], strict=True):
                given = [each[s, n].unsqueeze(1) * (begin not in begins) for each in past.state.values()]
                if begin:
                    given = [torch.zeros_like(each) for each in given]
                given = tuple(given) if layout.kind == "lstm" else given[0]
                episode = x.view(S, T, N, -1)[s, begin:end, n].unsqueeze(1)
                y, state = torch.func.functional_call(module, parameters, (episode, given))
                outputs[s, begin:end, n] = y[:, 0]
            for name, each in zip(after, state if layout.kind == "lstm" else [state], strict=True):
                after[name].append(each[:, 0])
    return outputs, {name: torch.stack(each).view(S, N, *each[0].shape) for name, each in after.items()}


@pytest.mark.parametrize(("kind", "layers"), KINDS)
def test_sequences_are_episodes_one_by_one_and_so_are_gradients(kind, layers, make_generators, randomized):
    memory, x, past = make(kind, layers, make_generators, randomized)
    inputs = [x, *past.state.values(), *memory.parameters()]
    found = []
    for flat, after in (memory(x, past), one_by_one(memory, x, past)):
        y = flat.reshape(S, T, N, -1)
        weights = torch.arange(y.numel(), dtype=y.dtype).view(y.shape).cos()
        loss = (y * weights).sum() + sum(each.square().sum() for each in after.values())
        found.append([y, *after.values(), *torch.autograd.grad(loss, inputs)])
    for mine, reference in zip(*found, strict=True):
        torch.testing.assert_close(mine, reference)


@pytest.mark.parametrize(("kind", "layers"), KINDS)
def test_side_by_side_they_are_the_same(kind, layers, make_generators, randomized):
    memory, x, past = make(kind, layers, make_generators, randomized)
    inputs, found = [x, *past.state.values(), *memory.parameters()], []
    for goes_on in (True, False):
        y, after = memory(x, past, goes_on=goes_on)
        weights = torch.arange(y.numel(), dtype=y.dtype).view(y.shape).cos()
        found.append([y, *torch.autograd.grad((y * weights).sum(), inputs)])
    assert after == {}
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("kind", "layers"), KINDS)
def test_steps_make_the_sequence_in_torch_and_in_numpy(kind, layers, make_generators, randomized):
    memory, x, past = make(kind, layers, make_generators, randomized, torch.float32)
    with torch.no_grad():
        y, after = memory(x, past)
        state = host_state = {name: each.detach() for name, each in past.state.items()}
        host = memory.host()
        for t in range(T):
            row, starts = x.view(S, T, N, -1)[:, t], past.starts[:, t]
            one, state = memory(row, Past(state, starts.unsqueeze(1)))
            host_one, host_state = host(row.numpy(), host_state, starts.numpy())
            torch.testing.assert_close(one, y.view(S, T, N, -1)[:, t])
            np.testing.assert_allclose(host_one, one.numpy(), rtol=1e-4, atol=1e-6)
    for each in (state, host_state):
        torch.testing.assert_close(each, after, rtol=1e-4, atol=1e-6)


def test_the_beginning_is_zero_and_gates_keep_what_is_remembered(make_generators):
    memory = Memory(MemoryLayout("lstm", 5, 1, "after"), 4, generators=make_generators(S))
    x, starts = torch.randn(S, N, 4), torch.zeros(S, 1, N)
    zeros = {name: torch.zeros(S, N, 1, 5) for name in "hc"}
    assert torch.equal(memory(x, Past({}, starts))[0], memory(x, Past(zeros, starts))[0])
    assert memory.bias_ih_0.tolist() == [[0.0] * 5 + [1.0] * 5 + [0.0] * 10] * S
    for gate in memory.weight_hh_0.view(S * 4, 5, 5):
        torch.testing.assert_close(gate @ gate.T, torch.eye(5))
    alone = Memory(MemoryLayout("lstm", 5, 1, "after"), 4, generators=make_generators(S)[1:])
    assert all(torch.equal(a[1:], b) for a, b in zip(memory.parameters(), alone.parameters(), strict=True))


def net_of(make_generators, at="after", obs_space=None, **options):
    box = gs.Box(-1.0, 1.0, (4,)) if obs_space is None else obs_space
    distribution = make_distribution(gs.Discrete(3), num_sessions=S)
    layout = MemoryLayout("lstm", 5, 1, at)
    return ActorCritic(box, distribution, generators=make_generators(S), hidden=[6], memory=layout, **options)


@pytest.mark.parametrize("at", ["after", "before"])
@pytest.mark.parametrize("shared", [False, True])
def test_a_rollout_in_pieces_is_the_rollout(make_generators, randomized, at, shared):
    net = net_of(make_generators, at, shared=shared)
    randomized(net)
    x, starts = torch.randn(S, (8 + 1) * N, 4), (torch.rand(S, 8, N) < 0.3).float()
    outputs, value, states = net.unroll(x, Past({}, starts), 8)
    assert len(states) == 2
    in_pieces = net.unroll(x, Past({}, starts), 2)
    torch.testing.assert_close(in_pieces[:2], (outputs, value))
    torch.testing.assert_close(in_pieces[2][-1], states[1])
    again = net(x[:, 4 * N : 6 * N], Past(in_pieces[2][2], starts[:, 4:6]))
    torch.testing.assert_close(again, (outputs[:, 4 * N : 6 * N], value[:, 4 * N : 6 * N]))
    whole = torch.cat([starts, torch.zeros(S, 1, N)], 1)  # the successors are one more step
    torch.testing.assert_close(net(x, Past({}, whole)), (outputs, value))


@pytest.mark.parametrize("at", ["after", "before"])
@pytest.mark.parametrize("normalize_obs", [False, True])
def test_a_session_alone_acts_as_among_others_in_torch_and_in_numpy(make_generators, randomized, at, normalize_obs):
    net = net_of(make_generators, at, gs.Box(-1.0, 1.0, (2, 2)), network="mlp", normalize_obs=normalize_obs)
    randomized(net)
    host, policies, alone = net.host_step(), [GreedyPolicy(net, s, ActorCritic.greedy) for s in range(S)], [{}] * S
    state = host_state = {}
    for t in range(4):
        obs, starts = torch.randn(S, N, 2, 2), (torch.rand(S, N) < 0.3) | (t == 0)
        with torch.no_grad():
            past = Past(state, starts.float().unsqueeze(1))
            outputs, _ = net.policy_step(net.normalize(obs), past)
            action, state = net.greedy_step(obs, past)
        host_outputs, host_state = host(obs.numpy(), host_state, starts.numpy().astype(np.float32))
        np.testing.assert_allclose(host_outputs, outputs.numpy(), rtol=1e-4, atol=1e-5)
        for s, policy in enumerate(policies):
            one, alone[s] = policy(obs[s], alone[s], starts[s])
            assert torch.equal(one, action[s])
            torch.testing.assert_close(alone[s], {name: each[s] for name, each in state.items()})


def test_images_come_before_the_memory(make_generators):
    image = gs.Box(0, 255, (2, 10, 10), np.uint8)
    net = net_of(make_generators, obs_space=image)
    assert net.host_step() is None
    outputs, value = net(torch.zeros(S, 2 * N, 2, 10, 10, dtype=torch.uint8), Past({}, torch.zeros(S, 2, N)))
    assert outputs.shape == (S, 2 * N, 3)
    assert value.shape == (S, 2 * N)
    before = MemoryLayout("lstm", 5, 1, "before")
    with pytest.raises(ValueError, match=r"^agent.memory_at: got 'before' for images \(2, 10, 10\),") as got:
        check_actor_critic(image, network="auto", normalize_obs=False, memory=before)
    assert str(got.value).endswith("write agent.memory_at=after")
    check_actor_critic(image, network="mlp", normalize_obs=False, memory=before)  # which takes it as a vector
