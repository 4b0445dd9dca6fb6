"""Range checks of config fields: one line that names the field, what it got and what to write instead."""

from typing import Any


def require(condition: bool, field: str, got: object, *, write: str) -> None:
    """Raise the project's one-line ``ValueError`` unless `condition` holds.

    Args:
        condition: what must be true of the value.
        field: full name as a person types it, ``agent.gamma``.
        got: the value it has.
        write: what to write instead, read after "write".
    """
    if not condition:
        raise ValueError(f"{field}: got {got!r}; write {write}")


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
