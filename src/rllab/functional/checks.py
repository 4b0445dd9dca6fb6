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
