"""Errors whose text is one line for a person: what is wrong, what it got, and what to write instead.

They need no other library, so that whoever only refuses something waits for none.
"""


class ConfigError(Exception):
    """Bad input. Its text is one line: the field, what it got, and what to write instead."""


class TakenError(ConfigError):
    """A trial of a search was to go on where a run of another config lies."""


class UnfitError(ValueError):
    """An agent cannot act in such a space, or see in it. Its text is a clause that is read after the agent's name."""


class BudgetError(ValueError):
    """Nothing would be learned within the frames that there are."""

    def __init__(self, what: str, needed: int, max_frame: int) -> None:
        """`what` is counted, how many frames it needs, and how many there are."""
        super().__init__(what, needed, max_frame)
        self.what, self.needed, self.max_frame = what, needed, max_frame

    def __str__(self) -> str:
        return (
            f"env.max_frame: got {self.max_frame}, in which nothing would be learned ({self.what}); write at least "
            f"{self.needed}, or less of the others"
        )


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
