"""Values as a person reads and types them."""

from typing import Any


def setting_text(value: Any) -> str:
    """A setting as a person would type it: `null`, `true`, `1e-5`, `[64,64]`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.4g}".replace("e-0", "e-") if isinstance(value, float) else str(value).replace(" ", "")
