"""Networks by torch.compile: forward and backward pass as C++ on the CPU, as Triton on a GPU."""

import sys
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from rllab.nets.memory import Memory


def compile_networks(modules: Iterable[nn.Module], device: str) -> str:
    """Have these networks compiled at their first use in a loss; returns what follows from it, in words.

    Under ``torch.no_grad()``, where they act and give targets, they stay as they are: each kind of batch would be
    compiled by itself. So do their copies, for torch leaves out what is compiled; a `state_dict` knows nothing of it.
    A network that turns out not to compile goes on as it is, and a line on stderr says so.

    Args:
        modules: each is called with few kinds of arguments and shapes.
        device: torch's, theirs.

    Raises:
        NotCompiledError: nothing can be compiled here.
    """
    networks = [module for module in modules if type(module).forward is not nn.Module.forward]
    if not networks:
        raise NotCompiledError("there is no network")
    if any(isinstance(part, Memory) for network in networks for part in network.modules()):
        raise NotCompiledError("agent.memory has fast layers of torch's own")
    try:  # of the smallest kind: whether there is a compiler, and what it makes can be loaded
        torch.compile(torch.sin, fullgraph=True)(torch.zeros(1, device=device))
    except Exception as error:  # noqa: BLE001 - whatever torch raises
        raise NotCompiledError(f"torch.compile fails here ({_reason(error)})") from None
    for module in networks:
        module._compiled_call_impl = _Compiled(module)  # noqa: SLF001 - see above
    return "networks, in every loss; the first updates take some seconds longer, half a minute where they are new"


class NotCompiledError(Exception):
    """Nothing is compiled here. Its text is the reason, a clause after "for"."""


class _Compiled:
    """A network's call, compiled in losses."""

    def __init__(self, module: nn.Module) -> None:
        # a graph that breaks, or is compiled again and again, is an error with fullgraph, otherwise slow in silence
        self.compiled: Callable[..., Tensor] | None = torch.compile(module.forward, fullgraph=True, dynamic=False)
        self.eager: Callable[..., Tensor] = module.forward
        self.name = type(module).__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        if self.compiled is not None and torch.is_grad_enabled():
            try:
                return self.compiled(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - whatever torch raises
                self.compiled = None
                why = f"it cannot be compiled ({_reason(error)})"
                sys.stderr.write(f"compile: {self.name} goes on in torch, for {why}\n")
        return self.eager(*args, **kwargs)


def _reason(error: Exception) -> str:
    """Type and first line of an error: torch's have many."""
    first = (str(error).strip().splitlines() or [""])[0]
    return textwrap.shorten(f"{type(error).__name__}: {first}", 200, placeholder=" ...").rstrip(": ")
