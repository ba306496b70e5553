"""What zeros in the weights gain on a device: by default nothing.

Every model speeds up a layer's arithmetic, never its memory traffic: weights are taken to be read
as dense tensors. A device with several models takes the fastest, as a runtime picks its kernel.
"""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from flexrel_sim.hardware.traits import Pattern
from flexrel_sim.profile import Layer
from flexrel_sim.scenario import Section

__all__ = [
    "SparseKernels",
    "SparseTable",
    "StructuredKernels",
    "obeys",
]


class SparseKernels(Section):
    """What a device gains from zeros in its weights; a device without them gains nothing."""

    max_density: float = Field(gt=0, le=1)
    """Share of non-zero weights below which the sparse kernel is used."""
    efficiency: float = Field(gt=0, le=1)
    """Its speed per non-zero weight, against the dense kernel's per weight."""

    def compute_share(self, density: float) -> float:
        """Give the share of the dense arithmetic time that is left at a density."""
        return min(1.0, density / self.efficiency) if density <= self.max_density else 1.0


class StructuredKernels(Section):
    """Arithmetic at the sparse rate, where the weights obey a pattern and the rate is stated."""

    pattern: Literal["2:4", "4:8"]
    """The pattern that the device's units skip."""


class SparseTable(Section):
    """Speed-ups that were measured on the device."""

    density: list[float] = Field(min_length=1)
    """Shares of non-zero weights, increasing."""
    speedup: list[float] = Field(min_length=1)
    """Dense time over sparse time at each of them; interpolated between, held below the
    first, and falling to 1 at density 1 past the last."""

    @model_validator(mode="after")
    def _points_are_a_function(self) -> Self:
        rules = {
            "must have as many speed-ups as densities": len(self.density) == len(self.speedup),
            "densities must be above 0 and at most 1": all(0 < d <= 1 for d in self.density),
            "densities must increase": all(np.diff(self.density) > 0),
            "speed-ups must be above 0": all(s > 0 for s in self.speedup),
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            remedy = "write density: [0.1, 0.5] and speedup: [3.0, 1.2]"
            context = {"rule": ", and ".join(broken), "remedy": remedy}
            raise PydanticCustomError("sparse_table", "{rule}", context)
        return self

    def compute_share(self, density: float) -> float:
        """Give the share of the dense arithmetic time that is left; never more than all of it."""
        # Past the last point the gain dwindles until a dense layer has none.
        end = [] if self.density[-1] == 1 else [1.0]
        speedup = np.interp(density, [*self.density, *end], [*self.speedup, *end])
        return min(1.0, 1.0 / float(speedup))


def obeys(layer: Layer, pattern: Pattern) -> bool:
    """Tell whether a layer has few enough weights for the pattern it was pruned to.

    Parameters
    ----------
    layer
        The layer. One that was excluded from pruning, or whose inputs are no multiple of M, has
        more weights, and is computed dense.
    pattern
        What its network was pruned to.

    Returns
    -------
    bool
        Whether its non-zero weights are at most N/M, biases apart.
    """
    if pattern == "none" or not layer.weights:
        return False
    kept, of = (int(number) for number in pattern.split(":"))
    biases = min(layer.weights, layer.output_shape[0] if layer.output_shape else 0)
    return layer.nonzero_weights <= (layer.weights - biases) * kept / of + biases
