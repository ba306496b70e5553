"""What the modules of a network are given and give, in one pass for shapes alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

__all__ = ["Call", "calls_of"]

# What a forward pass of one's own may raise where it looks at numbers, which are not there.
_LOOKS_AT_NUMBERS = (RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Call:
    """One use of a module.

    Parameters
    ----------
    module
        What was called.
    source, output
        Its first input, and what it gave, with the autograd graph behind them.
    """

    module: nn.Module
    source: Tensor
    output: Tensor


def calls_of(
    network: nn.Module, example: Tensor, modules: Collection[nn.Module]
) -> tuple[list[Call], Tensor]:
    """Run a network once and tell how some of its modules were called.

    On PyTorch's meta device, where tensors have shapes and an autograd graph and no numbers: some
    milliseconds for any network. One whose forward pass asks for numbers is run as it is.

    Parameters
    ----------
    network
        Any network; left as it is.
    example
        Images of the right shape, ``(batch, channels, height, width)``.
    modules
        Modules of the network to watch.

    Returns
    -------
    tuple
        Calls in the order of their ends, and what the network gave. Only shapes and the graph are
        to be relied on.
    """
    try:
        return _watched(network, example, modules, meta=True)
    except _LOOKS_AT_NUMBERS:
        return _watched(network, example, modules, meta=False)


def _watched(
    network: nn.Module, example: Tensor, modules: Collection[nn.Module], *, meta: bool
) -> tuple[list[Call], Tensor]:
    calls: list[Call] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls.append(Call(module, inputs[0], output))

    handles = [module.register_forward_hook(record) for module in modules]
    try:
        with torch.enable_grad():
            return calls, (_on_meta(network, example) if meta else network(_traced(example)))
    finally:
        for handle in handles:
            handle.remove()


def _on_meta(network: nn.Module, example: Tensor) -> Tensor:
    tensors = [*network.named_parameters(), *network.named_buffers()]
    swapped = {name: tensor.detach().to("meta") for name, tensor in tensors}
    result: Tensor = functional_call(network, swapped, (_traced(example.to("meta")),))
    return result


def _traced(example: Tensor) -> Tensor:
    return example.detach().requires_grad_()
