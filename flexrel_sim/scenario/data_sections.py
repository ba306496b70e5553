"""What a scenario may say of the network, its samples, its cut and its codec."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flexrel_sim.scenario.section import SEED_MAX, Section

__all__ = [
    "CodecSection",
    "CorruptionSection",
    "DataSection",
    "DeploymentSection",
    "ModelSection",
    "SplitSection",
]


class ModelSection(Section):
    """The trained network."""

    network: str
    """Path of the network's card, relative to the scenario file."""


class CorruptionSection(Section):
    """A fault of the deployed camera."""

    kind: Literal["noise", "blur", "contrast", "brightness"]
    """What is wrong with the images."""
    severity: int = Field(3, ge=1, le=5)
    """How wrong, from 1 to 5."""


class DeploymentSection(Section):
    """How the data that the deployed network sees differ from those it was trained on."""

    classes: list[Annotated[int, Field(ge=0)]] | None = Field(None, min_length=1)
    """The classes that occur; all when absent."""
    corruption: CorruptionSection | None = None
    """What the images suffer from; nothing when absent."""


class DataSection(Section):
    """Samples, drawn class by class from the part of the dataset that no training sees."""

    dataset: str | None = None
    """Name of a dataset, or path of an `.npz`, an IDX folder or an image folder, relative to the
    scenario file; the dataset on the network's card when absent."""
    calibration: int = Field(200, ge=1)
    """Samples that relevance is computed on."""
    validation: int = Field(500, ge=1)
    """Samples that operating points are chosen on."""
    test: int = Field(1000, ge=1)
    """Samples that accuracy and payload are reported on."""
    seed: int = Field(0, ge=0, le=SEED_MAX)
    """Seed of the draw."""
    deployment: DeploymentSection = DeploymentSection()
    """What calibration, validation and test samples look like; training never sees it."""


class SplitSection(Section):
    """Where the network is split."""

    cut: str
    """The boundary after this operation or block; `edge` keeps all on the edge, `server` sends the
    input, `best` is chosen for the devices and the link."""
    objective: Literal["latency", "throughput"] = "latency"
    """What `best` is: least time of a request that meets no other, or of the busiest stage."""


class CodecSection(Section):
    """How what crosses the link is encoded."""

    dtype: Literal["float32", "float16", "uint8"] = "uint8"
    """Number format; uint8 carries its own scale and offset."""
    compress: Literal["none", "zstd"] = "none"
    """Lossless compression of the encoded numbers."""
    level: int = Field(3, ge=1, le=22)
    """Compression level of zstd."""
