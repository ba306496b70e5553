"""What a stored profile may hold. A hash tells of damage; only this tells of a wrong content.

Types and ranges stand at the fields of `flexrel_sim.profile.record`, and sections of the operating
point are those of a scenario; what must agree between fields is here. All faults are collected.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, Literal, get_type_hints

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from flexrel_sim.profile.record import COUNT_MAX, SAMPLE_ARRAYS, STRICT, Profile
from flexrel_sim.scenario import Section
from flexrel_sim.scenario.data_sections import Balance
from flexrel_sim.scenario.schema import (
    CodecSection,
    DataSection,
    ModelSection,
    PruningSection,
    SplitSection,
    WeightsSection,
)
from flexrel_sim.scenario.source import dotted

__all__ = ["SchemaFault", "checked"]

SchemaFault = tuple[str, str, object]
"""Path of a field, the rule that it breaks, and its value."""

_LOGIT_BYTES: Final = 4


class _Split(SplitSection):
    """As it was resolved: with the estimate of the best cut, or a bottleneck's hash."""

    best: dict[str, Any] = Field(default_factory=dict)


class _Data(DataSection):
    """As it was drawn: with what the calibration section says of it."""

    balance: Balance = "natural"


class _OperatingPoint(Section):
    """The model sections of a scenario, resolved."""

    model: ModelSection
    data: _Data
    pruning: PruningSection
    weights: WeightsSection = WeightsSection()
    split: _Split
    codec: CodecSection


class _Tried(BaseModel):
    """A setting that `delta: auto` tried."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    accuracies: list[float] = Field(min_length=1)


class _Choice(BaseModel):
    """What `delta: auto` chose."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    delta: float = Field(ge=0, le=1)
    normalise: Literal["layer", "global", "rank", "none"]
    form: Literal["additive", "message"] | None
    reached: bool
    tried: list[_Tried] = Field(min_length=1)


def checked(
    data: dict[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> tuple[Profile | None, list[SchemaFault]]:
    """Make a profile of what was stored, if it is one.

    Parameters
    ----------
    data
        Content of its JSON, without hashes and version.
    arrays
        Its arrays over samples.

    Returns
    -------
    profile : Profile or None
        None if there are faults.
    faults : list of SchemaFault
        Everything that is wrong.
    """
    told, faults = _validated(_stored(), data)
    faults += _sections(data.get("operating_point"))
    calibration = data.get("calibration")
    if isinstance(calibration, dict) and calibration.get("choice"):
        faults += _validated(_Choice, calibration["choice"], "calibration", "choice")[1]
    faults += _array_faults(arrays)
    if faults or told is None:
        return None, faults
    values: dict[str, Any] = {name: getattr(told, name) for name in type(told).model_fields}
    profile = Profile(**values, **dict[str, Any](arrays))
    faults += [*_disagreements(profile), *_sample_faults(profile)]
    return (None, faults) if faults else (profile, [])


@cache
def _stored() -> type[BaseModel]:
    """Give the class of all that stands in the JSON: the profile without its arrays."""
    hints = get_type_hints(Profile, include_extras=True)
    fields: dict[str, Any] = {
        field.name: (
            hints[field.name],
            ... if field.default is dataclasses.MISSING else field.default,
        )
        for field in dataclasses.fields(Profile)
        if field.name not in SAMPLE_ARRAYS
    }
    return create_model("Stored", __config__=STRICT, **fields)


def _validated(
    schema: type[BaseModel], data: object, *prefix: str
) -> tuple[BaseModel | None, list[SchemaFault]]:
    try:
        # As JSON, whose lists are tuples and whose 1 is no text, and which has no NaN.
        return schema.model_validate_json(json.dumps(data, allow_nan=False)), []
    except ValidationError as error:
        return None, [_fault(detail, prefix) for detail in error.errors(include_url=False)]
    except ValueError:
        return None, [(dotted(prefix), "must hold finite numbers only", None)]


def _fault(detail: Any, prefix: Sequence[str]) -> SchemaFault:
    path = dotted((*prefix, *detail["loc"]))
    kind, value = detail["type"], detail["input"]
    if kind == "missing":
        return path, "is required", None
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return path, "is unknown", value
    rule: str = detail.get("ctx", {}).get("rule") or detail["msg"]
    return path, rule.replace("Input should ", "must ").replace("String should ", "must "), value


def _sections(data: object) -> list[SchemaFault]:
    if not isinstance(data, dict):
        # The schema of the whole has told it.
        return []
    return _validated(_OperatingPoint, data, "operating_point")[1]


def _array_faults(arrays: Mapping[str, NDArray[Any]]) -> Iterator[SchemaFault]:
    for name in SAMPLE_ARRAYS:
        if name not in arrays:
            yield name, "is required", None
            continue
        array = arrays[name]
        if array.dtype != np.int64 or array.ndim != 1 or not array.size:
            about = f"{array.dtype} of shape {array.shape}"
            yield name, "must be whole numbers (int64), one for each of one or more samples", about
    for name in arrays:
        if name not in SAMPLE_ARRAYS:
            yield name, "is unknown", None


def _sample_faults(profile: Profile) -> Iterator[SchemaFault]:
    """Find what no sample can be."""
    classes = profile.answer_bytes // _LOGIT_BYTES
    for name in SAMPLE_ARRAYS:
        array: NDArray[np.int64] = getattr(profile, name)
        first = "validation_labels" if name.startswith("validation") else "payload_bytes"
        if array.size != (count := getattr(profile, first).size):
            yield name, f"must be of as many samples as {first!r}, {count}", array.size
        most = COUNT_MAX if name == "payload_bytes" else classes - 1
        wrong = (array < 0) | (array > most)
        if wrong.any():
            place = int(np.argmax(wrong))
            yield f"{name}[{place}]", f"must be from 0 to {most:,}", int(array[place])
    if not profile.crosses_link and profile.payload_bytes.any():
        yield "payload_bytes", "must be 0 where nothing crosses the link", None


def _disagreements(profile: Profile) -> Iterator[SchemaFault]:
    """Find fields that contradict each other."""
    sides = [layer.side for layer in profile.layers]
    if sides != sorted(sides):
        yield "layers", "must have all of the head before the tail", None
    for place, layer in enumerate(profile.layers):
        if layer.nonzero_weights > layer.weights:
            rule = f"must be at most the {layer.weights:,} weights"
            yield f"layers[{place}].nonzero_weights", rule, layer.nonzero_weights
    if profile.crosses_link and not profile.boundary_shapes:
        yield "boundary_shapes", "must tell what crosses the link", None
    if not profile.crosses_link and "tail" in sides:
        yield "layers", "must have no tail where nothing crosses the link", None
