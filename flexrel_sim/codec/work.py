"""What encoding and decoding do, in bytes touched: time follows from the device."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flexrel_sim.codec.channels import ChannelCodec
from flexrel_sim.codec.image import ImageCodec
from flexrel_sim.codec.payload import AnyCodec, Codec
from flexrel_sim.codec.sparsity import INDICES
from flexrel_sim.profile import CodecCost

__all__ = ["total_work", "work_of"]

_FLOAT_BYTES = 4


def work_of(codec: AnyCodec, shape: tuple[int, ...]) -> CodecCost:
    """Count what a codec does for one sample.

    Parameters
    ----------
    codec
        Any of ours.
    shape
        Shape of the tensor.

    Returns
    -------
    CodecCost
        Reads and writes of memory, counted as an implementation without a cache between its
        passes would make them, and what is compressed. Of sparse codecs, that of the most values
        that could be sent: how many are zero differs from sample to sample.

    Raises
    ------
    TypeError
        If the codec is none of ours.
    """
    if isinstance(codec, ChannelCodec):
        whole = work_of(codec.inner, (len(codec.sent), *shape[1:]))
        # The receiver fills all channels; the sender copies those that it sends.
        sent = _FLOAT_BYTES * math.prod((len(codec.sent), *shape[1:]))
        return CodecCost(
            codec.name,
            whole.encode_traffic_bytes + 2 * sent,
            whole.decode_traffic_bytes + _FLOAT_BYTES * math.prod(shape) + 2 * sent,
            whole.content_bytes,
            whole.compressor,
            whole.level,
        )
    if isinstance(codec, ImageCodec):
        pixels = math.prod(shape)
        lossless = codec.form == "webp" and codec.quality is None
        # Read twice for the range, once for rounding; a byte for each pixel.
        traffic = (3 * _FLOAT_BYTES + 1) * pixels
        form = "webp-lossless" if lossless else codec.form
        return CodecCost(codec.name, traffic, (1 + _FLOAT_BYTES) * pixels, pixels, form)
    if isinstance(codec, Codec):
        return _work(codec, shape)
    raise TypeError(f"the work of {type(codec).__name__} is not known")


def total_work(codecs: Sequence[AnyCodec], shapes: Sequence[tuple[int, ...]]) -> CodecCost:
    """Count what all codecs of a cut do for one sample.

    Parameters
    ----------
    codecs
        One for each tensor that crosses, all with one compressor.
    shapes
        Shapes of the tensors.

    Returns
    -------
    CodecCost
        The sums, and all names that differ; nothing where nothing crosses.
    """
    works = [work_of(codec, shape) for codec, shape in zip(codecs, shapes, strict=True)]
    if not works:
        return CodecCost()
    return CodecCost(
        ", ".join(dict.fromkeys(work.name for work in works)),
        sum(work.encode_traffic_bytes for work in works),
        sum(work.decode_traffic_bytes for work in works),
        sum(work.content_bytes for work in works),
        works[0].compressor,
        works[0].level,
    )


def _work(codec: Codec, shape: tuple[int, ...]) -> CodecCost:
    count = math.prod(shape)
    tensor, numbers = _FLOAT_BYTES * count, codec.number_bytes(shape)
    sent = math.ceil(codec.keep * count)
    content = codec.number_bytes((sent,)) if codec.sparse != "none" else numbers
    # Least and greatest: one read. To numbers: a read and a write.
    encode, decode = 2 * tensor + numbers, numbers + tensor
    if codec.keep < 1:
        # Magnitudes, the choice, and zeros where nothing was chosen: a read and a write each.
        encode += 6 * tensor
    if codec.sparse != "none":
        index = min(INDICES[codec.sparse].greatest_bytes((1, count)), 4 * sent + count // 8)
        # Zero or not, for each value a byte, made and read; numbers picked out.
        encode += tensor + 2 * count + numbers + content + index
        decode += 2 * count + content + index + tensor
        content += index
    if codec.checksum:
        encode, decode = encode + content, decode + content
    level = codec.level if codec.compress == "zstd" else 0
    return CodecCost(codec.name, encode, decode, content, codec.compress, level)
