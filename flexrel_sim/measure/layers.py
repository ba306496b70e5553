"""What every layer of a network costs for one request."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from flexrel_sim.networks.modules import Add, Concat, Preprocess
from flexrel_sim.partition import stages
from flexrel_sim.profile import Layer

__all__ = ["layer_costs"]

_KINDS: Final[dict[type[nn.Module], str]] = {
    nn.Conv2d: "conv2d",
    nn.Linear: "linear",
    nn.BatchNorm2d: "batchnorm2d",
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.SiLU: "silu",
    nn.Hardswish: "hardswish",
    nn.Hardsigmoid: "hardsigmoid",
    nn.Sigmoid: "sigmoid",
    nn.MaxPool2d: "maxpool2d",
    nn.AvgPool2d: "avgpool2d",
    nn.AdaptiveAvgPool2d: "adaptiveavgpool2d",
    nn.ZeroPad2d: "zeropad2d",
    nn.Flatten: "flatten",
    nn.PixelShuffle: "pixelshuffle",
    nn.Dropout: "dropout",
    nn.Identity: "identity",
    Add: "add",
    Concat: "concat",
    Preprocess: "preprocess",
}

_Side = Literal["head", "tail"]


def layer_costs(network: nn.Module, head_stages: int, example: Tensor) -> tuple[Layer, ...]:
    """Count MACs, weights and bytes of every layer.

    Parameters
    ----------
    network
        Any network in evaluation mode; a residual block counts as the layers in it.
    head_stages
        How many of its stages run on the edge.
    example
        Images ``(batch, channels, height, width)``; the first is run.

    Returns
    -------
    tuple of Layer
        In order of execution, with dotted names; a layer that runs again is named ``name@2`` and
        has its weights no second time. Convolutions and linear layers alone do MACs: pools,
        activations, sums and batch norms (which fold into the convolution before them) count 0.
        Weights are parameters, a batch norm's scale and shift among them, its statistics not.

    Raises
    ------
    ValueError
        If a layer is of a kind whose cost is not known, or the network multiplies outside of its
        layers (a matrix product or convolution in a function): it would count as nothing.
    """
    costs: list[Layer] = []
    shipped: dict[_Side, set[int]] = {"head": set(), "tail": set()}
    tensor = example[:1]
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        for index, (name, stage) in enumerate(stages(network).items()):
            recorder = _Recorder("head" if index < head_stages else "tail", shipped, costs)
            # A network that is one stage has layers with names of their own.
            leaves = list(_leaves(stage, "" if stage is network else name))
            handles = [layer.register_forward_hook(recorder.hook(path)) for path, layer in leaves]
            try:
                tensor = stage(tensor)
            finally:
                for handle in handles:
                    handle.remove()
    counted, done = sum(cost.macs for cost in costs), counter.get_total_flops() // 2
    if counted != done:
        raise ValueError(
            f"its layers do {counted:,} MACs, and it does {done:,}: what it computes in functions"
            " must be layers, or it would count as nothing"
        )
    return tuple(costs)


def _leaves(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """List the modules that compute themselves, and not only through the modules in them."""
    children = list(module.named_children())
    if _kind(module) or not children or any(True for _ in module.parameters(recurse=False)):
        yield path, module
    for name, child in children:
        yield from _leaves(child, f"{path}.{name}".lstrip("."))


def _kind(module: nn.Module) -> str | None:
    # A subclass, such as a convolution that pads otherwise, computes as much as its class.
    return next((_KINDS[base] for base in type(module).__mro__ if base in _KINDS), None)


class _Recorder:
    """Writes down what every layer of one stage does."""

    def __init__(self, side: _Side, shipped: dict[_Side, set[int]], costs: list[Layer]) -> None:
        self._side: _Side = side
        self._shipped = shipped[side]
        self._costs = costs
        self._runs: dict[str, int] = {}

    def hook(self, name: str) -> Callable[..., None]:
        def record(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            kind = _kind(layer)
            if kind is None:
                raise ValueError(f"layer {name!r} has no known cost: {type(layer).__name__}")
            self._runs[name] = self._runs.get(name, 0) + 1
            run = f"{name}@{self._runs[name]}" if self._runs[name] > 1 else name
            weights = [
                weight
                for weight in layer.parameters(recurse=False)
                if id(weight) not in self._shipped
            ]
            self._shipped.update(id(weight) for weight in weights)
            sources = [source for source in inputs if isinstance(source, Tensor)]
            self._costs.append(
                Layer(
                    name=run,
                    kind=kind,
                    side=self._side,
                    macs=_macs(layer, output),
                    weights=sum(weight.numel() for weight in weights),
                    nonzero_weights=sum(int(weight.count_nonzero()) for weight in weights),
                    input_bytes=4 * sum(source[0].numel() for source in sources),
                    output_bytes=4 * output[0].numel(),
                    output_shape=tuple(output.shape[1:]),
                )
            )

        return record


def _macs(layer: nn.Module, output: Tensor) -> int:
    if isinstance(layer, nn.Conv2d):
        per_output = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
        return output[0].numel() * per_output
    if isinstance(layer, nn.Linear):
        return output[0].numel() * layer.in_features
    return 0
