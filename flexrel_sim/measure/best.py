"""Choosing a cut for a network that is there: its real payloads, on the scenario's system."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from flexrel_sim.codec import Codec
from flexrel_sim.hardware import layer_time_s
from flexrel_sim.measure.layers import layers_of
from flexrel_sim.measure.sending import send
from flexrel_sim.measure.spec import MeasureSpec
from flexrel_sim.partition import EDGE, Cost, Graph, walk
from flexrel_sim.placement import Problem, Value, best_prefix, minimum_cut

__all__ = ["Best", "choose_cut", "mean_payloads"]


@dataclass(frozen=True)
class Best:
    """The cut that was chosen.

    Parameters
    ----------
    cut
        Its name.
    estimate
        What it was chosen by, as plain data: the objective, the zero-load latency and the time of
        the busiest stage at this cut, and the least latency of all ways to share the operations.
    """

    cut: str
    estimate: dict[str, Any]


def mean_payloads(graph: Graph, codec: Codec, images: Tensor) -> dict[fx.Node, float]:
    """Measure what every value of a network would be on the link.

    Parameters
    ----------
    graph
        The network.
    codec
        What encodes.
    images
        Images ``(samples, channels, height, width)``, which choose: validation samples.

    Returns
    -------
    dict
        Mean bytes of every value that is one float32 tensor; others can't be sent.
    """
    found: dict[fx.Node, float] = {}
    with torch.inference_mode():
        for _, values in walk(graph, images):
            for value, tensor in values.items():
                fresh = value in graph.tensors and value not in found
                if fresh and isinstance(tensor, Tensor) and tensor.dtype == torch.float32:
                    found[value] = float(send(codec, [tensor]).payload_bytes.mean())
    return found


def choose_cut(
    spec: MeasureSpec,
    graph: Graph,
    costs: tuple[Cost, ...],
    payload_bytes: Mapping[fx.Node, float],
    answer_bytes: int,
) -> Best:
    """Choose the best cut of an operating point.

    Parameters
    ----------
    spec
        The operating point; it has the devices, and its scenario the link.
    graph, costs
        The pruned network.
    payload_bytes
        What `mean_payloads` gave.
    answer_bytes
        Bytes of one answer.

    Returns
    -------
    Best
        The best of all cuts that have a name, and how far the best of all others is from it.
    """
    problem = _problem(spec, graph, costs, payload_bytes, answer_bytes)
    cuts = {cut.position: cut.name for cut in graph.cuts.values()}
    objective = spec.scenario.split.objective
    position = best_prefix(problem, cuts, objective)
    head = frozenset(range(position))
    estimate = {
        "objective": objective,
        "latency_s": problem.latency_s(head),
        "busiest_s": problem.slowest_s(head),
        "least_latency_s": problem.latency_s(minimum_cut(problem)),
    }
    return Best(cuts[position], estimate)


def _problem(
    spec: MeasureSpec,
    graph: Graph,
    costs: tuple[Cost, ...],
    payload_bytes: Mapping[fx.Node, float],
    answer_bytes: int,
) -> Problem:
    if spec.devices is None:
        raise ValueError("a cut is chosen for devices, and the point has none")
    link, layers = (
        spec.scenario.link,
        {layer.name: layer for layer in layers_of(graph, EDGE, costs)},
    )
    edge_s, server_s = (
        tuple(
            layer_time_s(device, layers[cost.name]) if cost.name in layers else 0.0
            for cost in costs
        )
        for device in spec.devices
    )
    places = {operation.node: place for place, operation in enumerate(graph.operations)}
    readers: dict[fx.Node, list[int]] = {}
    for operation in graph.operations:
        for value in operation.node.all_input_nodes:
            if value not in graph.constants:
                readers.setdefault(value, []).append(places[operation.node])
    values = tuple(
        Value(
            places.get(value),
            tuple(reading),
            8 * payload_bytes.get(value, math.inf) / link.uplink,
        )
        for value, reading in readers.items()
    )
    return Problem(
        edge_s=edge_s,
        server_s=server_s,
        values=values,
        downlink_s=8 * answer_bytes / link.downlink,
        delay_s=link.delay,
        workers=spec.scenario.server.workers,
    )
