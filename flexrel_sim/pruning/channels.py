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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
import torch_pruning
from torch import Tensor, nn

from flexrel_sim.pruning.evidence import Scores
from flexrel_sim.pruning.positions import output_positions
from flexrel_sim.pruning.relevance import Prunable, prunable_layers

__all__ = ["ChannelGroup", "CoupledNetwork", "Sizes"]


@dataclass(frozen=True)
class Places:
    """Where the channels of a group are in a layer.

    Parameters
    ----------
    index
        Filters of the layer, or inputs.
    channel
        Channel of the group that is there, in the same order.
    """

    index: Tensor
    channel: Tensor


@dataclass(frozen=True)
class ChannelGroup:
    """Filters that can only be removed together.

    Parameters
    ----------
    name
        The first of its layers, in the order of the network, whose filters are its channels.
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
        """Score every channel by the mean over its filters, shape ``(channels,)``.

        Where a layer holds a part of the channels only, its best one is put above all others.
        """
        first = of_filters[self.name]
        total, count = torch.zeros(self.channels, dtype=first.dtype), torch.zeros(self.channels)
        for name, places in self.outputs.items():
            total.index_add_(0, places.channel, of_filters[name][places.index])
            count.index_add_(0, places.channel, torch.ones(len(places.channel)))
        scores = total / count.to(first.dtype)
        for places in self._parts:
            best = places.channel[scores[places.channel].argmax()]
            scores[best] = scores.max() * 2 + 1
        return scores

    @property
    def least(self) -> int:
        """How many channels must be kept, so that no layer loses its last filter."""
        return max(1, len(self._parts))

    @property
    def _parts(self) -> list[Places]:
        # A layer that is concatenated with others may hold a part of the channels only.
        return [places for places in self.outputs.values() if len(places.index) < self.channels]

    @property
    def filters_per_channel(self) -> float:
        """How many filters go with one channel."""
        return sum(len(places.index) for places in self.outputs.values()) / self.channels


@dataclass(frozen=True)
class Sizes:
    """What is left of a network, among the layers that can be pruned.

    Parameters
    ----------
    weights
        Weights, without biases.
    macs
        Multiply-accumulates per sample.
    """

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
        self._example = example
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")  # unwrapped parameters are left alone, as they should
            with _calls(self.layers) as called:
                self._graph = torch_pruning.DependencyGraph().build_dependency(
                    self.network, example_inputs=example
                )
            answers = self.layers[called[-1]]
            found = [
                _channel_group(group, names, list(self.layers))
                for group in self._graph.get_all_groups(
                    ignored_layers=[answers], root_module_types=(nn.Conv2d, nn.Linear)
                )
            ]
        order = list(self.layers)
        groups = sorted((group for group in found if group), key=lambda g: order.index(g.name))
        self.groups = {group.name: group for group in groups}

    @cached_property
    def _positions(self) -> dict[str, int]:
        return output_positions(self.network, self.layers, self._example)

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
        gone_out, gone_in = self._gone(keep, "outputs"), self._gone(keep, "inputs")
        weights = macs = 0
        for name, layer in self.layers.items():
            outputs, inputs = layer.weight.shape[0], layer.weight.shape[1]
            grouped = isinstance(layer, nn.Conv2d) and layer.groups > 1
            kept = (outputs - gone_out[name]) * (inputs - (0 if grouped else gone_in[name]))
            kept *= layer.weight[0, 0].numel()
            weights += kept
            macs += kept * self._positions[name]
        return Sizes(weights, macs)

    def refuse_convolutions_in_groups(self, names: Iterable[str]) -> None:
        """Refuse groups of channels that a convolution in several groups reads or makes.

        Its filters can only go in equal numbers from each of its own groups, which no ranking of
        single filters gives. A depthwise convolution, one channel in and out per group, is free.

        Parameters
        ----------
        names
            Groups that are to lose channels.

        Raises
        ------
        ValueError
            With all layers to exclude.
        """
        stuck: dict[str, str] = {}
        for name in names:
            group = self.groups[name]
            for layer in {**group.outputs, **group.inputs}:
                if _in_groups(self.layers[layer]):
                    stuck[name] = layer
        if stuck:
            layers = ", ".join(dict.fromkeys(stuck.values()))
            raise ValueError(
                f"filters of convolutions in groups ({layers}) can't be removed, nor those that"
                f" they read; put {', '.join(stuck)} in pruning.exclude, or prune weights"
            )

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
            If a layer would lose its last filter, or another can't do with fewer channels.
        """
        gone_out = self._gone(keep, "outputs")
        for name, layer in self.layers.items():
            if gone_out[name] == layer.weight.shape[0]:
                raise ValueError(
                    f"the channels of {name!r} would all be removed; keep at least one"
                )
        for name, mask in keep.items():
            gone = (~mask).nonzero().flatten().tolist()
            if gone:
                layer = self.layers[name]
                prune = self._graph.get_pruner_of_module(layer).prune_out_channels
                self._graph.get_pruning_group(layer, prune, gone).prune()
        self._refuse_broken()
        return self.network.requires_grad_(False)

    def _refuse_broken(self) -> None:
        """Refuse what no longer runs: a layer may be made for one number of channels."""
        try:
            self._run()
        except RuntimeError as error:
            raise ValueError(
                f"layer {self._last_entered()!r} can't do with fewer channels"
                f" ({' '.join(str(error).split())}); put what it reads in pruning.exclude, or prune"
                " weights"
            ) from None

    def _run(self) -> None:
        with torch.no_grad():
            self.network(self._example)

    def _last_entered(self) -> str:
        """Name the module in which a run ends."""
        entered: list[str] = []
        for name, module in self.network.named_modules():
            module.register_forward_pre_hook(lambda *_, name=name: entered.append(name))
        with suppress(RuntimeError):
            self._run()
        return entered[-1]

    def _gone(
        self, keep: Mapping[str, Tensor], side: Literal["outputs", "inputs"]
    ) -> dict[str, int]:
        gone = dict.fromkeys(self.layers, 0)
        for name, mask in keep.items():
            group = self.groups[name]
            for layer, at in (group.outputs if side == "outputs" else group.inputs).items():
                gone[layer] += int((~mask)[at.channel].sum())
        return gone


def _in_groups(layer: Prunable) -> bool:
    """Whether a convolution has groups, and is not depthwise."""
    if isinstance(layer, nn.Linear) or layer.groups == 1:
        return False
    return not layer.groups == layer.in_channels == layer.out_channels


def _channel_group(group: Any, names: Mapping[int, str], order: list[str]) -> ChannelGroup | None:
    """Read a group of Torch-Pruning; None where it holds no layer that can be pruned."""
    outputs: dict[str, Places] = {}
    inputs: dict[str, Places] = {}
    graph = group._DG
    for item in group:
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
    # Of a concatenation a layer may hold some of the channels; the name's layer holds them all.
    whole = [
        name
        for name, at in outputs.items()
        if torch.equal(at.index.sort().values, torch.arange(channels))
    ]
    first = min(whole, key=order.index)
    at = outputs[first]
    # Channels are counted as that layer counts its filters: removal starts from it.
    to_first = torch.empty(channels, dtype=torch.int64)
    to_first[at.channel] = at.index

    def renamed(of: dict[str, Places]) -> dict[str, Places]:
        return {name: Places(at.index, to_first[at.channel]) for name, at in of.items()}

    return ChannelGroup(first, channels, renamed(outputs), renamed(inputs))


@contextmanager
def _calls(layers: Mapping[str, Prunable]) -> Iterator[list[str]]:
    """Name layers in the order in which they run: the last gives the answers."""
    called: list[str] = []

    def record(name: str) -> torch.utils.hooks.RemovableHandle:
        return layers[name].register_forward_hook(lambda *_: called.append(name))

    handles = [record(name) for name in layers]
    try:
        yield called
    finally:
        for handle in handles:
            handle.remove()
