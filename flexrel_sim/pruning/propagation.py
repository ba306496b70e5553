r"""Propagation of relevance from a logit to every layer: one backward pass, whatever the rule.

A neuron's relevance is written as ``R = a · g``. Under the gradient rule g is ∂logit/∂a. Under a z
rule a layer's output b is replaced by ``b + (z - [z]) · [b / z]``, brackets being constants: its
value is b, and its gradient makes of g at the output ``g_k = Σ_j (∂z_j/∂a_k) · g_j b_j / z_j``,
which is the rule ``R_k = Σ_j (z_kj / z_j) R_j``. So rules are denominators z (`rules`), and all
other modules follow their own gradient: ReLU passes g on, a sum and an average split relevance in
proportion to their summands, a maximum gives it to the winner.

References
----------
Bach et al., *On pixel-wise explanations for non-linear classifier decisions by layer-wise relevance
propagation*, PLOS ONE 10(7), 2015, eq. 56;
Montavon et al., *Layer-wise relevance propagation: an overview*, in Explainable AI, LNCS 11700,
2019, section 10.3 (rules as gradients of a rewritten forward pass);
Ancona et al., *Towards better understanding of gradient-based attribution methods*, ICLR 2018,
proposition 1 (gradient × activation is LRP-ε, ε → 0, on ReLU networks);
Sundararajan, Taly, Yan, *Axiomatic attribution for deep networks*, ICML 2017, eq. 1.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from flexrel_sim.pruning.rules import Denominator, check_known, denominators
from flexrel_sim.scenario.pruning_sections import RelevanceSection

__all__ = ["LayerFlow", "prepared", "propagate", "stream"]

Prunable = nn.Conv2d | nn.Linear
Network = TypeVar("Network", bound=nn.Module)

_CACHE_NUMBERS = 2**16

Ends = tuple[Tensor, Tensor]
"""What is multiplied to relevance: activation (or its change) and gradient."""


@dataclass(frozen=True)
class LayerFlow:
    """What flows through one layer, for one batch.

    Relevance flows through weight ``w_kj`` as ``a_k · w_kj · s_j``; a z rule takes its own modified
    weight, such as ``w⁺_kj``, in the place of ``w_kj``.

    Parameters
    ----------
    activation
        a: the layer's input, ``(batch, in_channels, height, width)`` or ``(batch, in_features)``.
    factor
        s at its output: ∂logit/∂output for the gradient rules (its mean along the path for
        integrated gradients), ``R_j / z_j`` for the z rules.

    Attributes
    ----------
    source
        Relevance of its input neurons, in the shape of ``activation``. It is all that they have,
        also what reaches them through other readers, such as a shortcut.
    sink
        Relevance of its output neurons, in the shape of the output.
    """

    activation: Tensor
    factor: Tensor
    _at_input: Ends
    _at_output: Ends

    @property
    def source(self) -> Tensor:
        """Relevance of its input neurons; computed when asked, for large layers cost memory."""
        return self._at_input[0] * self._at_input[1]

    @property
    def sink(self) -> Tensor:
        """Relevance of its output neurons; computed when asked."""
        return self._at_output[0] * self._at_output[1]

    def summed(self, *, absolute: bool) -> tuple[Tensor, Tensor]:
        """Sum ``source`` and ``sink`` over the batch in float64, as magnitudes or with signs."""
        return _over_samples(*self._at_input, absolute), _over_samples(*self._at_output, absolute)


def _over_samples(values: Tensor, gradients: Tensor, absolute: bool) -> Tensor:
    if values[0].numel() < _CACHE_NUMBERS:
        products = values * gradients
        return (products.abs_() if absolute else products).sum(0, dtype=torch.float64)
    # One sample at a time stays in the cache, where the batch's products would not.
    total = torch.zeros(values.shape[1:], dtype=torch.float64)
    for value, gradient in zip(values, gradients, strict=True):
        product = value * gradient
        total += product.abs_() if absolute else product
    return total


@dataclass(frozen=True)
class _Seen:
    """A layer's input and output in a forward pass, and b/z where a z rule rewrote it."""

    activation: Tensor
    output: Tensor
    share: Tensor | None


def prepared(network: Network) -> Network:
    """Copy a network so that relevance can be propagated through it.

    Parameters
    ----------
    network
        Any network; left as it is.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, without gradients of weights, and with nothing in place: activations
        must survive the layers after them. It reads the network's own weights, which are large;
        to change one, give the copy another.
    """
    shared = {id(weight): nn.Parameter(weight.detach(), False) for weight in network.parameters()}
    network = copy.deepcopy(network, dict[int, Any](shared)).eval()
    for module in network.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
    return network


def propagate(
    network: nn.Module,
    layers: Mapping[str, Prunable],
    images: Tensor,
    labels: Tensor,
    *,
    settings: RelevanceSection,
) -> dict[str, LayerFlow]:
    """Propagate relevance from each sample's logit to the given layers.

    Integrated gradients take the black image as their baseline. With ``x_t = (t - ½)/steps · x`` a
    neuron's relevance is ``(a(x) - a(0)) · mean_t ∂logit(x_t)/∂a``, the gradient being that at the
    activations which ``x_t`` causes. **(choice)** At the image this is the definition, and sums to
    the difference of the logits. A hidden layer's activations do not move on a straight line, so
    there it is a quadrature that ends at the same two points, and the sum is only near.

    Parameters
    ----------
    network
        A `prepared` one; left as it is. The z rules need batch norms folded.
    layers
        Layers of this network, by name.
    images, labels
        One batch, shapes ``(batch, channels, height, width)`` and ``(batch,)``.
    settings
        Rule, its γ or steps, and whose logit relevance starts from: the whole logit does.

    Returns
    -------
    dict
        Layer name to its flow, in the order of ``layers``.

    Raises
    ------
    ValueError
        If a layer runs twice or not at all, or a z rule does not know a module of the network.
    """
    flows: dict[str, LayerFlow] = {}
    stream(network, layers, images, labels, settings=settings, consume=flows.__setitem__)
    return {name: flows[name] for name in layers}


def stream(
    network: nn.Module,
    layers: Mapping[str, Prunable],
    images: Tensor,
    labels: Tensor,
    *,
    settings: RelevanceSection,
    consume: Callable[[str, LayerFlow], None],
) -> None:
    """Propagate relevance, and hand over each layer's flow as soon as it is known.

    Parameters
    ----------
    network, layers, images, labels, settings
        As in `propagate`.
    consume
        Called with a layer's name and flow, from the logits backwards. What it does not keep is
        freed: gradients of all layers together are as large as the activations.

    Raises
    ------
    ValueError
        As in `propagate`; also if a layer does not lie between the image and the logits.
    """
    images = images.detach()
    if settings.rule == "integrated-gradients":
        for name, flow in _integrated(network, layers, images, labels, settings).items():
            consume(name, flow)
        return
    rules = denominators(settings)
    if rules:
        check_known(network, rules)
    with torch.enable_grad():
        logits, seen = _forward(network, layers, images.requires_grad_(), rules)
        start = logits.gather(1, _chosen(logits, labels, settings)[:, None]).sum()
    at_outputs: dict[str, Tensor] = {}

    def watch(name: str) -> None:
        def arrived(at_input: Tensor) -> None:
            layer, at_output = seen.pop(name), at_outputs.pop(name)
            activation = layer.activation.detach()
            factor = at_output if layer.share is None else at_output * layer.share
            ends = (activation, at_input), (layer.output.detach(), at_output)
            consume(name, LayerFlow(activation, factor, *ends))

        # A tensor's gradient is whole when its hook runs, and an output's comes before its input's.
        seen[name].output.register_hook(lambda gradient: at_outputs.__setitem__(name, gradient))
        seen[name].activation.register_hook(arrived)

    for name in layers:
        watch(name)
    torch.autograd.grad(start, images)
    if seen:
        raise ValueError(f"layer {next(iter(seen))!r} must lie between the image and the logits")


def _integrated(
    network: nn.Module,
    layers: Mapping[str, Prunable],
    images: Tensor,
    labels: Tensor,
    settings: RelevanceSection,
) -> dict[str, LayerFlow]:
    with torch.no_grad():
        _, black = _forward(network, layers, torch.zeros_like(images[:1]), {})
        logits, seen = _forward(network, layers, images, {})
    chosen = _chosen(logits, labels, settings)
    means = {
        name: (torch.zeros_like(end.activation), torch.zeros_like(end.output))
        for name, end in seen.items()
    }
    for step in range(settings.steps):
        interpolated = images * ((step + 0.5) / settings.steps)
        with torch.enable_grad():
            logits, passed = _forward(network, layers, interpolated.requires_grad_(), {})
        for name, pair in _backward(logits, chosen, passed).items():
            for mean, gradient in zip(means[name], pair, strict=True):
                mean.add_(gradient, alpha=1 / settings.steps)
    return {
        name: LayerFlow(
            end.activation,
            means[name][1],
            (end.activation - black[name].activation, means[name][0]),
            (end.output - black[name].output, means[name][1]),
        )
        for name, end in seen.items()
    }


def _chosen(logits: Tensor, labels: Tensor, settings: RelevanceSection) -> Tensor:
    return labels if settings.target == "label" else logits.argmax(1)


def _backward(
    logits: Tensor, chosen: Tensor, seen: dict[str, _Seen]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Give g at every layer's input and output."""
    tensors = [tensor for layer in seen.values() for tensor in (layer.activation, layer.output)]
    with torch.enable_grad():
        start = logits.gather(1, chosen[:, None]).sum()
    gradients = torch.autograd.grad(start, tensors)
    return dict(zip(seen, zip(gradients[::2], gradients[1::2], strict=True), strict=True))


def _forward(
    network: nn.Module,
    layers: Mapping[str, Prunable],
    images: Tensor,
    rules: Mapping[type[nn.Module], Denominator],
) -> tuple[Tensor, dict[str, _Seen]]:
    """Give the logits, and what was seen at every layer."""
    with _rewritten(network, layers, rules) as seen:
        logits: Tensor = network(images)
    missing = [name for name in layers if name not in seen]
    if missing:
        raise ValueError(f"layer {missing[0]!r} must run, and the network does not call it")
    return logits, {name: seen[name] for name in layers}


@contextmanager
def _rewritten(
    network: nn.Module,
    layers: Mapping[str, Prunable],
    rules: Mapping[type[nn.Module], Denominator],
) -> Iterator[dict[str, _Seen]]:
    """Rewrite outputs by their rules while the network runs, and record the layers."""
    names = {layer: name for name, layer in layers.items()}
    seen: dict[str, _Seen] = {}

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        share = None
        if rule := rules.get(type(module)):
            z = rule(module, inputs[0], output)
            output, constant = output.detach(), z.detach()
            # An output without contributions has nobody to share with: its relevance ends here.
            tiny = torch.finfo(z.dtype).eps * output.abs()
            share = torch.where(constant.abs() > tiny, output / constant, 0)
            output = output + (z - constant) * share
        if isinstance(module, Prunable) and module in names:
            name = names[module]
            if name in seen:
                raise ValueError(
                    f"layer {name!r} must run once, and the network calls it again; give each call"
                    " a layer of its own, or use a criterion without relevance, such as 'magnitude'"
                )
            seen[name] = _Seen(inputs[0], output, share)
        return output

    handles = [
        module.register_forward_hook(hook)
        for module in network.modules()
        if type(module) in rules or module in names
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
