"""Makes run directories as the trainer leaves them behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from analysis_runs import write_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    return lambda **options: write_run(tmp_path / "run", **options)
