"""The mathematics of PPO's update: its losses and their gradients, and that no session touches another."""

import math
import re

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch

from acting import act
from rllab.algorithms import Task, ppo
from rllab.buffers.minibatches import minibatches
from rllab.errors import ConfigError
from rllab.host import memory
from rllab.training import trial

pytestmark = pytest.mark.usefixtures("no_picture")


def test_policy_loss_by_hand():
    # ratio 1.5, clip 0.2: a good action counts 1.2 * 2, a bad one the full 1.5 * -2; ratio 0.5: 0.5 * 2 and 0.8 * -2
    ratio, advantage = torch.tensor([[1.5, 1.5, 0.5, 0.5]], requires_grad=True), torch.tensor([[2.0, -2.0, 2.0, -2.0]])
    loss = ppo.policy_loss(ratio, advantage, 0.2)
    torch.testing.assert_close(loss, torch.tensor([[-2.4, 3.0, -1.0, 1.6]]))
    # what has gone too far already is not pushed on
    torch.testing.assert_close(torch.autograd.grad(loss.sum(), ratio)[0], torch.tensor([[0.0, 2.0, -2.0, 0.0]]))


@pytest.mark.parametrize(
    ("vf_clip_coef", "loss", "gradient"), [(0.5, [0.5, 3.125], [1.0, 0.0]), (None, [0.5, 0.5], [1.0, -1.0])]
)
def test_value_loss_by_hand(vf_clip_coef, loss, gradient):
    # value 3, old 1, return 2: error 1; clipped to 1.5: error -0.5; the worse is 1, halved. Return 4: errors 1 and 2.5
    value, old = torch.tensor([[3.0, 3.0]], requires_grad=True), torch.tensor([[1.0, 1.0]])
    actual = ppo.value_loss(value, torch.tensor([[2.0, 4.0]]), old, vf_clip_coef)
    torch.testing.assert_close(actual, torch.tensor([loss]))
    torch.testing.assert_close(torch.autograd.grad(actual.sum(), value)[0], torch.tensor([gradient]))


def test_loss_and_its_gradient_by_hand():
    # Two rows that weigh 1/2 each, one that only resets. Ratios 1.1 and 1.5, advantages 2 and -2, clip 0.2:
    # policy loss (-2.2 + 3) / 2 = 0.4; values 3 and 1 for returns 2 and 2: value loss (1/2 + 1/2) / 2 = 0.5
    batch = {
        "advantage": torch.tensor([[2.0, -2.0, 100.0]]),
        "returns": torch.tensor([[2.0, 2.0, 100.0]]),
        "value": torch.zeros(1, 3),
        "weight": torch.tensor([[0.5, 0.5, 0.0]]),
    }
    inputs = torch.tensor([[1.1, 1.5, 3.0]]).log(), torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([[3.0, 1.0, 9.0]])
    log_ratio, entropy, value = (x.requires_grad_() for x in inputs)
    loss, parts = ppo.ppo_loss(batch, log_ratio, entropy, value, clip_coef=0.2, ent_coef=0.1, vf_coef=2.0)
    metrics = ppo.ppo_metrics(parts, log_ratio, batch["weight"], 0.2)
    torch.testing.assert_close(loss, torch.tensor([0.4 + 2.0 * 0.5 - 0.1 * 2.0]))
    expected = {
        "train/policy_loss": 0.4,
        "train/value_loss": 0.5,
        "train/entropy": 2.0,
        "train/clip_fraction": 0.5,
        "train/approx_kl": (0.1 - math.log(1.1) + 0.5 - math.log(1.5)) / 2,  # r - 1 - log r
    }
    assert {name: x.item() for name, x in metrics.items()} == pytest.approx(expected)
    gradients = torch.autograd.grad(loss, [log_ratio, entropy, value])
    # of the log-ratio: -A r / 2, of the value 2 (V - R) / 2; none in the row that only resets
    rows = ([-1.1, 1.5, 0.0], [-0.05, -0.05, 0.0], [1.0, -1.0, 0.0])
    for gradient, row in zip(gradients, rows, strict=True):
        torch.testing.assert_close(gradient, torch.tensor([row]))


def make_agent(num_sessions, **overrides):
    cfg = ppo.PPOConfig(num_steps=8, num_minibatches=2, num_epochs=2, hidden=[8], **overrides)
    spaces = gs.Box(-1, 1, (3,)), gs.Discrete(2)
    return ppo.PPO(cfg, Task(*spaces, num_sessions, 4, 1000), seed=0)


def fill(agent, rng, reward_of_last=1.0):
    buffer = agent.make_buffer()
    shape = (agent.task.num_sessions, agent.task.num_envs)
    for _ in range(agent.rollout_steps):
        obs = rng.normal(size=(*shape, 3)).astype(np.float32)
        action, extras = act(agent, obs, explore=True)
        reward = rng.normal(size=shape)
        reward[-1] *= reward_of_last
        done = rng.random(shape) < 0.2
        buffer.add(obs, action, reward, done, np.zeros(shape, bool), obs, extras)
    return buffer


def test_gradients_of_one_session_do_not_move_another():
    parameters = []
    for scale in (1.0, 100.0):  # only the last session's rewards differ
        agent = make_agent(3, target_kl=None)
        agent.update(fill(agent, np.random.default_rng(0), scale), 100)
        parameters.append(agent.flat.data.clone())
    assert torch.equal(parameters[0][:2], parameters[1][:2])
    assert not torch.equal(parameters[0][2], parameters[1][2])


def test_rows_that_only_reset_are_never_learned_from():
    learned = []
    for garbage in (0.0, 1e3):
        agent = make_agent(2)
        buffer = fill(agent, np.random.default_rng(1))
        buffer.arrays["reward"][~buffer.arrays["valid"][:-1]] = garbage
        assert (~buffer.arrays["valid"][:-1]).any()
        agent.update(buffer, 100)
        learned.append(agent.flat.data.clone())
    assert torch.equal(*learned)


def test_schedules_reach_the_optimiser():
    agent = make_agent(1, lr="linear:1e-2:0")
    start = agent.flat.data.clone()
    metrics = agent.update(fill(agent, np.random.default_rng(0)), 1000)  # the end of the budget: a rate of 0
    assert metrics["train/lr"] == 0
    assert torch.equal(agent.flat.data, start)


def test_normaliser_moves_only_after_the_update():
    agent = make_agent(2, normalize_obs=True, normalize_reward=True)
    buffer = fill(agent, np.random.default_rng(0))
    assert agent.net.obs_norm.count.sum() == 0
    agent.update(buffer, 100)
    valid = torch.from_numpy(buffer.arrays["valid"][:-1]).float()
    assert agent.net.obs_norm.count.flatten().tolist() == valid.sum((0, 2)).tolist()
    rows = buffer.arrays["obs"][:-1, 1][buffer.arrays["valid"][:-1, 1]]
    np.testing.assert_allclose(agent.net.obs_norm.mean[1, 0], rows.mean(0), atol=1e-5)


def test_state_round_trip_goes_on_with_the_same_numbers():
    first, second = make_agent(2, normalize_reward=True), make_agent(2, normalize_reward=True)
    first.update(fill(first, np.random.default_rng(0)), 100)
    second.load_state_dict(first.state_dict())
    for agent in (first, second):
        agent.update(fill(agent, np.random.default_rng(1)), 200)
    assert torch.equal(first.flat.data, second.flat.data)


def test_policy_of_one_session_is_greedy_and_carries_the_normaliser():
    agent = make_agent(3, normalize_obs=True)
    agent.update(fill(agent, np.random.default_rng(0)), 100)
    obs = np.random.default_rng(2).normal(size=(3, 50, 3)).astype(np.float32)
    expected, _ = act(agent, obs, explore=False)
    for session in range(3):
        policy = agent.policy(session)
        assert (policy(torch.from_numpy(obs[session]))[0].numpy() == expected[session]).all()


TRACE = [0.9183, 0.9659]


def test_determinism_trace(load_config):
    """How far four updates move each session's parameters on CartPole.

    Refactoring must not change these numbers; a change of the algorithm may, with learning curves to show for it.
    """
    made = trial.Trial(*trial.check(load_config("tuned=none", "meta.max_session=2", "env.max_frame=4096")))
    start = made.crew.algorithm.flat.data.clone()
    made.run()
    moved = (made.crew.algorithm.flat.data - start).norm(dim=1)
    torch.testing.assert_close(moved, torch.tensor(TRACE), rtol=1e-2, atol=0)  # rounding differs between machines


IMAGE = gs.Box(0, 255, (2, 12, 12), np.uint8)


def image_agent(num_sessions, **overrides):
    cfg = ppo.PPOConfig(num_steps=8, num_minibatches=4, num_epochs=2, **{"share_network": True} | overrides)
    return ppo.PPO(cfg, Task(IMAGE, gs.Discrete(2), num_sessions, 4, 1000), seed=0)


def fill_images(agent, rng, scale_of_last=1.0, *, steps=8, buffer=None):
    buffer, shape = buffer or agent.make_buffer(), (agent.task.num_sessions, agent.task.num_envs)
    for _ in range(steps):
        obs = rng.integers(256, size=(*shape, *IMAGE.shape), dtype=np.uint8)
        action, extras = act(agent, obs, explore=True)
        reward, done = rng.normal(size=shape), rng.random(shape) < 0.2
        reward[-1] *= scale_of_last
        buffer.add(obs, action, reward, done, np.zeros(shape, bool), obs, extras)
    return buffer


@torch.no_grad()
@pytest.mark.parametrize("shared", [False, True])
def test_a_rollout_of_images_is_valued_in_parts_or_while_acting_and_never_copied(shared):
    agent = image_agent(3, share_network=shared)
    assert agent.sampler.gives_value == shared
    buffer = fill_images(agent, np.random.default_rng(0))
    batch, _ = agent._prepare(buffer.tensors("cpu"))
    assert batch["obs"].dtype == torch.uint8
    assert batch["obs"].data_ptr() == buffer.arrays["obs"].ctypes.data
    outputs, value = agent.net(batch["obs"])
    torch.testing.assert_close(batch["value"], value[:, :32])
    torch.testing.assert_close(agent._evaluate(buffer.tensors("cpu"), batch["obs"])[1], value)
    log_prob, _ = agent.net.distribution.log_prob_entropy(outputs[:, :32], batch["action"])
    torch.testing.assert_close(batch["log_prob"], log_prob)


@torch.no_grad()
@pytest.mark.parametrize("make", [(image_agent, fill_images), (make_agent, fill)])
def test_every_row_is_learned_from_once_an_epoch_beside_its_own_action(make):
    agent = make[0](3)
    buffer = make[1](agent, np.random.default_rng(0))
    batch, _ = agent._prepare(buffer.tensors("cpu"))
    order = agent.minibatch_streams.permutations(batch["valid"].shape[1])
    parts = list(minibatches(batch, order, 2, standardize=True))
    shuffled = {name: torch.cat([m[name] for m in parts], 1) for name in ("obs", "action", "log_prob", "returns")}
    for session in range(3):
        order = batch["returns"][session].argsort(), shuffled["returns"][session].argsort()  # no two are equal
        for name, x in shuffled.items():
            assert torch.equal(batch[name][session][order[0]], x[session][order[1]]), name
        assert not torch.equal(batch["returns"][session], shuffled["returns"][session])


def test_sessions_with_images_are_independent():
    parameters = []
    for scale in (1.0, 100.0):
        agent = image_agent(3)
        agent.update(fill_images(agent, np.random.default_rng(0), scale), 100)
        parameters.append(agent.flat.data.clone())
    assert torch.equal(parameters[0][:2], parameters[1][:2])
    assert not torch.equal(parameters[0][2], parameters[1][2])


@pytest.mark.parametrize("shared", [False, True])
def test_images_go_on_from_the_middle_of_a_rollout(shared):
    first, second = image_agent(2, share_network=shared), image_agent(2, share_network=shared)
    buffers = [fill_images(first, np.random.default_rng(0), steps=3), second.make_buffer()]
    second.load_state_dict(first.state_dict())
    buffers[1].load_state_dict(buffers[0].state_dict())
    for agent, buffer in zip((first, second), buffers, strict=True):
        fill_images(agent, np.random.default_rng(1), steps=5, buffer=buffer)
        agent.update(buffer, 100)
    assert torch.equal(first.flat.data, second.flat.data)


IMAGE_TRACE = [0.4359, 0.3253]


def test_determinism_trace_for_images():
    """As above: how far three updates move each session's parameters."""
    agent = image_agent(2)
    start, rng = agent.flat.data.clone(), np.random.default_rng(0)
    for frame in (0, 100, 200):
        agent.update(fill_images(agent, rng), frame)
    moved = (agent.flat.data - start).norm(dim=1)
    torch.testing.assert_close(moved, torch.tensor(IMAGE_TRACE), rtol=1e-2, atol=0)


def check(space=IMAGE, num_sessions=4, num_envs=16, **overrides):
    cfg = ppo.PPOConfig(**{"num_minibatches": 8} | overrides)
    ppo.PPO.check(cfg, Task(space, gs.Discrete(2), num_sessions, num_envs, 10**12))


@pytest.mark.parametrize("network", ["auto", "cnn_small"])
def test_images_are_scaled_by_their_network_and_by_nothing_else(network):
    check(network=network)
    check(network="mlp", normalize_obs=True)
    with pytest.raises(
        ValueError,
        match=r"^agent\.normalize_obs: got True for .* image, .* write agent\.normalize_obs=false$",
    ):
        check(network=network, normalize_obs=True)


def test_memory_by_hand():
    # 129 * 16 images of 4 * 84 * 84 bytes; 2048 rows of an int64, a float32 and two flags, and 2064 flags
    atari = gs.Box(0, 255, (4, 84, 84), np.uint8)
    buffer = 129 * 16 * 28224 + 2048 * (8 + 4 + 2) + 2064
    cfg = ppo.PPOConfig(num_minibatches=8, share_network=True)
    needed = ppo.needed_memory(cfg, Task(atari, gs.Discrete(6), 1, 16, 10**6))
    # 256 rows of 49,856 numbers of four bytes, and as much again for their gradients
    assert needed == buffer + 256 * 2 * 49_856 * 4
    assert ppo.needed_memory(cfg, Task(atari, gs.Discrete(6), 4, 16, 10**6)) == 4 * needed


@pytest.mark.parametrize("space", [IMAGE, gs.Box(-1, 1, (100,))])
def test_a_rollout_that_does_not_fit_is_refused_with_what_would(monkeypatch, space):
    monkeypatch.setattr(memory, "available_memory", lambda: 2**30)
    check(space)
    with pytest.raises(
        ValueError, match=r"^agent\.num_steps: got 1000000, .* GiB .*env\.num_envs=15 .*1\.0 GiB"
    ) as caught:
        check(space, num_steps=1_000_000, num_envs=15)
    assert "\n" not in str(caught.value)
    fits = int(re.search(r"write agent\.num_steps=(\d+)", str(caught.value))[1])
    check(space, num_steps=fits, num_envs=15)
    monkeypatch.setattr(memory, "available_memory", lambda: 2**10)
    with pytest.raises(ValueError, match=r"write less of one of the three$"):
        check(space)
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    check(space, num_steps=1_000_000)


def test_a_run_that_does_not_fit_is_refused_before_anything_is_made(load_config, tmp_path):
    with pytest.raises(ConfigError, match=r"^agent\.num_steps: got 10000000000, "):
        trial.run(load_config("agent.num_steps=10000000000"))
    assert not (tmp_path / "run").exists()
