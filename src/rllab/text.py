"""Values as a person reads and types them."""

import math
from typing import Any

_HUGE = 1e12


def score_text(value: float | None) -> str:
    """A return or a score: `1,234.5`, `1.2e+30`, and a dash for what does not exist."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:,.1f}" if abs(value) < _HUGE else f"{value:.4g}"


def setting_text(value: Any) -> str:
    """A setting as a person would type it: `null`, `true`, `1e-5`, `[64,64]`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.4g}".replace("e-0", "e-") if isinstance(value, float) else str(value).replace(" ", "")
