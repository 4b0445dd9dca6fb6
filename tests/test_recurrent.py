"""Agents with a memory: what they learn from, against episodes one by one; sessions, resume, workers, refusals."""

import copy
import dataclasses
import itertools

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch

from rllab import algorithms, checkpoint
from rllab.algorithms import Acting, Task
from rllab.buffers.minibatches import sequence_minibatches
from rllab.functional.reductions import by_session
from rllab.nets.compiled import NotCompiledError, compile_networks
from rllab.nets.memory import Past
from rllab.play import player
from rllab.training import trial

pytestmark = pytest.mark.usefixtures("no_picture")

AGENTS = ["ppo", "a2c", "reinforce"]
S, N, T = 2, 4, 8


def make_agent(name, num_sessions=S, **overrides):
    algorithm = algorithms.find(name)
    settings = {"memory": "lstm", "memory_size": 5, "hidden": [6], "num_steps": T} | overrides
    if name == "ppo":
        settings = {"num_minibatches": 2, "num_epochs": 2} | settings
    spaces = gs.Box(-1, 1, (3,)), gs.Discrete(2)
    return algorithm(algorithm.Config(**settings), Task(*spaces, num_sessions, N, 10_000), seed=0)


class Play:
    """Acts and stores as the loop does, in an env whose every session and step has noise of its own."""

    def __init__(self, agent, reward_of_last=1.0):
        self.agent, self.acting, self.buffer = agent, Acting(agent, explore=True), agent.make_buffer()
        self.shape = agent.task.num_sessions, agent.task.num_envs
        self.starts, self.done = np.ones(self.shape, bool), np.zeros(self.shape, bool)
        self.step, self.reward_of_last = 0, reward_of_last
        self.history = []  # obs, starts, terminated, truncated of each step

    def noise(self, step, *more):
        return np.stack([np.random.default_rng((s, step)).normal(size=(N, *more)) for s in range(self.shape[0])])

    def rollout(self):
        for _ in range(self.agent.rollout_steps):
            obs, next_obs = (self.noise(t, 3).astype(np.float32) for t in (self.step, self.step + 1))
            action, extras = self.acting.step(obs, self.starts)
            ends = self.noise(self.step + 1000)
            terminated, truncated = (ends < -1.2) & ~self.done, (ends > 1.2) & ~self.done
            reward = self.noise(self.step + 2000)
            reward[-1] *= self.reward_of_last
            self.buffer.add(obs, action, reward, terminated, truncated, next_obs, extras)
            self.history.append((obs, self.starts, terminated, truncated, reward))
            self.starts, self.done = self.done, terminated | truncated
            self.step += 1
        return self.buffer.tensors("cpu")

    def update(self):
        return self.agent.update(self.buffer, self.step * N)


def episode_by_episode(play, net, gamma, gae_lambda, first=0):
    """Outputs, value and advantage of each valid row, by a loop over steps, in float64; `[session, step, env]`.

    Gradients go back to the step `first`.
    """
    history, last_obs = play.history, play.noise(play.step, 3).astype(np.float32)
    found = {}
    for s, n in itertools.product(range(S), range(N)):
        state, rows = {}, []
        for t, obs in enumerate([*(row[0] for row in history), last_obs]):
            if t < len(history) and history[t][1][s, n]:
                state = {}
            if t == first:
                state = {name: each.detach() for name, each in state.items()}
            x = torch.from_numpy(obs[:, n : n + 1]).double()
            outputs, value, state = net._remember(x, Past(state, torch.zeros(S, 1, 1)))
            rows.append((outputs[s, 0], value[s, 0]))
        following = 0.0
        for t in reversed(range(len(history))):
            _, _, terminated, truncated, reward = (each[s, n] for each in history[t])
            if t and (history[t - 1][2] | history[t - 1][3])[s, n]:  # it only resets
                continue
            value, after = rows[t][1].item(), rows[t + 1][1].item()
            following = (
                reward
                + gamma * after * (not terminated)
                - value
                + gamma * gae_lambda * following * (not (terminated or truncated))
            )
            found[s, t, n] = *rows[t], following
    return found


@pytest.mark.parametrize(("kind", "length"), [("lstm", None), ("lstm", 2), ("gru", 4)])
def test_what_ppo_prepares_is_what_episodes_say_one_by_one(kind, length):
    agent = make_agent("ppo", memory=kind, memory_length=length, lr=0.0, gamma=0.9, gae_lambda=0.8)
    play = Play(agent)
    play.rollout()
    play.update()  # at a rate of 0; what is remembered goes on
    batch, _ = agent._prepare(play.rollout())
    assert sum(row[3].sum() for row in play.history) > 4  # some were truncated
    batch = {name: each.view(S, T, N, -1).squeeze(-1) for name, each in batch.items()}
    rows = {key: row for key, row in episode_by_episode(play, double(agent.net), 0.9, 0.8).items() if key[1] >= T}
    assert len(rows) == batch["valid"].sum() < S * T * N
    for (s, t, n), (_, value, advantage) in rows.items():
        assert batch["valid"][s, t - T, n]
        assert batch["value"][s, t - T, n].item() == pytest.approx(value.item(), abs=1e-5)
        assert batch["advantage"][s, t - T, n].item() == pytest.approx(advantage, abs=1e-4)


@pytest.mark.parametrize("name", ["a2c", "reinforce"])
def test_gradients_are_those_of_episodes_one_by_one(name):
    """The whole loss, written again over the outputs of the slow loop."""
    settings = {"gamma": 0.9, "ent_coef": 0.1, "lr": 0.0, "normalize_advantage": False, "max_grad_norm": 1e9}
    agent = make_agent(name, **settings)
    play = Play(agent)
    for _ in range(2):
        rollout = play.rollout()
        play.update()
    net = double(agent.net)
    first = 0 if name == "reinforce" else T
    rows = episode_by_episode(play, net, 0.9, 1.0, first)
    if name == "reinforce":  # what it learns from are the episodes that have ended in the latest rollout
        done = np.stack([row[2] | row[3] for row in play.history])
        rows = {(s, t, n): row for (s, t, n), row in rows.items() if done[t:, s, n].any()}
        rows = {(s, t, n): row for (s, t, n), row in rows.items() if t + done[t:, s, n].argmax() >= T}
    loss = 0.0
    for s in range(S):
        mine = {key: row for key, row in rows.items() if key[0] == s and key[1] >= first}
        for (_, t, n), (outputs, value, advantage) in mine.items():
            action = rollout["action"][t - first, s, n].view(1, 1)
            log_prob, entropy = net.distribution.log_prob_entropy(outputs.view(1, 1, -1), action)
            error = value - (value.detach() + advantage)
            loss += (0.25 * error**2 - log_prob.sum() * advantage - 0.1 * entropy.sum()) / len(mine)
    gradient = torch.cat([x.flatten(1) for x in torch.autograd.grad(loss, list(net.parameters()))], 1)
    torch.testing.assert_close(agent.flat.grad.double(), gradient, rtol=1e-3, atol=1e-6)


def double(net):
    return copy.deepcopy(net).double()


@pytest.mark.parametrize("length", [None, 2])
def test_minibatches_are_of_whole_sequences_and_hold_every_row_once(length):
    agent = make_agent("ppo", memory_length=length)
    play = Play(agent)
    play.rollout()
    play.update()
    batch, states = agent._prepare(play.rollout())
    batch["number"] = torch.arange(T * N).float().expand(S, -1)
    order = agent.minibatch_streams.permutations(len(states) * N)
    seen = []
    for part, past in sequence_minibatches(batch, states, order, 2, standardize=False):
        number = part["number"].view(S, length or T, -1).long()
        assert (number[:, 1:] - number[:, :-1] == N).all()  # steps of one sub-env
        assert (number[:, 0] // N % (length or T) == 0).all()  # from a cut on
        torch.testing.assert_close(agent.net(part["obs"], past)[1], part["value"])  # nothing was learned yet
        seen.append(number.flatten(1))
    assert (torch.cat(seen, 1).sort()[0] == torch.arange(T * N)).all()


@pytest.mark.parametrize("name", AGENTS)
def test_it_learns_from_what_it_remembered_when_it_acted(name, randomized):
    """Also behind a cut in the middle of episodes: outputs that are learned from are those that were acted by."""
    agent = make_agent(name, lr=0.0)
    randomized(agent.net)
    play = Play(agent)
    acted, step = [], agent.sampler.host_step

    def host_step(*given):
        outputs, state = step(*given)
        acted.append(outputs)
        return outputs, state

    agent.sampler.host_step = host_step
    for _ in range(3):
        play.rollout()
        before = {name: each.clone() for name, each in agent.memory.items()}
        play.update()
    rollout = play.buffer.tensors("cpu")
    x = agent.net.normalize(by_session(rollout["obs"]))
    outputs = agent.net.unroll(x, Past(before, rollout["starts"].transpose(0, 1)), T)[0].view(S, -1, N, 2)
    expected = torch.from_numpy(np.stack(acted[-T:], 1))
    torch.testing.assert_close(outputs[:, -T - 1 : -1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", AGENTS)
def test_a_session_learns_as_if_alone(name):
    def train(num_sessions, reward_of_last=1.0):
        play = Play(make_agent(name, num_sessions), reward_of_last)
        for _ in range(3):
            play.rollout()
            play.update()
        return play.agent.flat.data, play.acting.state

    alone, state = train(1)
    for data, states in (train(3), train(3, reward_of_last=100.0)):
        torch.testing.assert_close(data[:1], alone)
        torch.testing.assert_close({key: each[:1] for key, each in states.items()}, state)


RUN = ["env=gymnasium", "env.id=probes:Timed-v0", "env.num_envs=2", "env.max_frame=80", "tuned=none"]
RUN += ["meta.max_session=2", "meta.log_frequency=20", "agent.num_steps=8", "agent.memory_size=4"]


@pytest.mark.parametrize(
    "words",
    [
        "agent=ppo agent.num_minibatches=2",
        pytest.param("agent=a2c", marks=pytest.mark.slow),
        pytest.param("agent=reinforce", marks=pytest.mark.slow),
    ],
)
def test_a_resumed_run_goes_on_to_the_same_numbers(load_config, tmp_path, stop_at, words):
    cfg = load_config(*RUN, *words.split(), "agent.memory=gru", run_dir="whole")
    trial.run(cfg)
    stop_at(38)  # in the middle of a rollout and of episodes
    stopped = dataclasses.replace(cfg, run_dir=str(tmp_path / "run"))
    with pytest.raises(SystemExit):
        trial.run(stopped)
    trial.run(dataclasses.replace(stopped, meta=dataclasses.replace(cfg.meta, resume=str(tmp_path / "run"))))
    whole, resumed = (checkpoint.read(tmp_path / name / "checkpoints/last.safetensors") for name in ("whole", "run"))
    for name in ("algorithm", "acting"):
        torch.testing.assert_close(resumed[name], whole[name], rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("meta", ["meta.num_workers=2", "meta.distributed=shared", "meta.distributed=synced"])
def test_in_workers(load_config, tmp_path, meta):
    cfg = load_config(*RUN, "agent=a2c", "agent.memory=lstm", meta)
    trial.run(cfg)
    loaded = player.load(tmp_path / "run", "last")
    assert loaded.evaluate([0], num_episodes=2).lengths.shape == (1, 2)


@pytest.mark.slow
def test_two_workers_learn_what_one_process_does(load_config, tmp_path):
    for workers in (1, 2):
        words = [*RUN, "agent=ppo", "agent.num_minibatches=2", "agent.memory=lstm", f"meta.num_workers={workers}"]
        trial.run(load_config(*words, run_dir=str(workers)))
    one, two = (player.load(tmp_path / name, "last").agent.net.state_dict() for name in "12")
    torch.testing.assert_close(one, two)


def test_kernels_and_torch_compile_decline():
    agent = make_agent("ppo")
    assert agent.use_kernels() == {"acting": "agent.memory is lstm", "updates": "agent.memory is lstm"}
    assert make_agent("reinforce").use_kernels() == {"acting": "agent.memory is lstm"}
    with pytest.raises(NotCompiledError, match=r"agent\.memory has"):
        compile_networks([agent.net], "cpu")


UNEVEN = (
    "agent.num_minibatches: got {}, which does not divide the {} sequences of {} steps that an agent with a memory "
    "learns from"
)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("agent.memory=rnn", "agent.memory: got 'rnn'; write one of lstm, gru or null"),
        ("agent.memory_size=0", "agent.memory_size: got 0; write an integer of at least 1"),
        ("agent.memory_layers=0", "agent.memory_layers: got 0; write an integer of at least 1"),
        ("agent.memory_length=0", "agent.memory_length: got 0; write an integer of at least 1"),
        (
            "agent.memory_length=48",
            "agent.memory_length: got 48, which does not divide *; write one that does, e.g. agent.memory_length=32",
        ),
        ("env.num_envs=2", f"{UNEVEN.format(4, 2, 128)}; write agent.memory_length=64"),
        (
            "env.num_envs=1 agent.num_steps=6 agent.num_minibatches=3 agent.memory_length=3",
            f"{UNEVEN.format(3, 2, 3)}; write agent.memory_length=2",
        ),
        (
            "env.num_envs=1 agent.num_steps=4 agent.num_minibatches=1 agent.memory_length=5",
            "agent.memory_length: got 5, which does not divide agent.num_steps=4; write one that does, e.g. *=4",
        ),
    ],
)
def test_refusals(refused, words, line):
    refused(f"agent=ppo tuned=none agent.memory=gru {words}", line)
