"""Every cut of a network with its boundary, and what is on both sides of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from torch import Tensor, nn

from flexrel_sim.partition.count import Cost, count, parameters_of
from flexrel_sim.partition.graph import EDGE, Graph
from flexrel_sim.placement import BoundaryTensor, Cut, CutTable, Uncounted

__all__ = ["cut_table"]

_BYTES_PER_WEIGHT = 4


def cut_table(graph: Graph, example: Tensor, costs: Sequence[Cost] | None = None) -> CutTable:
    """List all cuts of a network.

    Parameters
    ----------
    graph
        The network, in evaluation mode.
    example
        Images ``(batch, channels, height, width)``; the first is run.
    costs
        What `count` gave for them, if that is known already.

    Returns
    -------
    CutTable
        From ``server`` to ``edge``, and the operations whose MACs are not known.
    """
    costs = count(graph, example) if costs is None else costs
    done = [0, *accumulate(cost.macs for cost in costs)]
    tensors = {
        operation.node: BoundaryTensor(
            cost.name, cost.output_shape or (), cost.dtype, cost.output_bytes
        )
        for operation, cost in zip(graph.operations, costs, strict=True)
    }
    image = example[0]
    dtype = str(image.dtype).removeprefix("torch.")
    tensors[graph.source] = BoundaryTensor(
        "input", tuple(image.shape), dtype, image.numel() * image.element_size()
    )
    head_bytes, tail_bytes = _weight_bytes(graph, costs)
    blocks: dict[str, list[str]] = {}
    for block, cut in graph.blocks.items():
        blocks.setdefault(cut, []).append(block)
    cuts = tuple(
        Cut(
            name=cut.name,
            blocks=tuple(blocks.get(cut.name, ())),
            boundary=tuple(tensors[value] for value in cut.values if value in tensors),
            crosses_link=cut.name != EDGE,
            operations=cut.position,
            head_macs=done[cut.position],
            tail_macs=done[-1] - done[cut.position],
            head_weight_bytes=head_bytes[cut.position],
            tail_weight_bytes=tail_bytes[cut.position],
        )
        for cut in graph.cuts.values()
    )
    uncounted = tuple(
        Uncounted(cost.name, cost.kind, kernel, times)
        for cost in costs
        for kernel, times in cost.uncounted.items()
    )
    return CutTable(cuts, uncounted, graph.not_entered)


def _weight_bytes(graph: Graph, costs: Sequence[Cost]) -> tuple[list[int], list[int]]:
    """Give the bytes of the weights before and after every position; a shared one is on both."""
    of_answers = [
        weight
        for value in graph.output.all_input_nodes
        if value in graph.constants
        for weight in parameters_of(graph, value)
    ]
    uses = [list(cost.parameters) for cost in costs]
    head = _running_bytes(uses)
    tail = _running_bytes([of_answers, *reversed(uses)])[1:]
    return head, tail[::-1]


def _running_bytes(uses: Sequence[Sequence[nn.Parameter]]) -> list[int]:
    seen: set[int] = set()
    totals = [0]
    for weights in uses:
        new = {id(weight): weight.numel() for weight in weights if id(weight) not in seen}
        seen.update(new)
        totals.append(totals[-1] + _BYTES_PER_WEIGHT * sum(new.values()))
    return totals
