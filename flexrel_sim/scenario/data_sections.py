"""What a scenario may say of the network, its samples, its cut and its codec."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from flexrel_sim.scenario.section import SEED_MAX, Section

__all__ = [
    "WITH_IMAGE",
    "Balance",
    "CodecSection",
    "CorruptionSection",
    "DataSection",
    "DeploymentSection",
    "ImageSection",
    "ModelSection",
    "SplitSection",
    "WeightsSection",
]


Balance = Literal["natural", "classes"]
"""How frequent the classes are among calibration samples: as in the data, or all the same."""


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
    """Samples from the part that no training sees, with the classes as frequent as there."""

    dataset: str | None = None
    """Name of a dataset, or path of an `.npz`, an IDX folder or an image folder, relative to the
    scenario file; the dataset on the network's card when absent."""
    calibration: int = Field(200, ge=0)
    """Samples that relevance is computed on; 0 where nothing is pruned or chosen by relevance."""
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
    bottleneck: str | None = None
    """Path of the card that `flexrel-sim train-bottleneck` wrote for this cut, relative to the
    scenario file; its encoder runs on the edge, its decoder on the server."""


class ImageSection(Section):
    """The input as an image file, at cut `server`."""

    format: Literal["png", "jpeg", "webp"]
    """Kind of file."""
    quality: int | None = Field(None, ge=1, le=100)
    """Quality of jpeg, 90 when absent, and of webp, lossless when absent."""


WITH_IMAGE: Final = ("image", "checksum")
"""Keys of a codec that sends an image; the others are of codecs that send numbers."""


class CodecSection(Section):
    """How what crosses the link is encoded."""

    dtype: Literal["float32", "float16", "bfloat16", "uint8", "int4"] = "uint8"
    """Number format; uint8 and int4 carry their own scale and offset."""
    scale: Literal["tensor", "channel"] = "tensor"
    """Whether the tensor has one scale and offset, or each of its channels."""
    keep: float = Field(1.0, gt=0, le=1)
    """Share of a sample's values that is sent, the greatest; the others become zero."""
    sparse: Literal["none", "bitmap", "csr", "delta"] = "none"
    """How the places of values that are not zero are said; `none` sends zeros as well."""
    channels: float = Field(1.0, gt=0, le=1)
    """Share of the channels that is sent, chosen by relevance on calibration samples; the others
    are taken for their mean."""
    compress: Literal["none", "zstd", "lz4", "ans"] = "none"
    """Lossless compression of the encoded numbers; `ans` is entropy coding."""
    level: int = Field(3, ge=1, le=22)
    """Compression level of zstd."""
    checksum: bool = True
    """Whether 4 bytes of every payload tell if it is damaged."""
    image: ImageSection | None = None
    """Sends the input as an image file instead, at cut `server`."""

    @model_serializer(mode="wrap")
    def _what_counts(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what an image makes idle, so that it reads back."""
        data: dict[str, Any] = handler(self)
        if self.image is None:
            return data
        return {key: value for key, value in data.items() if key in WITH_IMAGE}


class WeightsSection(Section):
    """How the network's weights are shipped, and computed with."""

    dtype: Literal["float32", "float16", "int8"] = "float32"
    """Number format; accuracy is measured with what the weights are rounded to."""
