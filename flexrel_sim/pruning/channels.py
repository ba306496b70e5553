"""Coupled channels: which filters stand and fall together, and taking them out for real.

A residual sum couples the filters of all layers that it adds; a depthwise convolution is coupled
to what it reads. Torch-Pruning finds the groups and cuts the layers.

References
----------
Fang et al., *DepGraph: towards any structural pruning*, CVPR 2023.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch_pruning
from torch import Tensor, nn

from flexrel_sim.pruning.evidence import Scores
from flexrel_sim.pruning.relevance import Prunable, prunable_layers

__all__ = ["ChannelGroup", "CoupledNetwork", "Sizes", "output_positions"]


@dataclass(frozen=True)
class Places:
    """Where the channels of a group are in a layer: ``channel[i]`` is at ``index[i]``."""

    index: Tensor
    channel: Tensor


@dataclass(frozen=True)
class ChannelGroup:
    """Filters that can only be removed together.

    Parameters
    ----------
    name
        The first of its layers, in the order of the network.
    channels
        How many channels it has; each is one unit that is kept or removed.
    outputs
        Layers whose filters are those channels.
    inputs
        Layers that read them.
    """

    name: str
    channels: int
    outputs: dict[str, Places]
    inputs: dict[str, Places]

    def scores(self, of_filters: Scores) -> Tensor:
        """Score every channel by the mean over its filters, shape ``(channels,)``."""
        first = of_filters[self.name]
        total, count = torch.zeros(self.channels, dtype=first.dtype), torch.zeros(self.channels)
        for name, places in self.outputs.items():
            total.index_add_(0, places.channel, of_filters[name][places.index])
            count.index_add_(0, places.channel, torch.ones(len(places.channel)))
        return total / count.to(first.dtype)

    @property
    def filters_per_channel(self) -> float:
        """How many filters go with one channel."""
        return sum(len(places.index) for places in self.outputs.values()) / self.channels


@dataclass(frozen=True)
class Sizes:
    """What is left of a network, among the layers that can be pruned."""

    weights: int
    macs: int


class CoupledNetwork:
    """A copy of a network whose channels can be removed, once.

    Parameters
    ----------
    network
        Left as it is.
    example
        Images of the right shape, ``(batch, channels, height, width)``.

    Attributes
    ----------
    groups
        Groups by name, in the order of the network. The answers' layer is in none.
    """

    def __init__(self, network: nn.Module, example: Tensor) -> None:
        self.network = copy.deepcopy(network).requires_grad_(True)
        self.layers = prunable_layers(self.network)
        names = {id(layer): name for name, layer in self.layers.items()}
        self._positions = output_positions(self.network, self.layers, example)
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")  # unwrapped parameters are left alone, as they should
            self._graph = torch_pruning.DependencyGraph().build_dependency(
                self.network, example_inputs=example
            )
            answers = self.layers[list(self.layers)[-1]]
            found = [
                _channel_group(group, names, list(self.layers))
                for group in self._graph.get_all_groups(
                    ignored_layers=[answers], root_module_types=(nn.Conv2d, nn.Linear)
                )
            ]
        order = list(self.layers)
        groups = sorted((group for group in found if group), key=lambda g: order.index(g.name))
        self.groups = {group.name: group for group in groups}

    def sizes(self, keep: Mapping[str, Tensor]) -> Sizes:
        """Count weights and MACs that removal would leave.

        Parameters
        ----------
        keep
            Group name to a boolean mask over its channels; groups left out keep all.

        Returns
        -------
        Sizes
            Weights and MACs of convolutions and fully connected layers.
        """
        gone_in = dict.fromkeys(self.layers, 0)
        gone_out = dict.fromkeys(self.layers, 0)
        for name, mask in keep.items():
            for gone, places in ((gone_out, "outputs"), (gone_in, "inputs")):
                for layer, at in getattr(self.groups[name], places).items():
                    gone[layer] += int((~mask)[at.channel].sum())
        weights = macs = 0
        for name, layer in self.layers.items():
            outputs, inputs = layer.weight.shape[0], layer.weight.shape[1]
            grouped = isinstance(layer, nn.Conv2d) and layer.groups > 1
            kept = (outputs - gone_out[name]) * (inputs - (0 if grouped else gone_in[name]))
            kept *= layer.weight[0, 0].numel()
            weights += kept
            macs += kept * self._positions[name]
        return Sizes(weights, macs)

    def removed(self, keep: Mapping[str, Tensor]) -> nn.Module:
        """Remove channels for real.

        Parameters
        ----------
        keep
            Group name to a boolean mask over its channels; groups left out keep all.

        Returns
        -------
        torch.nn.Module
            The copy itself, with smaller layers of the same names.

        Raises
        ------
        ValueError
            If a group would lose its last channel.
        """
        for name, mask in keep.items():
            gone = (~mask).nonzero().flatten().tolist()
            if len(gone) == len(mask):
                raise ValueError(
                    f"the channels of {name!r} would all be removed; keep at least one"
                )
            if gone:
                layer = self.layers[name]
                prune = self._graph.get_pruner_of_module(layer).prune_out_channels
                self._graph.get_pruning_group(layer, prune, gone).prune()
        return self.network.requires_grad_(False)


def _channel_group(
    group: object, names: Mapping[int, str], order: list[str]
) -> ChannelGroup | None:
    """Read a group of Torch-Pruning; None where it holds no layer that can be pruned."""
    outputs: dict[str, Places] = {}
    inputs: dict[str, Places] = {}
    graph = group._DG  # type: ignore[attr-defined]
    for item in group:  # type: ignore[attr-defined]
        name = names.get(id(item.dep.target.module))
        if name is None:
            continue
        places = Places(torch.tensor(item.idxs), torch.tensor(item.root_idxs))
        if graph.is_out_channel_pruning_fn(item.dep.handler):
            outputs[name] = places
        else:
            inputs[name] = places
    if not outputs:
        return None
    channels = 1 + max(int(places.channel.max()) for places in outputs.values())
    first = min(outputs, key=order.index)
    return _named_by(first, ChannelGroup(first, channels, outputs, inputs))


def _named_by(first: str, group: ChannelGroup) -> ChannelGroup:
    """Count channels as the named layer counts its filters, so that removal can start from it."""
    places = group.outputs[first]
    if len(places.index) != group.channels or bool((places.index == places.channel).all()):
        return group
    to_first = torch.empty(group.channels, dtype=torch.int64)
    to_first[places.channel] = places.index

    def renamed(of: dict[str, Places]) -> dict[str, Places]:
        return {name: Places(at.index, to_first[at.channel]) for name, at in of.items()}

    return ChannelGroup(first, group.channels, renamed(group.outputs), renamed(group.inputs))


def output_positions(
    network: nn.Module, layers: Mapping[str, Prunable], example: Tensor
) -> dict[str, int]:
    """Count at how many places every layer's filters are applied to one sample."""
    positions: dict[str, int] = dict.fromkeys(layers, 0)

    def record(name: str) -> torch.utils.hooks.RemovableHandle:
        def hook(layer: Prunable, _: tuple[Tensor, ...], output: Tensor) -> None:
            # += : a layer that is used twice does twice the work.
            positions[name] += output[0].numel() // layer.weight.shape[0]

        return layers[name].register_forward_hook(hook)

    handles = [record(name) for name in layers]
    try:
        with torch.no_grad():
            network(example[:1])
    finally:
        for handle in handles:
            handle.remove()
    return positions
