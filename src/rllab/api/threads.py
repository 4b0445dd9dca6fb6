"""torch's number of threads, which is the caller's too."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def kept(num_threads: int) -> Iterator[None]:
    """Use so many, and give back the number that there was. torch counts them for each thread of Python by itself."""
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
