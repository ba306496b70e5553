"""Small networks with branches in float64, and every rule by its definition, from Jacobians."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from flexrel_sim.networks.modules import Add
from tests.pruning.chains import named, seeded


class Residual(nn.Module):
    """A sum of two branches."""

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        super().__init__()
        self.left, self.right, self.add = left, right, Add()

    def forward(self, source: Tensor) -> Tensor:
        return self.add(self.left(source), self.right(source))


def drawn(network: nn.Module, seed: int, *, bias: float = 1.0) -> nn.Module:
    """Draw all weights anew, about as large as keeps activations near one."""
    rng = seeded(seed)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            noise = torch.randn(weight.shape, generator=rng, dtype=weight.dtype)
            fan_in = max(1, weight[0].numel())
            weight.copy_(noise * (bias if name.endswith("bias") else fan_in**-0.5))
    return network.eval()


def branched(*, bias: bool = True, linear_ends: bool = True) -> nn.Sequential:
    """Give a network of 2x7x6 pixels with a piece of every kind.

    With ``linear_ends`` no ReLU ends a branch: what is added, and its sum, have either sign.
    """
    end = nn.Identity if linear_ends else nn.ReLU
    inner = nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=bias),  # depthwise
        nn.ReLU6(),
        nn.Conv2d(4, 4, 1, groups=2, bias=bias),
        end(),
    )
    left = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=bias), end())
    right = nn.Sequential(nn.Conv2d(4, 6, 1, stride=2, bias=bias), end())
    return named(
        ("stem", nn.Conv2d(2, 4, (3, 2), padding=(1, 0), bias=bias)),
        ("relu1", nn.ReLU()),
        ("inner", Residual(inner, nn.Identity())),
        ("middle", nn.Conv2d(4, 4, 3, dilation=2, padding=2, bias=bias)),
        ("relu2", nn.ReLU()),
        ("down", Residual(left, right)),
        ("relu3", nn.ReLU()),
        ("average", nn.AvgPool2d(2, stride=1, padding=1)),
        ("maximum", nn.MaxPool2d(2)),
        ("pool", nn.AdaptiveAvgPool2d((1, 2))),
        ("flatten", nn.Flatten()),
        ("drop", nn.Dropout(0.5)),
        ("last", nn.Linear(12, 3, bias=bias)),
    )


@dataclass
class Explicit:
    """Relevance by its definition, one sample at a time.

    ``gamma`` is None for LRP-0, infinite for z⁺.
    """

    gamma: float | None
    sources: dict[nn.Module, Tensor] = field(default_factory=dict)
    sinks: dict[nn.Module, Tensor] = field(default_factory=dict)
    factors: dict[nn.Module, Tensor] = field(default_factory=dict)

    def back(self, module: nn.Module, activation: Tensor, relevance: Tensor) -> Tensor:
        """Share an output's relevance out among the inputs."""
        match module:
            case nn.Sequential():
                inputs = [activation]
                for child in module:
                    inputs.append(child(inputs[-1]))
                for child, source in zip(reversed(module), reversed(inputs[:-1]), strict=True):
                    relevance = self.back(child, source, relevance)
                return relevance
            case Residual():
                left, right = module.left(activation), module.right(activation)
                share = torch.where(left + right == 0, 0, left / (left + right))
                return self.back(module.left, activation, share * relevance) + self.back(
                    module.right, activation, (1 - share) * relevance
                )
            case nn.Conv2d() | nn.Linear():
                return self._weighted(module, activation, relevance)
            case nn.AvgPool2d() | nn.AdaptiveAvgPool2d() | nn.MaxPool2d():
                contributions = jacobian(module, activation) * activation.flatten()
                return shared(contributions, contributions.sum(1), activation, relevance)
            case nn.Flatten():
                return relevance.reshape(activation.shape)
            case nn.ReLU() | nn.ReLU6() | nn.Identity() | nn.Dropout():
                return relevance
            case _:
                raise AssertionError(module)

    def _weighted(self, layer: nn.Module, activation: Tensor, relevance: Tensor) -> Tensor:
        contributions = jacobian(layer, activation) * activation.flatten()
        bias = layer(torch.zeros_like(activation)).flatten()
        contributions = torch.cat([contributions, bias[:, None]], 1)
        if self.gamma is not None:
            output = layer(activation).flatten()[:, None]
            favoured = torch.where(
                (output > 0) | torch.tensor(self.gamma == torch.inf),
                contributions.clamp(min=0),
                contributions.clamp(max=0),
            )
            contributions = (
                favoured if self.gamma == torch.inf else contributions + self.gamma * favoured
            )
        z = contributions.sum(1)
        source = shared(contributions[:, :-1], z, activation, relevance)
        self.sources[layer], self.sinks[layer] = source, relevance
        self.factors[layer] = torch.where(z == 0, torch.nan, relevance.flatten() / z).view_as(
            relevance
        )
        return source


def jacobian(module: nn.Module, activation: Tensor) -> Tensor:
    """Give d output / d input as a matrix."""
    jacobian = torch.autograd.functional.jacobian(module, activation)
    return jacobian.reshape(-1, activation.numel()).detach()


def shared(contributions: Tensor, z: Tensor, activation: Tensor, relevance: Tensor) -> Tensor:
    """Give R_k = sum over j of (z_kj / z_j) R_j."""
    parts = torch.where(z[:, None] == 0, 0, contributions / z[:, None])
    return (parts * relevance.flatten()[:, None]).sum(0).view_as(activation)
