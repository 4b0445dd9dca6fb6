"""Run directories as the trainer leaves them behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = {
    "meta": {"max_session": 2, "seed": 7, "rigorous_eval": None},
    "env": {"id": "CartPole-v1", "max_frame": 400, "reward_threshold": 30.0, "random_return": 10.0},
    "agent": {"name": "ppo"},
}
TRAIN_HEADER = "frame,elapsed_s,rollout/ep_rew_mean,rollout/ep_len_mean,train/num_updates,rollout/env_steps"
EVAL_HEADER = "frame,elapsed_s,eval/mean_reward,eval/mean_ep_length"
TRAIN = ("100,1.0,,,0,100", "200,2.0,20.0,20.0,4,199", "300,3.0,40.0,40.0,8,297", "400,4.0,35.0,35.0,10,395")
EVALS = {
    0: ("100,1.0,20.0,20.0", "200,2.0,30.0,30.0", "400,4.0,20.0,20.0"),
    1: ("100,1.0,30.0,30.0", "200,2.0,50.0,50.0", "400,4.0,60.0,60.0"),
}


def write_table(path: Path, header: str, rows: tuple[str, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in (header, *rows)), encoding="utf-8")


def write_run(path: Path, *, sessions: int = 2, **env: object) -> Path:
    """A run of `sessions` sessions whose strengths are 10, 20, 10 (session 0) and 20, 40, 50 (session 1)."""
    for index in range(sessions):
        write_table(path / f"session_{index}" / "train.csv", TRAIN_HEADER, TRAIN)
        write_table(path / f"session_{index}" / "eval.csv", EVAL_HEADER, EVALS[index])
    config = {**CONFIG, "env": {**CONFIG["env"], **env}}
    (path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return path
