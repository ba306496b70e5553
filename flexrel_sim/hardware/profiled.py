"""Measured times of layers, and what can be wrong with a table of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from flexrel_sim.errors import Fault
from flexrel_sim.hardware.traits import NetworkTraits, Precision
from flexrel_sim.profile import Layer, Profile
from flexrel_sim.scenario import Section, did_you_mean

__all__ = ["FUSED_KINDS", "ProfiledTable", "layer_shape", "profiled_faults"]

FUSED_KINDS: Final = frozenset({"relu", "relu6", "batchnorm2d", "identity", "dropout", "flatten"})
"""Layers that cost nothing: inference runtimes fuse them with the layer before, or only view."""

LayerSeconds = Annotated[float, Field(ge=0)]

FaultAt = Callable[[tuple[str | int, ...], str, object, str], Fault]
"""Makes a fault at a key path: ``(path, rule, value, remedy)``."""


class ProfiledTable(Section):
    """Times of single layers for one request, measured on the device."""

    network: str | None = None
    """The network whose layers `layers` names."""
    macs: int | None = Field(None, ge=0)
    """MACs of that network as it was measured. Where given, `layers` is used for a network of as
    many only: one whose filters were removed is another network under the same name."""
    precision: Precision = "float32"
    """Number format that it was measured in; in another one, the roofline estimates."""
    layers: dict[str, LayerSeconds] = Field(default_factory=dict)
    """Seconds by layer name. A layer of the network that is not here must be in `shapes`, unless
    its kind costs nothing."""
    shapes: dict[str, LayerSeconds] = Field(default_factory=dict)
    """Seconds by kind and output shape, such as `conv2d 16x28x28`, in any network."""
    source: str = Field(min_length=1)
    """Who measured it, and how."""

    @model_validator(mode="after")
    def _names_are_of_a_network(self) -> Self:
        if self.layers and self.network is None:
            context = {
                "path": ("profiled", "network"),
                "rule": "is required where 'layers' names layers",
                "remedy": "add the name on the network's card",
            }
            raise PydanticCustomError("profiled_network", "{rule}", context)
        return self

    def time_s(self, layer: Layer, traits: NetworkTraits) -> float | None:
        """Give the measured time of a layer of a network, or None if it was not measured."""
        if traits.precision != self.precision:
            return None
        names_apply = traits.network is not None and _applies(self.network, self.macs, traits)
        if names_apply and layer.name in self.layers:
            return self.layers[layer.name]
        return self.shapes.get(layer_shape(layer))


def layer_shape(layer: Layer) -> str:
    """Write a layer's kind and output shape, such as ``conv2d 16x28x28``."""
    return f"{layer.kind} {'x'.join(map(str, layer.output_shape))}"


def profiled_faults(
    table: Mapping[str, Any],
    profile: Profile,
    side: Literal["head", "tail"] | None,
    fault_at: FaultAt,
) -> list[Fault]:
    """List the layers that a table names wrongly, or lacks.

    Parameters
    ----------
    table
        The section as it stands in the file, whether or not its values are right.
    profile
        What is to run.
    side
        The half that runs here.
    fault_at
        Places a fault.

    Returns
    -------
    list of Fault
        One per unknown layer and one per missing layer; none if the table is of another network.
    """
    layers, shapes = (_mapping(table.get(key)) for key in ("layers", "shapes"))
    if not layers or not _applies(
        table.get("network"), table.get("macs"), NetworkTraits.of(profile)
    ):
        return []
    known = [layer.name for layer in profile.layers]
    rule = f"is no layer of {profile.network}"
    faults = [
        fault_at(("profiled", "layers", str(name)), rule, None, did_you_mean(str(name), known))
        for name in layers
        if name not in known
    ]
    missing = [
        layer
        for layer in profile.layers
        if side in (None, layer.side) and layer.kind not in FUSED_KINDS
        if layer.name not in layers and layer_shape(layer) not in shapes
    ]
    rule = f"has no time for a layer of {profile.network} that runs here"
    faults += [
        fault_at(
            ("profiled", "layers", layer.name),
            rule,
            None,
            f"add its seconds here, or 'shapes: {{{layer_shape(layer)}: …}}'",
        )
        for layer in missing
    ]
    return faults


def _applies(table_network: object, table_macs: object, traits: NetworkTraits) -> bool:
    return table_network == traits.network and table_macs in (None, traits.macs)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
