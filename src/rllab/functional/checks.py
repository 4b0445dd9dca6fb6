"""Range checks that several agents share: one line that names the field, what it got and what to write instead."""

import math
from typing import Any

from rllab.errors import BudgetError, require


def check_rollout_budget(num_steps: int, *, num_envs: int, max_frame: int) -> None:
    """Raise the one-line ``ValueError`` for a budget of frames that ends before the first rollout does."""
    what = f"one rollout is agent.num_steps={num_steps} * env.num_envs={num_envs}"
    _check_budget(num_steps * num_envs, what, num_envs=num_envs, max_frame=max_frame)


def check_replay_budget(learning_starts: int, train_freq: int, *, num_envs: int, max_frame: int) -> None:
    """Raise the one-line ``ValueError`` for a budget of frames that ends before the first gradient step."""
    num_steps = max(1, math.ceil(learning_starts / (train_freq * num_envs))) * train_freq
    what = f"agent.learning_starts={learning_starts}, agent.train_freq={train_freq} * env.num_envs={num_envs}"
    _check_budget(num_steps * num_envs, what, num_envs=num_envs, max_frame=max_frame)


def _check_budget(needed: int, what: str, *, num_envs: int, max_frame: int) -> None:
    if math.ceil(max_frame / num_envs) * num_envs < needed:
        raise BudgetError(what, needed, max_frame)


def check_off_policy(config: Any) -> None:
    """Range checks of the fields that all agents with a replay buffer and a policy network have."""
    for name in ("buffer_size", "batch_size", "train_freq", "n_step", "num_critics"):
        value = getattr(config, name)
        require(value >= 1, f"agent.{name}", value, write="an integer of at least 1")
    require(config.learning_starts >= 0, "agent.learning_starts", config.learning_starts, write="0 or more frames")
    steps = config.gradient_steps
    write = "an integer of at least 1, or -1 for one for each frame"
    require(steps >= 1 or steps == -1, "agent.gradient_steps", steps, write=write)
    require(0 <= config.gamma <= 1, "agent.gamma", config.gamma, write="a number from 0 to 1, e.g. 0.99")
    for width in config.hidden:
        require(width >= 1, "agent.hidden", config.hidden, write="a list of widths of at least 1, e.g. [256,256]")
