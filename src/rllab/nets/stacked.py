"""An ordinary `nn.Module` as the network of S sessions."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state


class Stacked(nn.Module):
    """S copies of a user's module, evaluated together: ``[S, B, ...] -> [S, B, ...]``, or from parts by name.

    Parameters and buffers are stacked on a leading session axis, and the module is mapped over it, so it is written
    for one session, ``[B, ...] -> [B, ...]``, and knows nothing of the axis. Each copy is built by `make` with torch's
    global generator seeded from that session's stream.

    What the user has frozen by ``requires_grad_(False)`` is a buffer here: no optimiser sees it, and it travels with
    the rest.
    """

    def __init__(self, make: Callable[[], nn.Module], generators: list[torch.Generator]) -> None:
        super().__init__()
        copies = []
        with torch.random.fork_rng(devices=[]):
            for generator in generators:
                torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
                copies.append(make())
        parameters, buffers = stack_module_state(copies)
        self._skeleton = [copy.deepcopy(copies[0]).to("meta")]  # in a list: its parameters are not ours
        self._names = list(parameters), list(buffers)
        for name, tensor in (parameters | buffers).items():
            attribute = name.replace(".", "__")
            if tensor.requires_grad:
                self.register_parameter(attribute, nn.Parameter(tensor.detach()))
            else:
                self.register_buffer(attribute, tensor)

    def forward(self, x: Tensor | dict[str, Tensor]) -> Tensor:
        parameters, buffers = ({n: getattr(self, n.replace(".", "__")) for n in names} for names in self._names)

        def one_session(
            parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor | dict[str, Tensor]
        ) -> Tensor:
            return functional_call(self._skeleton[0], (parameters, buffers), (x,))  # type: ignore[no-any-return]

        return torch.vmap(one_session, randomness="different")(parameters, buffers, x)

    def alone(self) -> nn.Module:
        """The user's module itself, with the first session's numbers; ``[1, B, ...] -> [1, B, ...]``."""
        module = copy.deepcopy(self._skeleton[0]).to_empty(device="cpu")
        names = (name for each in self._names for name in each)
        module.load_state_dict({name: getattr(self, name.replace(".", "__"))[0] for name in names}, strict=False)
        return Alone(module)


class Alone(nn.Module):
    """An ordinary module where a session axis of length 1 is expected."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor | dict[str, Tensor]) -> Tensor:
        one = {name: part[0] for name, part in x.items()} if isinstance(x, dict) else x[0]
        return self.module(one).unsqueeze(0)  # type: ignore[no-any-return]


def unstack(module: nn.Module) -> None:
    """Put the user's own modules in the place of every `Stacked` of one session: torch's exporters want them plain."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Stacked):
                setattr(parent, name, child.alone())
