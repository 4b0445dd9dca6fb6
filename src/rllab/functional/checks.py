"""Range checks of config fields: one line that names the field, what it got and what to write instead."""


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


class UnfitError(ValueError):
    """An agent cannot act in such a space, or see in it. A clause to be read after its name."""
