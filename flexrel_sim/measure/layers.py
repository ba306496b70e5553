"""What every layer of a network costs for one request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from flexrel_sim.partition import Cost, Graph, count, trace
from flexrel_sim.profile import Layer

__all__ = ["layer_costs", "layers_of"]


def layer_costs(network: nn.Module, cut: str, example: Tensor) -> tuple[Layer, ...]:
    """Count MACs, weights and bytes of every layer.

    Parameters
    ----------
    network
        Any network in evaluation mode; a residual block counts as the layers in it.
    cut
        Where it is cut.
    example
        Images ``(batch, channels, height, width)``; the first is run.

    Returns
    -------
    tuple of Layer
        In order of execution, head first, with dotted names; a layer that runs again is named
        ``name@2`` and has its weights no second time on its side. What multiplies matrices does
        MACs: convolutions, linear layers, attention; pools, activations, sums and norms (which
        fold into the convolution before them) count 0. Weights are parameters, a batch norm's
        scale and shift among them, its statistics not.

    Raises
    ------
    ValueError
        If the network has no such cut, or does work whose MACs are not known: it would count as
        nothing.
    """
    graph = trace(network)
    return layers_of(graph, cut, count(graph, example))


def layers_of(
    graph: Graph, cut: str, costs: Sequence[Cost], nonzero: dict[int, int] | None = None
) -> tuple[Layer, ...]:
    """List the layers of a network whose operations are counted already; as `layer_costs`.

    Parameters
    ----------
    graph, cut, costs
        The network, a cut, and what `count` gave.
    nonzero
        Weights that are not zero, by parameter; kept from one cut to the next, to count them once.

    Returns
    -------
    tuple of Layer
        As in `layer_costs`.
    """
    unknown = [
        f"{cost.name!r} ({cost.kind}: {kernel})" for cost in costs for kernel in cost.uncounted
    ]
    if unknown:
        raise ValueError(
            f"has operations of unknown cost: {', '.join(unknown)}; they would count as nothing"
        )
    known = {} if nonzero is None else nonzero
    return tuple(_layers(costs, graph.cut(cut).position, known))


def _layers(costs: Sequence[Cost], position: int, nonzero: dict[int, int]) -> Iterator[Layer]:
    shipped: set[int] = set()
    for index, cost in enumerate(costs):
        if index == position:
            # A weight that both halves read is shipped to both.
            shipped = set()
        weights = [weight for weight in cost.parameters if id(weight) not in shipped]
        shipped.update(id(weight) for weight in weights)
        if cost.output_shape is None:
            # A size, or a number computed of one: no work, and nothing that is stored.
            continue
        yield Layer(
            name=cost.name,
            kind=cost.kind,
            side="head" if index < position else "tail",
            macs=cost.macs,
            weights=sum(weight.numel() for weight in weights),
            nonzero_weights=sum(_nonzero(weight, nonzero) for weight in weights),
            input_bytes=cost.input_bytes,
            output_bytes=cost.output_bytes,
            output_shape=cost.output_shape,
        )


def _nonzero(weight: nn.Parameter, known: dict[int, int]) -> int:
    if id(weight) not in known:
        with torch.inference_mode():
            known[id(weight)] = int(weight.count_nonzero())
    return known[id(weight)]
