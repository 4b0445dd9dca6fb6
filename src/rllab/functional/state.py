"""State of an object's parts, so that it can be saved and restored without a list of calls."""

from typing import Any


def state_of(part: Any) -> Any:
    """What `restore_state` takes: a part's ``state_dict``, or tensors and plain data as they are."""
    return part.state_dict() if hasattr(part, "state_dict") else part


def restore_state(owner: Any, name: str, saved: Any) -> None:
    """Restore an attribute of `owner`: objects and tensors in place, for others may hold them; plain data anew."""
    part = getattr(owner, name)
    if hasattr(part, "load_state_dict"):
        part.load_state_dict(saved)
    elif hasattr(part, "copy_"):  # a tensor
        part.copy_(saved)
    elif isinstance(part, dict):
        setattr(owner, name, {key: x.to(owner.device) if hasattr(x, "to") else x for key, x in saved.items()})
    else:
        setattr(owner, name, saved)
