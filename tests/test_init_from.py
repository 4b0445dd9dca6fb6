"""`meta.init_from`: a new run begins with the policies of another one."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from rllab import checkpoint
from rllab.errors import ConfigError
from rllab.report import run as report
from rllab.training import checks, trial
from rllab.training.sessions import Sessions

SMALL = ["tuned=none", "env.max_frame=1000", "meta.log_frequency=250", "meta.eval_frequency=500"]
PPO = [*SMALL, "agent.num_steps=32", "agent.normalize_obs=true", "agent.normalize_reward=true", "meta.max_session=2"]
SAC = [
    *SMALL,
    "agent=sac",
    "env=pendulum",
    "env.max_episode_steps=50",
    "agent.hidden=[16,16]",
    "agent.learning_starts=800",
    "meta.max_session=2",
]
DQN = [*SMALL, "agent=dqn", "agent.hidden=[16,16]", "agent.learning_starts=800", "meta.max_session=2"]
AGENTS = {"ppo": PPO, "sac": SAC, "dqn": DQN}


@pytest.fixture(scope="module")
def source(tmp_path_factory, compose_config):
    """Runs that have learned something, by the name of their agent."""
    folder = tmp_path_factory.mktemp("source")
    for name, words in AGENTS.items():
        trial.run(compose_config(*words, run_dir=folder / name))
    return folder


@pytest.fixture
def sessions(load_config):
    """The algorithm of a run, or of some of its sessions, that has begun."""

    def begun(*words, numbers=None):
        cfg, info = checks.check(load_config(*words))
        made = Sessions(cfg, info, numbers or range(cfg.meta.max_session))
        made.begin()
        made.close()
        return made.algorithm

    return begun


def saved(source, agent, which):
    read = checkpoint.read(source / agent / "checkpoints" / f"{which}.safetensors")
    return read["policy"] if which == "best" else read["algorithm"]


def assert_same(given, wanted):
    assert given.keys() == wanted.keys()
    for name in given:
        torch.testing.assert_close(given[name], wanted[name], rtol=0, atol=0)


@pytest.mark.parametrize("agent", AGENTS)
def test_policies_are_those_of_best_session_by_session(sessions, source, agent):
    policy = saved(source, agent, "best")
    words = [*AGENTS[agent], f"meta.init_from={source / agent}"]
    assert_same(sessions(*words).net.state_dict(), policy)
    made = sessions(*words, "meta.max_session=3", numbers=range(1, 3))  # as in a worker; two have trained
    assert_same(made.net.state_dict(), {name: x[[1, 0]] for name, x in policy.items()})
    if agent == "dqn":
        assert_same(made.target.state_dict(), made.net.state_dict())


@pytest.mark.parametrize("agent", AGENTS)
def test_last_has_critics_and_targets_too_and_optimisers_on_request(sessions, source, agent):
    state = saved(source, agent, "last")
    words = [*AGENTS[agent], f"meta.init_from={source / agent}", "meta.init_checkpoint=last"]
    given = sessions(*words).state_dict()
    networks = [name for name in ("policy", "critics", "target_critics", "target", "reward_norm") if name in state]
    for name in networks:
        kept = {key: x for key, x in given[name].items() if key != "discounted_return"}
        assert_same(kept, {key: state[name][key] for key in kept})
    assert not given["optimizer"]["exp_avg"].any()
    given = sessions(*words, "meta.init_optimizers=true").state_dict()
    assert_same(given["optimizer"], state["optimizer"])
    if agent == "sac":
        assert_same(given["critic_optimizer"], state["critic_optimizer"])
        assert_same(given["temperature"]["optimizer"], state["temperature"]["optimizer"])
        assert given["temperature"]["log_coef"].equal(state["temperature"]["log_coef"])


def test_statistics_begin_anew_on_request(sessions, source):
    words = [*PPO, f"meta.init_from={source / 'ppo'}"]
    given = sessions(*words, "meta.init_normalizers=false").net.state_dict()
    assert not given["obs_norm.count"].any()
    assert given["actor_head.weight_0"].equal(saved(source, "ppo", "best")["actor_head.weight_0"])


@pytest.mark.slow  # three processes start several times
@pytest.mark.usefixtures("no_picture")
def test_workers_begin_alike_and_a_resume_needs_no_origin(compose_config, source, tmp_path):
    origin = shutil.copytree(source / "ppo", tmp_path / "origin")
    words = [*PPO, f"meta.init_from={origin}", "env.num_envs=4"]
    for name, more in {"one": [], "two": ["meta.num_workers=2"], "hogwild": ["meta.distributed=synced"]}.items():
        trial.run(compose_config(*words, *more, run_dir=tmp_path / name))
    assert_same(*(saved(tmp_path, name, "last")["policy"] for name in ("one", "two")))
    facts = json.loads((tmp_path / "hogwild" / "provenance.json").read_text())["init_from"]
    assert (facts["run"], facts["checkpoint"], len(facts["frames"])) == (str(origin), "best", 2)
    last = [f"meta.init_from={tmp_path / 'two'}", "meta.init_checkpoint=last", "meta.init_optimizers=true"]
    trial.run(compose_config(*PPO, *last, run_dir=tmp_path / "third"))
    assert report.provenance(tmp_path / "third")["lineage"] == [
        f"{tmp_path / 'two'} (last, frame 1,000)",
        f"{origin} (best, frame {max(facts['frames']):,})",
    ]
    shutil.rmtree(origin)
    trial.run(compose_config(f"meta.resume={tmp_path / 'one'}", run_dir="unused"), max_frame=1500)


def test_hogwild_begins_with_the_first_policy(load_config, source):
    from rllab.distributed.policy import SharedPolicy

    words = [*PPO, f"meta.init_from={source / 'ppo'}", "meta.distributed=synced"]
    policy = SharedPolicy(*checks.check(load_config(*words)))
    policy.load(None, None)
    assert_same(policy.algorithm.net.state_dict(), {k: x[:1] for k, x in saved(source, "ppo", "best").items()})


REFUSED = {
    "meta.init_from=nowhere": "meta.init_from: got 'nowhere', which is no run directory; write *",
    "meta.init_optimizers=true": "meta.init_optimizers: got true, but `best` holds policies alone; write meta.init_ch*",
    "agent.hidden=[64,32]": "meta.init_from: got *, whose actor_torso.weight_1 is (64, 64), where this run has (32, *",
    "env=acrobot": "meta.init_from: got *, whose obs_norm.mean is (1, 4), where this run has (1, 6); *",
    "agent.normalize_obs=false": "meta.init_from: got *, whose obs_norm.mean is (1, 4), where this run has nothing; *",
}


@pytest.mark.parametrize("word", REFUSED)
def test_what_does_not_fit_is_refused_by_its_name(load_config, source, word):
    from fnmatch import fnmatch

    with pytest.raises(ConfigError) as refused:
        checks.check(load_config(*PPO, f"meta.init_from={source / 'ppo'}", word))
    assert fnmatch(str(refused.value), REFUSED[word]), str(refused.value)


def test_a_checkpoint_that_is_not_there_or_damaged(load_config, source, tmp_path):
    origin = shutil.copytree(source / "ppo", tmp_path / "origin")
    best = Path(origin) / "checkpoints" / "best.safetensors"
    best.write_bytes(best.read_bytes()[:-100])
    cfg = load_config(*PPO, f"meta.init_from={origin}")
    with pytest.raises(ConfigError, match=r"^meta\.init_from: got .*, whose checkpoint cannot be used: .*damaged"):
        checks.check(cfg)
    best.unlink()
    with pytest.raises(
        ConfigError, match=r"^meta\.init_from: got .*, which has no `best`, .*write meta\.init_checkpoint=last"
    ):
        checks.check(cfg)
