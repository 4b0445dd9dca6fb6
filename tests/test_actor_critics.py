"""What SAC, TD3, TQC and CrossQ have in common: probe problems, independent sessions, exact resume, refusals."""

import dataclasses
import re

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch

from acting import act
from rllab import algorithms, checkpoint
from rllab.algorithms import Task
from rllab.training import trial
from test_trial import assert_same_policy

pytestmark = pytest.mark.usefixtures("no_picture")

AGENTS = ["sac", "td3", "tqc", "crossq"]
DISCRETE = ["sac", "crossq"]
BOX = gs.Box(-1.0, 1.0, (2,))
NARROW = {"crossq": ["agent.critic_hidden=[16,16]", "agent.renorm_warmup=200", "agent.policy_delay=1"]}
NARROW["tqc"] = ["agent.num_critics=2", "agent.num_quantiles=5", "agent.num_dropped=0"]
FAST = [
    "tuned=none",
    "env.num_envs=8",
    "meta.max_session=2",
    "meta.log_frequency=1e6",
    "agent.hidden=[16,16]",
    "agent.batch_size=32",
    "agent.lr=linear:1e-2:1e-4",
    "agent.learning_starts=200",
    "agent.buffer_size=2000",
    "agent.gradient_steps=2",
    "agent.gamma=0.5",
]


@pytest.fixture
def train_probe(load_config):
    def train(agent, name, max_frame, *overrides):
        following = [] if agent == "crossq" else ["agent.tau=0.05"]
        words = [f"agent={agent}", f"env.id=probes:{name}-v0", f"env.max_frame={max_frame}", *FAST, *following]
        cfg = load_config(*words, *NARROW.get(agent, []), *overrides)
        made = trial.Trial(*trial.check(cfg))
        made.run()
        return made.crew.algorithm

    return train


def q_values(agent, *obs):
    """Mean over critics of the value of greedy actions for observations of one number, [S, len(obs)]."""
    x = torch.tensor(obs, dtype=torch.float32).reshape(1, -1, 1).expand(2, -1, 1)
    action = torch.from_numpy(act(agent, x.numpy(), explore=False)[0])
    with torch.no_grad():
        return agent.critics(torch.cat([x, action], -1)).mean((1, 3)).numpy()


def plain(agent):
    """Without a bonus for entropy, values are returns."""
    return [] if agent == "td3" else ["agent.ent_coef=0"]


@pytest.mark.parametrize("agent", AGENTS)
def test_value_is_discounted_over_a_delay(train_probe, agent):
    made = train_probe(agent, "DelayedRewardBox", 1600, *plain(agent))
    np.testing.assert_allclose(q_values(made, 0.0, 1.0), [[0.5, 1.0]] * 2, atol=0.1)


@pytest.mark.parametrize("agent", AGENTS)
def test_truncation_bootstraps(train_probe, agent):
    # 1 + 0.5 + 0.25 + ... = 2, although every episode is cut after three steps
    made = train_probe(agent, "TruncatedBox", 1600, *plain(agent), "agent.n_step=2")
    np.testing.assert_allclose(q_values(made, 0.0), 2.0, atol=0.15)


@pytest.mark.parametrize("agent", AGENTS)
def test_action_that_matches_the_observation(train_probe, agent):
    made = train_probe(agent, "Pull", 2400)
    obs = np.tile(np.array([[[-1.0], [1.0]]], np.float32), (2, 1, 1))
    np.testing.assert_allclose(act(made, obs, explore=False)[0][..., 0], [[-0.5, 0.5]] * 2, atol=0.15)


@pytest.mark.parametrize("agent", DISCRETE)
def test_discrete_actions(train_probe, agent):
    made = train_probe(agent, "RewardByActionAndObs", 1600)
    obs = np.tile(np.array([[[-1.0], [1.0]]], np.float32), (2, 1, 1))
    assert (act(made, obs, explore=False)[0] == [[0, 1]] * 2).all()


def make_agent(name, num_sessions, space=BOX, **overrides):
    small = {"buffer_size": 40, "learning_starts": 8, "batch_size": 16, "hidden": [8], "gradient_steps": 3}
    if name == "crossq":
        small |= {"critic_hidden": [8], "renorm_warmup": 2}
    algorithm = algorithms.find(name)
    spaces = gs.Box(-1, 1, (3,)), space
    return algorithm(algorithm.Config(**small | overrides), Task(*spaces, num_sessions, 4, 1000), seed=0)


def play(agent, buffer, steps, *, start=0, reward_of_last=1.0):
    """Act, store and learn as the loop does, in an env whose every session and step has noise of its own."""
    shape = (agent.task.num_sessions, agent.task.num_envs)

    def noise(step, *more):
        return np.stack(
            [np.random.default_rng((s, step)).normal(size=(agent.task.num_envs, *more)) for s in range(shape[0])]
        )

    for step in range(start, start + steps):
        obs, next_obs = (noise(t, 3).astype(np.float32) for t in (step, step + 1))
        action, extras = act(agent, obs, explore=True)
        reward = noise(step) + action.reshape(*shape, -1).mean(-1)
        reward[-1] *= reward_of_last
        done = noise(step) < -1.0
        buffer.add(obs, action, reward, done, np.zeros(shape, bool), next_obs, extras)
        metrics = agent.update(buffer, (step + 1) * agent.task.num_envs)
    return metrics


def learned(agent):
    """All that was learned, by session."""
    flats = [agent.flat.data, agent.critic_flat.data.view(agent.task.num_sessions, -1)]
    return torch.cat([*flats, *(b.reshape(agent.task.num_sessions, -1) for b in agent.net.buffers())], 1).clone()


CASES = [*((name, BOX) for name in AGENTS), *((name, gs.Discrete(3)) for name in DISCRETE)]


@pytest.mark.parametrize(("name", "space"), CASES)
def test_a_session_is_the_same_beside_any_others(name, space):
    results = []
    for num_sessions, scale in ((1, 1.0), (3, 1.0), (3, 100.0)):
        agent = make_agent(name, num_sessions, space)
        play(agent, agent.make_buffer(), 8, reward_of_last=scale if num_sessions > 1 else 1.0)
        results.append(learned(agent))
    alone, beside, beside_large = results
    assert torch.equal(alone[0], beside[0])
    assert torch.equal(beside[:2], beside_large[:2])
    assert not torch.equal(beside[2], beside_large[2])


@pytest.mark.parametrize(("name", "space"), CASES)
def test_resume_goes_on_with_the_same_numbers(name, space, tmp_path):
    whole, first, second = (make_agent(name, 2, space) for _ in range(3))
    play(whole, whole.make_buffer(), 14)
    buffers = first.make_buffer(), second.make_buffer()
    play(first, buffers[0], 7)
    checkpoint.write(tmp_path / "last", {"algorithm": first.state_dict(), "buffer": buffers[0].state_dict()})
    play(first, buffers[0], 1, start=7)  # what was saved does not move any more
    state = checkpoint.read(tmp_path / "last")
    second.load_state_dict(state["algorithm"])
    buffers[1].load_state_dict(state["buffer"])
    play(second, buffers[1], 7, start=7)
    assert torch.equal(learned(second), learned(whole))


@pytest.mark.parametrize(
    ("agent", "env"), [*((name, "pendulum") for name in AGENTS), *((name, "cartpole") for name in DISCRETE)]
)
def test_interrupted_and_resumed_is_as_if_never_interrupted(load_config, tmp_path, stop_at, agent, env):
    short = ["env.max_frame=560", "agent.gradient_steps=1"]
    overrides = [f"agent={agent}", f"env={env}", *FAST, *NARROW.get(agent, []), *short]
    trial.run(load_config(*overrides, run_dir="whole"))
    stop_at(392)
    with pytest.raises(SystemExit):
        trial.run(load_config(*overrides, run_dir="cut"))
    trial.run(load_config(f"meta.resume={tmp_path / 'cut'}"))
    assert_same_policy(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize(("name", "space"), CASES)
def test_policy_of_one_session_is_greedy(name, space):
    agent = make_agent(name, 3, space)
    play(agent, agent.make_buffer(), 5)
    obs = np.random.default_rng(2).normal(size=(3, 50, 3)).astype(np.float32)
    expected, _ = act(agent, obs, explore=False)
    for session in range(3):
        np.testing.assert_allclose(
            agent.policy(session)(torch.from_numpy(obs[session]))[0], expected[session], atol=1e-6
        )


@pytest.mark.parametrize("name", AGENTS)
def test_actions_are_random_and_nothing_is_learned_until_learning_starts(name):
    agent = make_agent(name, 2, learning_starts=20)
    start, buffer = learned(agent), agent.make_buffer()
    assert play(agent, buffer, 4) == {}
    assert torch.equal(learned(agent), start)
    metrics = play(agent, buffer, 1, start=4)  # the 20th frame
    assert metrics["train/num_updates"] == 3
    assert metrics["train/utd"] == 0.75  # 3 steps for 4 sub-envs
    assert not torch.equal(learned(agent), start)


@pytest.mark.parametrize("name", AGENTS)
def test_one_gradient_step_for_each_frame(name):
    agent = make_agent(name, 1, gradient_steps=-1, train_freq=2)
    assert agent.gradient_steps == 8
    assert agent.rollout_steps == 2


@pytest.mark.parametrize("name", AGENTS)
def test_schedules_reach_the_optimisers(name):
    agent = make_agent(name, 1, lr="linear:1e-2:0", learning_starts=12)
    start = learned(agent)
    agent.task = dataclasses.replace(agent.task, max_frame=12)  # the budget ends with the first update
    play(agent, agent.make_buffer(), 3)
    parameters = agent.flat.data.shape[1] + agent.critic_flat.data.numel()
    assert torch.equal(learned(agent)[:, :parameters], start[:, :parameters])


UNFIT = [gs.MultiDiscrete([2, 2]), gs.MultiBinary(2), gs.Box(-np.inf, np.inf, (2,)), gs.Box(0, np.inf, (2,))]


@pytest.mark.parametrize("name", AGENTS)
def test_unfit_spaces_are_refused(name):
    obs, config = gs.Box(-1, 1, (3,)), algorithms.find(name).Config()

    def check(config, obs, space):
        algorithms.check(config, Task(obs, space, 1, 1, 10_000), shown=str(space))

    check(config, obs, BOX)
    for space in [*UNFIT, *([] if name in DISCRETE else [gs.Discrete(2)])]:
        with pytest.raises(
            ValueError, match=rf"^agent: got '{name}', which (cannot act in|needs) .*; write one that fits: agent="
        ) as caught:
            check(config, obs, space)
        for other in re.findall(r"agent=(\w+)", str(caught.value)):  # they do fit
            check(algorithms.find(other).Config(), obs, space)


@pytest.mark.usefixtures("no_picture")
@pytest.mark.parametrize(("name", "space"), CASES)
@pytest.mark.parametrize("obs_space", [gs.Box(0, 255, (2, 10, 10), np.uint8), gs.Box(-1, 1, (3,))])
def test_images_and_networks_of_ones_own(name, space, obs_space):
    network = "auto" if obs_space.dtype == np.uint8 else "probes:Torso"
    settings = {"network": network, "hidden": [8], "batch_size": 4, "buffer_size": 80, "learning_starts": 8}
    algorithm = algorithms.find(name)
    agent = algorithm(algorithm.Config(**settings), Task(obs_space, space, 2, 4, 1000), seed=0)
    start, buffer, ends = agent.flat.data.clone(), agent.make_buffer(), np.zeros((2, 4), bool)
    for step in range(1, 6):
        obs, next_obs = (np.stack([[obs_space.sample() for _ in range(4)]] * 2) for _ in range(2))
        action, extras = act(agent, obs, explore=True)
        buffer.add(obs, action, np.ones((2, 4)), ends, ends, next_obs, extras)
        agent.update(buffer, step * 4)
    assert (agent.flat.data != start).any(1).all()
    expected, _ = act(agent, obs, explore=False)
    found, _ = agent.policy(1)(torch.from_numpy(obs[1]))
    np.testing.assert_allclose(found, expected[1], atol=1e-6)


REFUSED = [
    ("batch_size", 0, "an integer of at least 1"),
    ("gradient_steps", 0, "an integer of at least 1, or -1 for one for each frame"),
    ("gamma", 1.5, "a number from 0 to 1, e.g. 0.95"),
    (
        "lr",
        "linear:1",
        (
            "a number or a schedule, e.g. linear:1e-3:0, cosine:1e-3:0, piecewise:1e-3:5e4:1e-4 or "
            "warmup:1e4:linear:1e-3:0"
        ),
    ),
    ("hidden", [0], "a list of widths of at least 1, e.g. [64,64]"),
]


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize(("field", "value", "write"), REFUSED)
def test_bad_fields_are_refused(name, field, value, write):
    with pytest.raises(ValueError, match=rf"^agent\.{field}: got ") as caught:
        algorithms.find(name).Config(**{field: value})
    assert str(caught.value).endswith(f"; write {write}")
