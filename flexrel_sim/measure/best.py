"""Choosing a cut for a network that is there: its real payloads, on the scenario's system."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from flexrel_sim.codec import AnyCodec, codec_of, work_of
from flexrel_sim.hardware import (
    Device,
    NetworkTraits,
    Precision,
    decode_time_s,
    encode_time_s,
    layer_times,
)
from flexrel_sim.links import Direction
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


def mean_payloads(graph: Graph, codec: AnyCodec, images: Tensor) -> dict[fx.Node, float]:
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
                    found[value] = float(send([codec], [tensor]).payload_bytes.mean())
    return found


def choose_cut(
    spec: MeasureSpec,
    graph: Graph,
    costs: tuple[Cost, ...],
    payload_bytes: Mapping[fx.Node, float],
    answer_bytes: int,
) -> Best:
    """Choose the best cut of an operating point.

    Times are those that the simulation starts from: devices, codec, and the link at its mean rate.
    Each tensor that crosses counts as a message of its own, with headers of its own.

    Parameters
    ----------
    spec
        The operating point; it has the devices and the link.
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
        # Windows make the minimum cut a guess, which may be worse than a cut that was tried.
        "least_latency_s": min(map(problem.latency_s, (minimum_cut(problem), head))),
    }
    return Best(cuts[position], estimate)


def _problem(
    spec: MeasureSpec,
    graph: Graph,
    costs: tuple[Cost, ...],
    payload_bytes: Mapping[fx.Node, float],
    answer_bytes: int,
) -> Problem:
    target, scenario = spec.target, spec.scenario
    if target is None:
        raise ValueError("a cut is chosen for devices and a link, and the point has none")
    places = {operation.node: place for place, operation in enumerate(graph.operations)}
    shapes = {o.node: c.output_shape or () for o, c in zip(graph.operations, costs, strict=True)}
    shapes[graph.source] = tuple(spec.card_file.card.architecture.input_shape)
    readers: dict[fx.Node, list[int]] = {}
    for operation in graph.operations:
        for value in operation.node.all_input_nodes:
            if value not in graph.constants:
                readers.setdefault(value, []).append(places[operation.node])
    codec = codec_of(scenario.codec)
    values = []
    for value, reading in readers.items():
        sent_bytes = payload_bytes.get(value)
        if sent_bytes is None:
            values.append(Value(places.get(value), tuple(reading), math.inf))
            continue
        work = work_of(codec, shapes[value])
        values.append(
            Value(
                places.get(value),
                tuple(reading),
                target.uplink.mean_transmission_s(sent_bytes),
                encode_time_s(target.edge, work),
                decode_time_s(target.server, work),
                target.uplink.mean_connection_s(sent_bytes),
            )
        )
    return Problem(
        edge_s=_times_s(target.edge, scenario.edge.precision, spec, graph, costs),
        server_s=_times_s(target.server, scenario.server.precision, spec, graph, costs),
        values=tuple(values),
        downlink_s=target.downlink.mean_transmission_s(answer_bytes),
        delay_s=scenario.link.delay,
        workers=scenario.server.workers,
        devices=scenario.edge.count,
        half_duplex=scenario.link.medium == "half-duplex",
        downlink_connection_s=target.downlink.mean_connection_s(answer_bytes),
        window_s=_window_s(target.uplink),
        downlink_window_s=_window_s(target.downlink),
    )


def _window_s(direction: Direction) -> float:
    return 0.0 if direction.connection is None else direction.connection.window_s


def _times_s(
    device: Device,
    precision: Precision,
    spec: MeasureSpec,
    graph: Graph,
    costs: tuple[Cost, ...],
) -> tuple[float, ...]:
    """Give the time of every operation on a device; what is no layer takes none."""
    layers = layers_of(graph, EDGE, costs)
    traits = NetworkTraits(
        spec.card_file.card.name,
        sum(layer.macs for layer in layers),
        spec.operating_point["pruning"].get("pattern", "none"),
        precision,
    )
    times_s = layer_times(device, layers, traits=traits).times_s
    known = {layer.name: time_s for layer, time_s in zip(layers, times_s, strict=True)}
    return tuple(known.get(cost.name, 0.0) for cost in costs)
