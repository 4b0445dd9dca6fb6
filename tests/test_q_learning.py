"""DQN with its switches, QR-DQN and SARSA: targets by hand, probes, resume, and sessions that do not meet."""

import gymnasium
import gymnasium.spaces as gs
import numpy as np
import pytest
import torch

from acting import act
from rllab.algorithms import Task, dqn, qrdqn, sarsa
from rllab.errors import ConfigError
from rllab.training import trial
from rllab.training.run_directory import Opened, load_run
from test_trial import assert_same_policy

pytestmark = pytest.mark.usefixtures("no_picture")

ALL = ["agent.double=true", "agent.dueling=true", "agent.n_step=3", "agent.prioritized=true"]
REPLAY = ["agent.learning_starts=64", "agent.buffer_size=2000", "agent.train_freq=2", "agent.target_period=32"]
VARIANTS = {
    "dqn": ["agent=dqn", *REPLAY],
    "all": ["agent=dqn", *REPLAY, *ALL],
    "qrdqn": ["agent=qrdqn", *REPLAY, "agent.num_quantiles=5"],
    "sarsa": ["agent=sarsa", "agent.num_steps=2"],
}
every_variant = pytest.mark.parametrize("variant", VARIANTS)


@pytest.fixture
def make(load_config):
    def make_trial(variant, *overrides, run_dir="run"):
        common = ["tuned=none", "env.num_envs=8", "meta.max_session=2", "meta.log_frequency=1e6", "agent.hidden=[16]"]
        cfg = load_config(*VARIANTS[variant], *common, *overrides, run_dir=run_dir)
        return trial.Trial(*trial.check(cfg))

    return make_trial


@pytest.fixture
def train_probe(make):
    def train(variant, name, max_frame=4000, *overrides):
        fast = ["agent.lr=linear:1e-2:1e-4", "agent.gamma=0.9", "agent.epsilon=linear:1:0.1"]
        task = [f"env.id=probes:{name}-v0", f"env.max_frame={max_frame}"]
        made = make(variant, *task, *fast, *overrides, run_dir=variant)
        made.run()
        return made.crew.algorithm

    return train


def values(agent, *obs):
    """Action values of each session for observations of one number, [S, len(obs), A]."""
    x = torch.tensor(obs, dtype=torch.float32).reshape(1, -1, 1).expand(2, -1, 1)
    with torch.no_grad():
        return agent.net(x).mean(-1).numpy()


@every_variant
def test_values_are_discounted_over_a_delay(train_probe, variant):
    expected = np.broadcast_to([[0.9], [1.0]], (2, 2, 2))
    np.testing.assert_allclose(values(train_probe(variant, "DelayedReward"), 0.0, 1.0), expected, atol=0.1)


@every_variant
def test_truncation_bootstraps(train_probe, variant):
    # 1 + 0.9 + 0.81 + ... = 10, although every episode is cut after three steps
    agent = train_probe(variant, "Truncated", 8000, "agent.lr=linear:1e-1:1e-3")
    np.testing.assert_allclose(values(agent, 0.0), 10.0, atol=1.0)


@every_variant
def test_action_that_matches_the_observation(train_probe, variant):
    expected = np.broadcast_to([[1.0, 0.0], [0.0, 1.0]], (2, 2, 2))
    np.testing.assert_allclose(values(train_probe(variant, "RewardByActionAndObs"), -1.0, 1.0), expected, atol=0.2)


def test_sarsa_learns_the_value_of_the_policy_it_follows_and_q_learning_that_of_the_best(train_probe):
    # the second step pays for action 1: with random actions it is worth 1/2, with the best one 1
    always = ["agent.epsilon=1.0", "agent.gamma=1.0"]
    for variant, expected in (("sarsa", 0.5), ("dqn", 1.0), ("qrdqn", 1.0)):
        first = values(train_probe(variant, "SecondActionPays", 8000, *always), 0.0)
        np.testing.assert_allclose(first, expected, atol=0.15)


@pytest.mark.parametrize("variant", ["all", "qrdqn", "sarsa"])
def test_action_that_an_image_shows(train_probe, variant):
    agent = train_probe(variant, "BrightSide", 2000, "agent.lr=1e-3")
    env = gymnasium.make("probes:BrightSide-v0").unwrapped
    env.reset(seed=0)
    images, sides = [], []
    for _ in range(20):
        images.append(env.reset()[0])
        sides.append(int(env.coin > 0))
    assert (act(agent, np.stack([images, images]), explore=False)[0] == sides).all()


@every_variant
@pytest.mark.parametrize("exploration", ["epsilon_greedy", pytest.param("boltzmann", marks=pytest.mark.slow)])
def test_interrupted_and_resumed_is_as_if_never_interrupted(
    make,
    load_config,
    tmp_path,
    stop_at,
    variant,
    exploration,
):
    overrides = ["env=cartpole", "env.max_frame=1600", f"agent.exploration={exploration}", "agent.lr=linear:1e-2:0"]
    overrides += ["agent.buffer_size=800"] if variant != "sarsa" else []  # full before the end
    make(variant, *overrides, run_dir="whole").run()
    stop_at(840)
    cut = make(variant, *overrides, run_dir="cut")
    with pytest.raises(SystemExit):
        cut.run()
    cut.directory.hold.release()
    trial.run(load_config(f"meta.resume={tmp_path / 'cut'}"))
    assert_same_policy(tmp_path / "whole", tmp_path / "cut")


def test_a_buffer_that_is_not_saved_fills_anew_and_says_so(make, load_config, tmp_path, stop_at, capsys):
    stop_at(840)
    cut = make("dqn", "env=cartpole", "agent.train_freq=1", "env.max_frame=1000", "agent.save_buffer=false")
    with pytest.raises(SystemExit):
        cut.run()
    cut.directory.hold.release()
    cfg, state, _ = load_run(tmp_path / "run")
    before = state["algorithm"]["num_updates"]
    resumed = trial.Trial(*trial.check(cfg), Opened(state=state))
    resumed.run()
    assert "the replay buffer was not saved: it fills anew" in capsys.readouterr().out
    assert resumed.crew.buffer.num_frames == 160
    assert resumed.crew.algorithm.num_updates - before == 160 // 8 - 64 // 8 + 1  # learning_starts=64 counts again


@every_variant
def test_a_session_does_not_depend_on_how_many_run_beside_it(make, tmp_path, variant):
    for sessions in (1, 3):
        overrides = ["env=cartpole", "env.max_frame=400", f"meta.max_session={sessions}"]
        made = make(variant, *overrides, run_dir=str(sessions))
        made.run()
        parameters = made.crew.algorithm.flat.data
        if sessions == 1:
            alone = parameters[0]
        else:
            torch.testing.assert_close(parameters[0], alone, rtol=1e-4, atol=1e-5)
            assert not torch.allclose(parameters[1], alone, atol=1e-2)


def test_rows_that_only_reset_are_no_part_of_sarsas_batch():
    learned = []
    for garbage in (0.0, 1e3):
        agent = sarsa.SARSA(
            sarsa.SARSAConfig(num_steps=4, hidden=[8]),
            Task(gs.Box(-1, 1, (1,)), gs.Discrete(2), 2, 3, 1000),
            seed=0,
        )
        buffer, ends = agent.make_buffer(), np.zeros((2, 3), bool)
        for t in range(4):
            obs = np.full((2, 3, 1), t / 4, np.float32)
            action, _ = act(agent, obs, explore=True)
            assert set(action.ravel()) <= {0, 1}
            done = ends.copy()
            done[:, t % 3] = t < 3
            buffer.add(obs, action, np.ones((2, 3)), done, ends, obs + 0.25, {})
        assert (~buffer.arrays["valid"][:-1]).sum() == 6
        buffer.arrays["reward"][~buffer.arrays["valid"][:-1]] = garbage
        agent.update(buffer, 12)
        learned.append(agent.flat.data.clone())
        chosen, _ = act(agent, np.zeros((2, 3, 1), np.float32), explore=True)
        assert agent.next_action is None
        assert chosen.shape == (2, 3)  # what the update chose for the rollout's last observation
    assert torch.equal(*learned)


def test_sarsa_target_by_hand():
    reward, next_q = torch.tensor([1.0, 1.0]), torch.tensor([10.0, 10.0])
    assert sarsa.sarsa_target(reward, torch.tensor([False, True]), next_q, gamma=0.5).tolist() == [6, 1]


def test_quantile_target_by_hand():
    # means 2 and 3: the second action, though the first has the highest quantile
    next_quantiles = torch.tensor([[[[0.0, 4.0], [3.0, 3.0]]]])
    target = qrdqn.quantile_target(torch.tensor([[1.0]]), torch.tensor([[0.5]]), next_quantiles)
    assert target.tolist() == [[[2.5, 2.5]]]


def test_the_target_network_moves_when_its_period_is_over():
    agent = dqn.DQN(
        dqn.DQNConfig(learning_starts=0, train_freq=1, target_period=16, tau=0.5, batch_size=4, hidden=[4]),
        Task(gs.Box(-1, 1, (1,)), gs.Discrete(2), 2, 8, 1000),
        seed=0,
    )
    buffer, ends = agent.make_buffer(), np.zeros((2, 8), bool)
    obs = np.zeros((2, 8, 1), np.float32)
    buffer.add(obs, ends * 1, np.ones((2, 8)), ends, ends, obs, {})
    start = agent.target_flat.data.clone()
    metrics = agent.update(buffer, 8)
    assert torch.equal(agent.target_flat.data, start)
    assert metrics["train/utd"] == 0.125
    agent.update(buffer, 16)
    torch.testing.assert_close(agent.target_flat.data, (start + agent.flat.data) / 2)
    assert not torch.equal(agent.flat.data, start)


@pytest.mark.parametrize("agent", ["dqn", "ddqn_per", "qrdqn", "sarsa"])
def test_continuous_actions_are_refused_with_the_agents_that_can(load_config, agent):
    with pytest.raises(
        ConfigError,
        match=r"^agent: got '\w+', which cannot act in Box.*; write one that fits: agent=a2c, .*agent=td3",
    ):
        trial.check(load_config(f"agent={agent}", "env=pendulum"))
