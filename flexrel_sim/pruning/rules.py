r"""Rules of relevance propagation: each is the denominator z of a layer, and nothing more.

A rule shares the relevance of an output out in proportion to its inputs' contributions,
``R_k = Σ_j (z_kj / z_j) R_j`` with ``z_j = Σ_k z_kj`` (Bach et al. 2015, eq. 56). Where the
contributions are linear in the activation, ``R_k = a_k · Σ_j (∂z_j / ∂a_k) · R_j / z_j``
(Montavon et al. 2019, section 10.3): a rule is whatever expression it differentiates.

Biases are the weight of one more input that is always one (idem, ``Σ_{0,j}``). What flows to it
goes no further: it absorbs ``b⁺/z`` of an output's relevance under z⁺ and ``(b + γb⁺)/z`` under γ.

References
----------
Bach et al., *On pixel-wise explanations for non-linear classifier decisions by layer-wise relevance
propagation*, PLOS ONE 10(7), 2015;
Montavon et al., *Layer-wise relevance propagation: an overview*, in Explainable AI, LNCS 11700,
2019;
Andéol et al., *Learning domain invariant representations by joint Wasserstein distance
minimization*, arXiv 2106.04923 (γ for inputs and outputs of either sign).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from flexrel_sim.networks.modules import Add, Concat, Preprocess
from flexrel_sim.scenario.pruning_sections import RelevanceSection

__all__ = ["Denominator", "check_known", "denominators", "gamma", "passed_on", "z_plus"]

Denominator = Callable[[Any, Tensor, Tensor], Tensor]
"""From a module, its input and its output to z: of the output's shape, and differentiable."""

_BY_GRADIENT: Final[tuple[type[nn.Module], ...]] = (
    # Linear in what they pass on, or a selection of it: their own gradient is the z rule, so that
    # averages and sums split by their summands, and a maximum gives all to the winner.
    *(Add, Concat, Preprocess, nn.Identity, nn.Flatten, nn.Unflatten, nn.ReLU),
    *(nn.Dropout, nn.Dropout2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d),
    *(nn.MaxPool2d, nn.AdaptiveMaxPool2d, nn.ZeroPad2d, nn.ChannelShuffle),
)


def z_plus(layer: nn.Conv2d | nn.Linear, activation: Tensor, output: Tensor) -> Tensor:
    """Count positive contributions only: LRP-z⁺, also called α1β0.

    ``z_j = Σ_k (w⁺_kj a⁺_k + w⁻_kj a⁻_k) + b⁺_j``; the second term is zero after a ReLU.

    **Relevance is not always conserved.** An output to which nothing contributes positively has
    ``z_j = 0``: eq. 60 is 0/0 there, and with β = 0 nothing may flow along negative contributions,
    which is the rule's point. Here such relevance ends at the output. Between ReLUs none is lost,
    as an output without positive contributions is zero there and has none. What can be lost is
    that of outputs below zero that no ReLU follows: the logit that relevance starts from, and
    linear ends of branches. γ and the gradient lose none but to biases.

    Parameters
    ----------
    layer
        A convolution or a fully connected layer.
    activation, output
        Its input and output.

    Returns
    -------
    torch.Tensor
        z, never negative, of the output's shape.

    References
    ----------
    Bach et al. 2015, eq. 60 with α = 1, β = 0; Montavon et al. 2019, table 10.1.
    """
    del output
    bias = None if layer.bias is None else layer.bias.clamp(min=0)
    if not bool((activation < 0).any()):
        return _weighted(layer, activation, layer.weight.clamp(min=0), bias)
    positive = _weighted(layer, activation.clamp(min=0), layer.weight.clamp(min=0), bias)
    return positive + _weighted(layer, activation.clamp(max=0), layer.weight.clamp(max=0), None)


def gamma(
    layer: nn.Conv2d | nn.Linear, activation: Tensor, output: Tensor, *, factor: float
) -> Tensor:
    """Favour contributions of the output's own sign: LRP-γ.

    ``z_j = Σ_k a_k (w_kj + γ w⁺_kj)`` where activations and the output are not negative (Montavon
    et al. 2019, table 10.1). In general an output above zero counts positive contributions
    ``1 + γ`` times, any other its negative ones (Andéol et al.), so that ``|z_j| ≥ |b_j|``: a
    denominator is never smaller than what it shares out.

    Parameters
    ----------
    layer
        A convolution or a fully connected layer.
    activation, output
        Its input and output.
    factor
        γ.

    Returns
    -------
    torch.Tensor
        z, of the output's shape.
    """
    positive = z_plus(layer, activation, output)
    return output + factor * torch.where(output > 0, positive, output - positive)


def passed_on(module: nn.Module, activation: Tensor, output: Tensor) -> Tensor:
    """Give all relevance of an output to the input at its place, even where ReLU6 is saturated."""
    del module, output
    return activation


def denominators(settings: RelevanceSection) -> dict[type[nn.Module], Denominator]:
    """Give the z of every type of module that does not follow its own gradient.

    Parameters
    ----------
    settings
        The rule and its γ.

    Returns
    -------
    dict
        Empty for the rules that are gradients.
    """
    rules: dict[str, Denominator] = {
        "z-plus": z_plus,
        "gamma": partial(gamma, factor=settings.gamma),
    }
    if settings.rule not in rules:
        return {}
    rule = rules[settings.rule]
    return {nn.Conv2d: rule, nn.Linear: rule, nn.ReLU6: passed_on}


_REMEDY: Final = (
    "use pruning.relevance.rule gradient or integrated-gradients, which take any layer, or a"
    " criterion without relevance"
)


def check_known(network: nn.Module, known: dict[type[nn.Module], Denominator]) -> None:
    """Check that a z rule knows every module of a network.

    Parameters
    ----------
    network
        Any network. Operations that are no modules cannot be seen, and follow their gradient.
    known
        What `denominators` gave.

    Raises
    ------
    ValueError
        If a module computes something that the rules do not cover, or is a batch norm.
    """
    types = (*known, *_BY_GRADIENT)
    for name, module in network.named_modules():
        kind = type(module)
        computes = not [*module.children()] or [*module.parameters(recurse=False)]
        # An empty container, such as a shortcut without layers, passes on what it gets.
        if kind in types or not computes or kind in (nn.Sequential, nn.ModuleList):
            continue
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise ValueError(
                f"layer {name!r} must be folded into the layer before it, got {kind.__name__}"
            )
        names = ", ".join(sorted(other.__name__ for other in types))
        raise ValueError(f"layer {name!r} must be one of {names}, got {kind.__name__}; {_REMEDY}")


def _weighted(
    layer: nn.Conv2d | nn.Linear, activation: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    if isinstance(layer, nn.Conv2d):
        output: Tensor = layer._conv_forward(activation, weight, bias)
        return output
    return functional.linear(activation, weight, bias)
