"""How many threads kernels use. Each session is one thread's, so their number changes no result."""

_most = 1


def use(cores: int) -> None:
    """Let kernels of this process use so many cores."""
    global _most  # noqa: PLW0603 - as torch's number of threads, of the process
    _most = max(1, cores)


def number(num_sessions: int) -> int:
    """Threads for so many sessions."""
    return min(num_sessions, _most)
