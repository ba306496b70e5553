"""What a scenario's codec and bottleneck can't do, said before any work. No torch."""

from __future__ import annotations

from pathlib import Path

from flexrel_sim.errors import CheckpointError, Fault, ScenarioError
from flexrel_sim.measure.pruning_check import Tell
from flexrel_sim.measure.spec import MeasureSpec
from flexrel_sim.networks.bottleneck_card import BottleneckFile, load_bottleneck_card
from flexrel_sim.reading import is_file
from flexrel_sim.scenario import Scenario
from flexrel_sim.scenario.data_sections import WITH_IMAGE

__all__ = ["bottleneck_of", "codec_faults"]

_SCALED = ("uint8", "int4")


def codec_faults(scenario: Scenario, input_shape: list[int], tell: Tell) -> list[Fault]:
    """Find settings that contradict each other, or would do nothing.

    Parameters
    ----------
    scenario
        One point.
    input_shape
        Shape of the network's input.
    tell
        Places a fault.

    Returns
    -------
    list of Fault
        All of them.
    """
    if scenario.split.cut == "edge":
        return []
    if scenario.codec.image is not None:
        return _image_faults(scenario, input_shape, tell)
    codec, faults = scenario.codec, []
    if codec.keep < 1 and codec.sparse == "none" and codec.compress == "none":
        rule = "would save nothing: the zeros are sent as well"
        remedy = "say where the others belong with sparse: bitmap, csr or delta, or compress"
        faults.append(tell("codec.keep", rule, codec.keep, remedy))
    if codec.scale == "channel" and codec.dtype not in _SCALED:
        rule = f"must be 'tensor' for {codec.dtype}, which has no scale"
        remedy = "leave it out, or use dtype: uint8 or int4"
        faults.append(tell("codec.scale", rule, codec.scale, remedy))
    return faults


def _image_faults(scenario: Scenario, input_shape: list[int], tell: Tell) -> list[Fault]:
    codec, faults = scenario.codec, []
    if scenario.split.cut != "server":
        rule = "encodes the input, which is sent at cut 'server' only"
        remedy = f"leave it out for the cut {scenario.split.cut!r}, or cut at 'server'"
        faults.append(tell("codec.image", rule, None, remedy))
    if scenario.split.bottleneck is not None:
        rule = "encodes images, and split.bottleneck sends something else"
        faults.append(tell("codec.image", rule, None, "leave out one of them"))
    if input_shape[0] not in (1, 3):
        rule = "must have 1 or 3 channels to encode, gray or RGB"
        faults.append(tell("codec.image", rule, input_shape, "use dtype and compress instead"))
    for key in sorted(codec.model_fields_set.difference(WITH_IMAGE)):
        rule = "has no effect beside codec.image, which encodes pixels by itself"
        faults.append(tell(f"codec.{key}", rule, getattr(codec, key), "leave out one of them"))
    if codec.image is not None and codec.image.format == "png" and codec.image.quality is not None:
        rule = "has no effect on png, which loses nothing"
        remedy = "leave it out, or use jpeg or webp"
        faults.append(tell("codec.image.quality", rule, codec.image.quality, remedy))
    return faults


def bottleneck_of(
    spec: MeasureSpec, folder: Path, tell: Tell, faults: list[Fault]
) -> BottleneckFile | None:
    """Read the bottleneck that a point names; a fault if it is none, or another network's.

    Parameters
    ----------
    spec
        The point, as it is without one.
    folder
        Where its path starts.
    tell
        Places a fault.
    faults
        Where what is wrong is added.

    Returns
    -------
    BottleneckFile or None
        None if the point names none, nothing is sent, or it is wrong.
    """
    named, path = spec.scenario.split.bottleneck, "split.bottleneck"
    if named is None or spec.scenario.split.cut == "edge":
        return None
    file = folder / named
    remedy = "train one with 'flexrel-sim train-bottleneck'"
    if not is_file(file):
        faults.append(tell(path, "must be the card of a bottleneck", str(file), remedy))
        return None
    try:
        found = load_bottleneck_card(file)
    except ScenarioError as error:
        faults += error.faults
    except CheckpointError as error:
        faults.append(tell(path, str(error)))
    else:
        if found.card.trained_for == spec.bottleneck_key:
            return found
        rule = "must be trained for this network, data, pruning and cut"
        about = f"{found.card.network} at {found.card.cut!r}"
        faults.append(tell(path, rule, about, remedy))
    return None
