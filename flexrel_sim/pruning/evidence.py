"""What signals look at: weights and calibration samples; each quantity is computed when asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

from flexrel_sim.pruning.folding import folded
from flexrel_sim.pruning.relevance import (
    Prunable,
    RelevanceSums,
    layer_sums,
    message_relevance,
    prunable_layers,
    relevance_sums,
)
from flexrel_sim.scenario.schema import RelevanceSection

__all__ = ["BATCH", "Evidence", "Scores"]

BATCH = 100
"""Samples at a time; bounds memory."""

Scores = dict[str, Tensor]
"""Layer name to one number per weight, or per filter."""


class Evidence:
    """A network and calibration samples, as a criterion sees them.

    Batch norms are folded first: a weight is as large as what it does, and batch norm rescales it.

    Parameters
    ----------
    network
        In evaluation mode; left as it is.
    images, labels
        Calibration samples, shapes ``(samples, channels, height, width)`` and ``(samples,)``.
    relevance
        Which relevance.
    seed
        Seed of chance.

    Attributes
    ----------
    original
        The network as it was given.
    network
        Its folded copy.
    layers
        The folded layers that have weights, by name.

    Raises
    ------
    ValueError
        If a layer is one that relevance does not cover.
    """

    def __init__(
        self,
        network: nn.Module,
        images: Tensor,
        labels: Tensor,
        relevance: RelevanceSection,
        seed: int = 0,
    ) -> None:
        self.original = network
        self.network = folded(network, images[:1])
        self.layers = prunable_layers(self.network)
        self.images, self.labels = images, labels
        self.relevance, self.seed = relevance, seed

    @cached_property
    def magnitude(self) -> Scores:
        """|w|, in the weights' own precision."""
        return {name: layer.weight.detach().abs() for name, layer in self.layers.items()}

    @cached_property
    def sums(self) -> dict[str, RelevanceSums]:
        """Relevance of every layer's inputs and outputs, summed over samples and positions."""
        return relevance_sums(
            self.network,
            self.images,
            self.labels,
            settings=self.relevance,
            batch_size=BATCH,
            fold=False,
        )

    @cached_property
    def message(self) -> Scores:
        """Message relevance per weight."""
        return message_relevance(
            self.network,
            self.images,
            self.labels,
            settings=self.relevance,
            batch_size=BATCH,
            fold=False,
        )

    @cached_property
    def loss_products(self) -> Scores:
        """W · ∂(mean cross-entropy)/∂w."""
        return self._products(
            lambda logits, labels: nn.functional.cross_entropy(logits, labels, reduction="sum")
        )

    @cached_property
    def logit_products(self) -> Scores:
        """W · ∂(mean logit of the label)/∂w."""
        return self._products(lambda logits, labels: logits.gather(1, labels[:, None]).sum())

    @cached_property
    def input_squares(self) -> dict[str, Tensor]:
        """Σ a² over samples and positions, per input that a weight reads."""
        return {name: sums.alpha for name, sums in self._activation_squares.items()}

    @cached_property
    def output_squares(self) -> dict[str, Tensor]:
        """Σ b² over samples and positions, per filter."""
        return {name: sums.beta for name, sums in self._activation_squares.items()}

    @cached_property
    def _activation_squares(self) -> dict[str, RelevanceSums]:
        totals: dict[str, RelevanceSums] = {}

        def record(name: str, layer: Prunable) -> None:
            def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
                part = layer_sums(layer, inputs[0].square(), output.square(), absolute=False)
                totals[name] = totals[name] + part if name in totals else part

            handles.append(layer.register_forward_hook(hook))

        handles: list[torch.utils.hooks.RemovableHandle] = []
        for name, layer in self.layers.items():
            record(name, layer)
        try:
            with torch.no_grad():
                for batch in self.images.split(BATCH):
                    self.network(batch)
        finally:
            for handle in handles:
                handle.remove()
        return totals

    def _products(self, score: Callable[[Tensor, Tensor], Tensor]) -> Scores:
        weights = {name: layer.weight for name, layer in self.layers.items()}
        totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        for weight in weights.values():
            weight.requires_grad_(True)
        try:
            batches = zip(self.images.split(BATCH), self.labels.split(BATCH), strict=True)
            for images, labels in batches:
                value = score(self.network(images), labels)
                gradients = torch.autograd.grad(value, list(weights.values()))
                for name, gradient in zip(weights, gradients, strict=True):
                    totals[name] += gradient
        finally:
            for weight in weights.values():
                weight.requires_grad_(False)
        count = len(self.labels)
        return {name: weight.detach() * totals[name] / count for name, weight in weights.items()}
