"""Runs on observations of several parts, an image among them: every agent, backend, resume, workers, players."""

import gymnasium
import numpy as np
import pytest
import torch

from probes import ImageXorSign
from rllab import algorithms, envs
from rllab.config import EnvConfig, load_file
from rllab.envs.sessions import EnvError
from rllab.errors import ConfigError
from rllab.play import export, player
from rllab.training import trial
from test_trial import assert_same_policy

pytestmark = pytest.mark.usefixtures("no_picture")

DISCRETE, BOX = "env.id=probes:ImageXorSign-v0", "env.id=probes:ImageXorSignBox-v0"
REPLAY = ["agent.learning_starts=40", "agent.buffer_size=2000", "agent.batch_size=8"]
AGENTS = {
    "ppo": ["agent.num_steps=10", "agent.num_minibatches=2"],
    "a2c": [],
    "reinforce": ["agent.num_steps=10"],
    "dqn": REPLAY,
    "qrdqn": [*REPLAY, "agent.num_quantiles=3"],
    "sarsa": [],
    "sac": REPLAY,
    "td3": REPLAY,
    "tqc": REPLAY,
    "crossq": [*REPLAY, "agent.critic_hidden=[8]"],
}
TINY = ["tuned=none", "env.num_envs=4", "env.max_frame=80", "agent.hidden=[8]", "meta.log_frequency=40"]


def words(agent, *overrides):
    task = BOX if agent in ("td3", "tqc") else DISCRETE
    return [f"agent={agent}", task, *TINY, *AGENTS[agent], "agent.normalize_obs=true", *overrides]


def policy_of(run, session):
    return player.load(run, "last").policy(session).state_dict()


def test_every_agent_that_learns_is_here():
    assert {*AGENTS} == {*algorithms.names()} - {"random"}


@pytest.mark.parametrize(
    "agent", [name if name in ("ppo", "sac") else pytest.param(name, marks=pytest.mark.slow) for name in AGENTS]
)
def test_sessions_together_are_what_each_is_alone(load_config, tmp_path, agent):
    for sessions in (1, 3):
        cfg = load_config(*words(agent, f"meta.max_session={sessions}"), run_dir=str(sessions))
        trial.run(cfg)
    alone, together = policy_of(tmp_path / "1", 0), policy_of(tmp_path / "3", 0)
    assert any("obs_norm" in name for name in alone)
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("agent", ["ppo", pytest.param("dqn", marks=pytest.mark.slow), "td3"])
def test_interrupted_and_resumed_is_as_if_never_interrupted(load_config, tmp_path, stop_at, agent):
    trial.run(load_config(*words(agent), run_dir="whole"))
    stop_at(48)
    with pytest.raises(SystemExit):
        trial.run(load_config(*words(agent), run_dir="cut"))
    trial.run(load_config(f"meta.resume={tmp_path / 'cut'}"))
    assert_same_policy(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["ppo", "sac"])
def test_workers_learn_what_one_process_does(load_config, tmp_path, agent):
    for workers in (1, 2):
        trial.run(load_config(*words(agent, "meta.max_session=2", f"meta.num_workers={workers}"), run_dir=str(workers)))
    for session in range(2):
        one, two = (policy_of(tmp_path / str(workers), session) for workers in (1, 2))
        for name, tensor in one.items():
            torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["ppo", "dqn", "sac"])
def test_hogwild_shares_the_normaliser_too(load_config, tmp_path, agent):
    trial.run(load_config(*words(agent, "meta.max_session=2", "meta.distributed=shared", "env.max_frame=240")))
    assert policy_of(tmp_path / "run", 0)["net.obs_norm.count"] > 100


def vector_of_sub_envs(num_envs, **kwargs):
    return gymnasium.vector.SyncVectorEnv([lambda: ImageXorSign(**kwargs)] * num_envs)


gymnasium.register("VectorXor-v0", ImageXorSign, vector_entry_point=f"{__name__}:vector_of_sub_envs")


@pytest.mark.parametrize("backend", ["async", "vector_entry_point"])
def test_backends_give_the_same_bytes(backend):
    """Without and with a process for each sub-env, and where the env itself is vectorised."""
    rows = {}
    for name in ("sync", backend):
        made = envs.make(EnvConfig(id=f"{__name__}:VectorXor-v0", backend=name), num_sessions=1, num_envs=2)
        assert made.reset([3, 4]).dtype == np.uint8
        rows[name] = [made.step(np.zeros((1, 2), np.int64))[0].copy() for _ in range(12)]
        made.close()
    np.testing.assert_array_equal(rows["sync"], rows[backend])


class Nan(ImageXorSign):
    def observe(self):
        return super().observe() | {"state": {"sign": np.array([np.nan])}}


gymnasium.register("Nan-v0", Nan)


def test_what_is_not_finite_among_the_bytes_is_an_error():
    made = envs.make(EnvConfig(id=f"{__name__}:Nan-v0"), num_sessions=2, num_envs=1)
    with pytest.raises(EnvError, match="session 0, sub-env 0: nan as observation"):
        made.reset([0, 1])
    made.close()


def test_the_first_lines_tell_what_was_taken_for_an_image(load_config, capsys):
    trial.run(load_config(*words("ppo")))
    told = "observations: camera (8, 8, 3) image, channels last; state.sign (1,); noise Discrete(3, start=-1)\n"
    assert told in capsys.readouterr().out


def test_a_network_for_each_part_is_saved_with_the_run(load_config, tmp_path):
    network = "agent.network={camera: 'cnn_small:CHW', state.sign: mlp}"
    trial.run(load_config(*words("ppo"), network))
    assert load_file(tmp_path / "run" / "config.yaml").agent.network == {"camera": "cnn_small:CHW", "state.sign": "mlp"}
    player.load(tmp_path / "run", "last")


def test_a_policy_of_parts_is_not_exported(load_config, tmp_path):
    trial.run(load_config(*words("ppo", "env.num_envs=8")))
    loaded = player.load(tmp_path / "run", "last")
    with pytest.raises(ConfigError, match="its observations have several parts, of which no file can be made yet"):
        export.export(loaded, 0, "onnx", tmp_path)


def test_a_policy_takes_the_observations_of_the_env(load_config, tmp_path):
    from rllab.api.policy import Policy
    from rllab.errors import ConfigError

    trial.run(load_config(*words("ppo")))
    policy = Policy(player.load(tmp_path / "run", "last"), 0)
    obs, _ = ImageXorSign().reset(seed=0)
    assert policy(obs) in (0, 1)
    with pytest.raises(ConfigError, match=r"^obs: got .* as observation\['camera'\]"):
        policy(obs | {"camera": np.zeros((3, 3), np.uint8)})


LEARNING = {
    "ppo": ["agent.num_steps=64", "env.max_frame=30_000"],
    "a2c": ["agent.num_steps=16", "agent.lr=3e-3", "agent.ent_coef=0.05", "env.max_frame=60_000"],
    "reinforce": ["agent.num_steps=64", "env.max_frame=30_000"],
    "sarsa": ["env.max_frame=30_000"],
    "dqn": ["agent.train_freq=1", "agent.gradient_steps=2", "env.max_frame=5000"],
    "qrdqn": ["agent.train_freq=1", "agent.gradient_steps=2", "env.max_frame=5000"],
    "crossq": ["agent.critic_hidden=[64]"],
    "td3": [
        *("agent.lr=1e-4", "agent.critic_lr=1e-3", "agent.exploration_noise=0.5"),
        *("agent.learning_starts=2000", "agent.buffer_size=6000", "env.max_frame=6000"),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_learns_what_needs_both(load_config, tmp_path, agent):
    """5 is the best return; 2.5 is what chance gives, and what there is to whoever sees one of the parts alone."""
    how = ["agent.lr=1e-3", "agent.gamma=0.5", "env.num_envs=8", "meta.max_session=2", "agent.hidden=[64]"]
    how += ["agent.learning_starts=500", "agent.batch_size=32"] if REPLAY[0] in AGENTS[agent] else []
    how += ["env.max_frame=2500", "meta.log_frequency=5000", *LEARNING.get(agent, [])]
    trial.run(load_config(*words(agent), *how))
    assert player.load(tmp_path / "run", "last").evaluate([0, 1], num_episodes=40).returns.mean() > 4
