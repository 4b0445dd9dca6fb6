"""A whole trial: what it writes, that it repeats itself, that sessions are independent, that it resumes exactly."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from rllab import checkpoint, config
from rllab.errors import ConfigError
from rllab.training import trial, validation

ROOT = Path(__file__).parents[1]
SMALL = ["agent.num_steps=32", "agent.num_minibatches=2", "agent.num_epochs=2", "meta.log_frequency=200"]
SMALL += ["meta.eval_frequency=300", "env.max_frame=2000"]
OTHER_CLASSICS = ["acrobot", "mountaincar", "mountaincar_continuous"]
CLOCKS = ("elapsed_s", "time/fps", "time/env_share", "time/act_share", "time/update_share", "time/log_share")


def rows(run_dir, session=0, name="train"):
    with (Path(run_dir) / f"session_{session}" / f"{name}.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in CLOCKS} for row in csv.DictReader(file)]


def last(run_dir):
    return checkpoint.read(Path(run_dir) / "checkpoints" / "last.safetensors")


def policy(run_dir):
    return last(run_dir)["algorithm"]["policy"]


def assert_same_policy(a, b):
    for name, tensor in policy(a).items():
        assert torch.equal(tensor, policy(b)[name]), name


def test_run_directory_holds_what_a_person_needs(load_config, tmp_path):
    score = trial.run(load_config(*SMALL, "meta.max_session=2", "meta.rigorous_eval=3"))
    run = tmp_path / "run"
    expected = {"config.yaml", "provenance.json", "trial.json", "learning_curve.png", "checkpoints"}
    assert expected <= {p.name for p in run.iterdir()}
    assert {p.name for p in (run / "checkpoints").iterdir()} == {"last.safetensors", "best.safetensors"}
    summary = json.loads((run / "trial.json").read_text())
    assert score == pytest.approx(summary["final_eval"]["mean"]["value"])
    assert list((run / "session_1").glob("events.out.tfevents*"))
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["seed"] == 0
    assert provenance["versions"]["torch"] == torch.__version__
    assert config.load_file(run / "config.yaml").env.reward_threshold == 475  # resolved: the env's own


def test_checkpoints_of_the_clock_are_in_frames_whatever_num_envs_is(load_config, tmp_path):
    for num_envs, expected in ((8, [104, 200, 304, 400]), (3, [102, 201, 300, 402])):
        overrides = [
            f"env.num_envs={num_envs}",
            "env.max_frame=400",
            "meta.log_frequency=100",
            "meta.eval_frequency=250",
        ]
        trial.run(load_config("agent=random", *overrides, "meta.max_session=1", run_dir=f"n{num_envs}"))
        frames = [int(r["frame"]) for r in rows(tmp_path / f"n{num_envs}")]
        assert frames == expected, num_envs
        evals = [int(r["frame"]) for r in rows(tmp_path / f"n{num_envs}", name="eval")]
        assert evals == ([256, 400] if num_envs == 8 else [252, 402])  # at 250, and at the end


def test_the_same_command_twice_gives_the_same_numbers(load_config, tmp_path):
    for name in ("a", "b"):
        trial.run(load_config(*SMALL, "meta.max_session=2", "meta.rigorous_eval=2", run_dir=name))
    for session in (0, 1):
        for table in ("train", "eval"):
            assert rows(tmp_path / "a", session, table) == rows(tmp_path / "b", session, table)
    assert rows(tmp_path / "a", 0) != rows(tmp_path / "a", 1)
    assert_same_policy(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("env", ["cartpole", "pendulum"])
def test_a_session_does_not_depend_on_how_many_run_beside_it(load_config, tmp_path, env):
    few = ["env.max_frame=1024", *SMALL[:-1]]  # four updates
    trial.run(load_config(f"env={env}", *few, "meta.max_session=1", run_dir="one"))
    trial.run(load_config(f"env={env}", *few, "meta.max_session=4", run_dir="four"))
    for name, tensor in policy(tmp_path / "one").items():
        torch.testing.assert_close(tensor[0], policy(tmp_path / "four")[name][0], rtol=1e-4, atol=1e-5)
    assert [r["rollout/ep_rew_mean"] for r in rows(tmp_path / "one")][:2] == [
        r["rollout/ep_rew_mean"] for r in rows(tmp_path / "four")
    ][:2]


def test_evaluation_touches_neither_training_nor_normaliser(load_config, tmp_path):
    for episodes in (0, 3):
        overrides = ["agent.normalize_obs=true", f"meta.rigorous_eval={episodes}", "meta.max_session=2"]
        trial.run(load_config(*SMALL, *overrides, run_dir=f"eval{episodes}"))
    assert_same_policy(tmp_path / "eval0", tmp_path / "eval3")


@pytest.mark.parametrize(
    "env",
    ["cartpole", "pendulum", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHER_CLASSICS)],
)
def test_interrupted_and_resumed_is_as_if_never_interrupted(load_config, tmp_path, stop_at, env):
    overrides = [f"env={env}", "tuned=none", *SMALL, "meta.max_session=2", "agent.normalize_obs=true"]
    overrides += ["agent.normalize_reward=true", "agent.lr=linear:1e-3:0", "meta.rigorous_eval=1"]
    if env.startswith(("mountaincar", "acrobot")):
        overrides += ["+env.kwargs.max_episode_steps=70"]  # so that episodes end in between
    trial.run(load_config(*overrides, run_dir="whole"))
    stop_at(776)  # in the middle of a rollout, between log checkpoints
    with pytest.raises(SystemExit) as stopped:
        trial.run(load_config(*overrides, run_dir="cut"))
    assert stopped.value.code == 128 + signal.SIGTERM
    assert last(tmp_path / "cut")["step"] * 8 == 776
    trial.run(load_config(f"meta.resume={tmp_path / 'cut'}"))
    assert_same_policy(tmp_path / "whole", tmp_path / "cut")
    for session in (0, 1):
        for table in ("train", "eval"):
            assert rows(tmp_path / "whole", session, table) == rows(tmp_path / "cut", session, table)
    best = [checkpoint.read(tmp_path / run / "checkpoints" / "best.safetensors") for run in ("whole", "cut")]
    assert best[0]["score"] == best[1]["score"]
    assert best[0]["frame"] == best[1]["frame"]


@pytest.mark.parametrize(
    ("agent", "overrides"),
    [
        ("a2c", ["env=pendulum", "agent.num_steps=7", "agent.normalize_reward=true"]),
        pytest.param("a2c", ["env=cartpole", "agent.optimizer=adam"], marks=pytest.mark.slow),
        ("reinforce", ["env=cartpole", "agent.num_steps=32"]),
        ("reinforce", ["env=pendulum", "+env.kwargs.max_episode_steps=70", "agent.num_steps=64"]),
    ],
)
def test_agents_repeat_themselves_session_by_session_and_resume_exactly(
    load_config, tmp_path, stop_at, agent, overrides
):
    overrides = [f"agent={agent}", "tuned=none", *overrides, "agent.normalize_obs=true", "agent.lr=linear:1e-3:0"]
    overrides += ["env.max_frame=2000", "meta.log_frequency=200", "meta.max_session=2"]
    trial.run(load_config(*overrides, run_dir="whole"))
    stop_at(776)  # in the middle of a rollout
    with pytest.raises(SystemExit):
        trial.run(load_config(*overrides, run_dir="cut"))
    trial.run(load_config(f"meta.resume={tmp_path / 'cut'}"))
    assert_same_policy(tmp_path / "whole", tmp_path / "cut")
    assert rows(tmp_path / "whole", 1) == rows(tmp_path / "cut", 1)
    few = ["meta.max_session=1", "env.max_frame=600"]
    trial.run(load_config(*overrides, *few, run_dir="one"))
    trial.run(load_config(*overrides, *few[1:], run_dir="two"))
    for name, tensor in policy(tmp_path / "one").items():
        torch.testing.assert_close(tensor[0], policy(tmp_path / "two")[name][0], rtol=1e-4, atol=1e-5)


def test_env_whose_state_cannot_be_saved_restarts_its_episodes_and_says_so(load_config, tmp_path, stop_at, capsys):
    overrides = [
        "env=pendulum",
        *SMALL,
        "tuned=none",
        "env.backend=async",
        "env.num_envs=2",
        "meta.max_session=1",
    ]
    overrides += ["env.max_frame=400"]
    stop_at(150)
    with pytest.raises(SystemExit):
        trial.run(load_config(*overrides))
    trial.run(load_config(f"meta.resume={tmp_path / 'run'}"))
    assert "its episodes begin anew" in capsys.readouterr().out
    assert rows(tmp_path / "run")[-1]["frame"] == "400"


def test_resuming_a_finished_run_changes_nothing(load_config, tmp_path):
    trial.run(load_config(*SMALL, "meta.max_session=1"))
    before = rows(tmp_path / "run")
    trial.run(load_config(f"meta.resume={tmp_path / 'run'}"))
    assert rows(tmp_path / "run") == before


def test_best_keeps_each_session_at_its_own_best(load_config, tmp_path):
    trial.run(load_config(*SMALL, "meta.max_session=2", "env.max_frame=6000", "meta.log_frequency=500"))
    best = checkpoint.read(tmp_path / "run" / "checkpoints" / "best.safetensors")
    for session in (0, 1):
        scores = {int(r["frame"]): float(r["rollout/ep_rew_mean"]) for r in rows(tmp_path / "run", session)}
        assert best["score"][session] == pytest.approx(max(scores.values()))
        assert scores[best["frame"][session]] == pytest.approx(max(scores.values()))
    assert set(best["policy"]) == set(policy(tmp_path / "run"))


def test_a_session_that_stops_on_kl_stands_still(load_config, tmp_path):
    trial.run(load_config(*SMALL, "meta.max_session=2", "agent.target_kl=1e-12"))
    updates = [r["train/num_updates"] for r in rows(tmp_path / "run") if r["train/num_updates"]]
    # 2000 frames are 7 whole rollouts of 256; the first minibatch sees a KL of 0 and moves, the second sees it moved
    assert float(updates[-1]) == 7


@pytest.mark.parametrize("words", [[], pytest.param(["meta.num_workers=2"], marks=pytest.mark.slow)])
def test_a_run_with_a_longer_budget_is_one_that_had_it_from_the_start(load_config, tmp_path, words):
    words = [*SMALL[:-1], "meta.max_session=2", "agent.lr=1e-3", "tuned=none", "meta.log_frequency=500", *words]
    trial.run(load_config(*words, "env.max_frame=1000"))
    with pytest.raises(ConfigError, match=r"env.max_frame: got 500, less than the budget of the run; write more than"):
        trial.run(load_config(f"meta.resume={tmp_path / 'run'}"), max_frame=500)
    trial.run(load_config(f"meta.resume={tmp_path / 'run'}"), max_frame=2000)
    trial.run(load_config(*words, "env.max_frame=2000", run_dir="whole"))
    assert_same_policy(tmp_path / "run", tmp_path / "whole")
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert saved["env"]["max_frame"] == 2000
    assert json.loads((tmp_path / "run" / "provenance.json").read_text())["resumed"][-1]["max_frame"] == 2000


def test_killed_at_any_moment_the_run_goes_on_from_last(load_config, tmp_path):
    run = tmp_path / "run"
    words = ["env.max_frame=15000", "meta.max_session=1", "meta.num_threads=1"]
    words += ["meta.kernels=off", "agent.num_epochs=10"]  # slow enough that no machine is through before it is killed
    command = [sys.executable, str(ROOT / "train.py"), *SMALL[:-1], *words]
    process = subprocess.Popen([*command, f"run_dir={run}"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    path = run / "checkpoints" / "last.safetensors"
    deadline = time.monotonic() + 60
    while not (path.exists() and last(run)["step"]) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.kill()
    process.wait()
    assert 0 < last(run)["frame"] < 15000
    resume = [sys.executable, str(ROOT / "train.py"), f"meta.resume={run}"]
    subprocess.run(resume, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    trial.run(load_config(*command[2:], run_dir="whole"))
    assert_same_policy(run, tmp_path / "whole")
    assert rows(run) == rows(tmp_path / "whole")


def test_tuples_and_generators_of_an_env_are_part_of_a_resume(load_config, tmp_path, stop_at, capsys):
    words = ["env=gymnasium", "env.id=field:Walk-v0", "env.num_envs=2", "env.max_frame=1600", "agent.num_steps=32"]
    words += ["meta.max_session=2", "meta.log_frequency=100"]
    stop_at(700)
    with pytest.raises(SystemExit):
        trial.run(load_config(*words))
    trial.run(load_config(f"meta.resume={tmp_path / 'run'}"))
    assert "was not saved" not in capsys.readouterr().out
    trial.run(load_config(*words, run_dir="whole"))
    assert_same_policy(tmp_path / "run", tmp_path / "whole")
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    command = [
        sys.executable,
        str(ROOT / "train.py"),
        "env.max_frame=1e7",
        "meta.max_session=1",
        f"run_dir={tmp_path / 'run'}",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "run" / "checkpoints" / "last.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.2)  # it is there before the first step
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"meta.resume={tmp_path / 'run'}" in out.replace("\n", "")
    assert last(tmp_path / "run")["step"] > 0


@pytest.mark.parametrize(
    ("space", "head"),
    [("multi_discrete", "MultiCategorical"), ("multi_binary", "Bernoulli"), ("box", "DiagGaussian")],
)
def test_every_action_space_trains(load_config, space, head):
    overrides = [f"env.id=probes:{space}-v0", "tuned=none", *SMALL, "meta.max_session=2", "env.max_frame=600"]
    made = trial.Trial(*trial.check(load_config(*overrides, run_dir="made")))
    assert type(made.crew.algorithm.net.distribution).__name__ == head
    made.close()
    assert np.isfinite(trial.run(load_config(*overrides)))


def test_a_directory_that_holds_a_run_is_refused(load_config, tmp_path):
    trial.run(load_config("agent=random", "env.max_frame=100"))
    before = rows(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"run_dir: got .*, which holds a run already; write another one"):
        trial.run(load_config("agent=random", "env.max_frame=200"))
    assert rows(tmp_path / "run") == before


def test_ordinary_module_as_network(load_config, tmp_path):
    overrides = ["agent.network=probes:Torso", *SMALL, "tuned=none", "env.max_frame=600"]
    trial.run(load_config(*overrides, "meta.max_session=2", run_dir="two"))
    trial.run(load_config(*overrides, "meta.max_session=1", run_dir="one"))
    for name, tensor in policy(tmp_path / "one").items():
        torch.testing.assert_close(tensor[0], policy(tmp_path / "two")[name][0], rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("no_picture")
@pytest.mark.parametrize("name", ["memory", "optimizer"])
def test_a_run_of_before_there_was_a_memory_goes_on_but_not_without_what_has_learned(load_config, tmp_path, name):
    trial.run(load_config(*SMALL, "meta.max_session=1", "env.max_frame=400"))
    state = last(tmp_path / "run")
    del state["algorithm"][name]
    checkpoint.write(tmp_path / "run" / "checkpoints" / "last.safetensors", state)
    resume = load_config(f"meta.resume={tmp_path / 'run'}")
    if name == "memory":
        trial.run(resume, max_frame=500)
    else:
        with pytest.raises(ConfigError, match=r"^meta.resume: got .*, whose checkpoints do not fit .*'optimizer'"):
            trial.run(resume, max_frame=500)


@pytest.mark.usefixtures("no_picture")
def test_a_run_of_an_older_version_cannot_go_on(load_config, tmp_path, stop_at):
    stop_at(400)
    with pytest.raises(SystemExit):
        trial.run(load_config(*SMALL, "meta.max_session=1"))
    state = last(tmp_path / "run")
    state["format"] -= 1
    checkpoint.write(tmp_path / "run" / "checkpoints" / "last.safetensors", state)
    with pytest.raises(ConfigError, match=r"^meta.resume: got .*, which an older version of rllab wrote"):
        trial.run(load_config(f"meta.resume={tmp_path / 'run'}"))


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("env=acrobot meta=quick_dev", "env=acrobot meta.seed=7 meta=validate"),
        (
            "meta.device=cpu meta.num_threads=2 meta.kernels=off meta.final_eval=5",
            "meta.device=cpu meta.num_threads=2 meta.kernels=off meta.final_eval=5 meta.seed=7 meta=validate",
        ),
        ("meta.max_session=2 meta.rigorous_eval=3 ++meta.log_frequency=1e3 meta.seed=6", "meta.seed=7 meta=validate"),
        ("run_dir=a hydra.run.dir=b", "meta.seed=7 meta=validate"),
        ("-cd meta_conf -cn best meta=standard", "-cd meta_conf -cn best meta.seed=7 meta=validate"),
        ("-m env=acrobot", None),
        ("meta.resume=a", None),
    ],
)
def test_the_command_that_validates_keeps_what_is_not_for_its_preset_to_set(line, wanted):
    command = wanted and f"python train.py {wanted}"
    assert validation.validation_command(["train.py", *line.split()], seed=7) == command


@pytest.mark.parametrize(("seed", "unseen"), [(0, 4), (4, 5)])
def test_a_result_is_validated_on_seeds_that_neither_it_nor_the_search_has_seen(tmp_path, seed, unseen):
    best = tmp_path / "best.yaml"
    best.write_text("meta: {seed: 4}\n")  # one that the search has not seen
    assert validation.unseen_seed(seed, [str(tmp_path / "agent" / "mine.yaml"), str(best)]) == unseen
    assert validation.unseen_seed(seed, []) == seed + 1
