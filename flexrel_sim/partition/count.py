"""What every operation costs, by watching what it computes.

An operation is run on one example, and all that torch's kernels do for it is seen. Kernels that
multiply matrices are counted by torch's own formulas; kernels known to do no multiply-accumulates
(element-wise, pools, norms, copies, views) count 0; any other kernel is uncounted, and said so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from flexrel_sim.partition.graph import Graph
from flexrel_sim.partition.kernels import is_free
from flexrel_sim.partition.walk import walk

__all__ = ["Cost", "count", "parameters_of"]


@dataclass(frozen=True)
class Cost:
    """What an operation costs for one request.

    Parameters
    ----------
    name, kind
        Its name, and what it computes, such as ``conv2d`` or ``add``.
    macs
        Multiply-accumulate operations, counted dense.
    parameters
        Its weights and biases; a batch norm's statistics are none.
    input_bytes, output_bytes
        Bytes of the tensors that it reads and gives, weights not counted.
    output_shape, dtype
        Of what it gives, without the batch; None for what is no tensor, such as a size.
    uncounted
        Kernels whose MACs are not known, and how often they ran.
    """

    name: str
    kind: str
    macs: int
    parameters: tuple[nn.Parameter, ...]
    input_bytes: int
    output_bytes: int
    output_shape: tuple[int, ...] | None
    dtype: str
    uncounted: dict[str, int]


def count(graph: Graph, example: Tensor) -> tuple[Cost, ...]:
    """Count what every operation of a network does.

    Parameters
    ----------
    graph
        The network, in evaluation mode.
    example
        Images ``(batch, channels, height, width)``, on the network's device, which may be
        ``meta``; the first is run.

    Returns
    -------
    tuple of Cost
        One per operation, in order. What is computed of weights alone is done once, not for every
        request, and is counted nowhere but among the first operation's uncounted kernels if it
        multiplies matrices.
    """
    costs: list[Cost] = []
    kernels = _Kernels()
    with torch.inference_mode(), _plain_attention(), kernels:
        inputs: dict[fx.Node, Any] = {}
        for position, values in walk(graph, example[:1]):
            macs, uncounted = kernels.taken()
            if position:
                operation = graph.operations[position - 1]
                sources = [v for v in operation.node.all_input_nodes if v not in graph.constants]
                read = [inputs[value] for value in sources]
                result = values.get(operation.node)
                costs.append(_cost(graph, position, read, result, macs, uncounted))
            inputs = dict(values)
    return tuple(costs)


def parameters_of(graph: Graph, node: fx.Node) -> tuple[nn.Parameter, ...]:
    """Give the weights that a node reads, itself or through constants, each once."""
    found: dict[int, nn.Parameter] = {}
    waiting = [node]
    while waiting:
        here = waiting.pop()
        if here.op == "call_module":
            module = graph.module.get_submodule(str(here.target))
            found |= {id(weight): weight for weight in module.parameters()}
        elif here.op == "get_attr":
            path, _, name = str(here.target).rpartition(".")
            tensor = getattr(graph.module.get_submodule(path), name)
            if isinstance(tensor, nn.Parameter):
                found[id(tensor)] = tensor
        waiting += [source for source in here.all_input_nodes if source in graph.constants]
    return tuple(found.values())


def _cost(
    graph: Graph, position: int, read: list[Any], result: Any, macs: int, uncounted: dict[str, int]
) -> Cost:
    operation = graph.operations[position - 1]
    given = _tensors(result)
    return Cost(
        name=operation.name,
        kind=_kind(graph, operation.node),
        macs=macs,
        parameters=parameters_of(graph, operation.node),
        input_bytes=sum(_bytes(tensor) for value in read for tensor in _tensors(value)),
        output_bytes=sum(_bytes(tensor) for tensor in given),
        output_shape=tuple(given[0].shape[1:]) if given else None,
        dtype=str(given[0].dtype).removeprefix("torch.") if given else "",
        uncounted=uncounted,
    )


def _kind(graph: Graph, node: fx.Node) -> str:
    if node.op == "call_module":
        known = type(graph.module.get_submodule(str(node.target))).__mro__
        # A subclass, such as a convolution that pads otherwise, computes as much as its class.
        torchs = (base for base in known if base.__module__.startswith("torch.nn.modules"))
        base = next(torchs, nn.Module)
        return (known[0] if base is nn.Module else base).__name__.lower()
    called = node.target if isinstance(node.target, str) else node.target.__name__
    return str(called).strip("_")


def _tensors(value: Any) -> list[Tensor]:
    """List the tensors in a value, however they are packed."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    parts = value if isinstance(value, tuple | list) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _bytes(tensor: Tensor) -> int:
    # What a runtime moves: numbers in the network's own format.
    return math.prod(tensor.shape) * tensor.element_size()


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Let attention run as the products that it is, not as one kernel."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class _Kernels(TorchDispatchMode):
    """Watches the kernels that run."""

    def __init__(self) -> None:
        super().__init__()
        self._macs = 0
        self._uncounted: Counter[str] = Counter()

    def taken(self) -> tuple[int, dict[str, int]]:
        """Give what ran since the last time."""
        found = self._macs, dict(self._uncounted)
        self._macs = 0
        self._uncounted.clear()
        return found

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        del types
        kwargs = kwargs or {}
        kernel = func._overloadpacket
        counted = kernel in flop_registry
        if not counted and not is_free(kernel.__name__) and not _is_attention(kernel):
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        if counted:
            self._macs += flop_registry[kernel](*args, **kwargs, out_val=result) // 2
        elif _is_attention(kernel):
            self._macs += sdpa_flop_count(args[0].shape, args[1].shape, args[2].shape) // 2
        elif not is_free(kernel.__name__) and func is not torch.ops.prim.device.default:
            self._uncounted[kernel.__name__] += 1
        return result


def _is_attention(kernel: Any) -> bool:
    return kernel is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
