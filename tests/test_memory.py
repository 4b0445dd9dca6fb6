"""What an agent remembers from step to step goes through training, evaluation, players and a resume."""

import dataclasses
from dataclasses import dataclass

import gymnasium.spaces as gs
import numpy as np
import pytest
import torch
from torch import nn

from rllab import checkpoint
from rllab.algorithms import Acted, Algorithm
from rllab.buffers.rollout import RolloutBuffer
from rllab.play import player
from rllab.training import trial

RUN = ["env=gymnasium", "env.id=probes:Timed-v0", "env.num_envs=2", "env.max_frame=80", "tuned=none"]
RUN += ["meta.max_session=2", "meta.log_frequency=20", "meta.eval_frequency=20"]


@dataclass(frozen=True)
class CountingConfig:
    name: str = f"{__name__}:Counting"


class Counting(Algorithm):
    """Counts the steps of each episode by memory alone, and insists that the env shows the same number."""

    Config = CountingConfig
    rollout_steps = 1

    @staticmethod
    def check(config, task):
        assert isinstance(task.action_space, gs.Discrete)

    def __init__(self, config, task, *, seed, device="cpu"):
        self.task, self.device = task, device
        self.net = nn.Linear(1, 1)
        for parameter in self.net.parameters():
            parameter.data = torch.ones(task.num_sessions, 1)
        self.num_started = 0

    def make_buffer(self):
        return RolloutBuffer(1, *self.task.layout)

    def act(self, obs, state, starts, *, explore):
        before = state.get("count", torch.full(obs.shape[:2], -99))
        count = torch.where(torch.from_numpy(starts), 0, before + 1)
        np.testing.assert_array_equal(count.numpy(), obs[..., 0])
        self.num_started += int(starts.sum())
        return Acted(np.zeros(obs.shape[:2], np.int64), {}, {"count": count})

    def update(self, buffer, frame):
        return {}

    def policy(self, session):
        raise NotImplementedError


@pytest.mark.usefixtures("no_picture")
@pytest.mark.parametrize("backend", ["sync", "async"])
def test_in_training_evaluation_and_a_player(load_config, tmp_path, backend):
    cfg = load_config(*RUN, f"env.backend={backend}", "meta.rigorous_eval=3", "meta.final_eval=3")
    trial.run(dataclasses.replace(cfg, agent=CountingConfig()))
    loaded = player.load(tmp_path / "run", "last")
    assert loaded.evaluate([1], num_episodes=3).lengths.shape == (1, 3)
    assert loaded.agent.num_started > 3


@pytest.mark.usefixtures("no_picture")
def test_a_resumed_run_remembers(load_config, tmp_path, stop_at):
    cfg = dataclasses.replace(load_config(*RUN), agent=CountingConfig())
    stop_at(34)  # in the middle of episodes
    with pytest.raises(SystemExit):
        trial.run(cfg)
    saved = checkpoint.read(tmp_path / "run" / "checkpoints" / "last.safetensors")
    assert (saved["acting"]["count"] > 0).any()
    trial.run(dataclasses.replace(cfg, meta=dataclasses.replace(cfg.meta, resume=str(tmp_path / "run"))))
