import pytest

from rllab.kernels import threads


@pytest.fixture
def two_threads():
    """Kernels may use two."""
    threads.use(2)
    yield
    threads.use(1)
