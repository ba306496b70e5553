"""The receiver's half of a codec as a script: the same numbers, from only the code it needs."""

from __future__ import annotations

from typing import Final

from flexrel_sim.codec import AnyCodec, ChannelCodec, Codec, ImageCodec
from flexrel_sim.export.code import NOTHING, Code, function

__all__ = ["decode_function"]


def decode_function(codec: AnyCodec) -> Code:
    """Write ``decode(payload, about)``.

    Parameters
    ----------
    codec
        Any of ours.

    Returns
    -------
    Code
        A function from one sample's payload, and what ``codec.json`` says of its tensor, to the
        tensor. It raises ValueError on damage that the checksum finds, and unpacks to no more
        than the tensor can need.

    Raises
    ------
    TypeError
        If the codec is none of ours.
    """
    shape, filled = Code.of('shape = tuple(about["shape"])'), NOTHING
    if isinstance(codec, ChannelCodec):
        shape = Code.of('shape = (len(about["sent"]), *about["shape"][1:])')
        filled, codec = _FILLED, codec.inner
    if isinstance(codec, ImageCodec):
        body, checksum = _image(codec), codec.checksum
    elif isinstance(codec, Codec):
        body, checksum = _numbers(codec), codec.checksum
    else:
        raise TypeError(f"{type(codec).__name__} can't be written as a script")
    opening = shape + (_unframed(codec.name) if checksum else Code.of("body = payload"))
    ending = filled + Code.of("return tensor")
    summary = "Give one sample's tensor of its payload."
    return function("def decode(payload, about):", summary, opening + body + ending)


_FILLED: Final = Code.of(
    """
    whole = np.empty(about["shape"], np.float32)
    whole[:] = np.array(about["fill"], np.float32).reshape(-1, *[1] * (whole.ndim - 1))
    whole[about["sent"]] = tensor
    tensor = whole
    """
)


def _unframed(name: str) -> Code:
    return Code.of(
        f"""
        body = payload[4:]
        expected = zlib.crc32(body, zlib.crc32(f"{name} {{shape}}".encode()))
        if payload[:4] != expected.to_bytes(4, "little"):
            raise ValueError("the payload is damaged, or of another codec or shape; send it again")
        """,
        "zlib",
    )


def _image(codec: ImageCodec) -> Code:
    return Code.of(
        f"""
        image = Image.open(io.BytesIO(body), formats=["{codec.form}"])
        if image.size != (shape[2], shape[1]):
            raise ValueError(f"the payload must be {{shape}}, and says {{image.size}} pixels")
        pixels = np.asarray(image.convert("L" if shape[0] == 1 else "RGB"))
        table = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
        tensor = np.ascontiguousarray(table).astype(np.float32) / np.float32(255)
        """,
        "io",
        "numpy",
        "PIL",
    )


def _numbers(codec: Codec) -> Code:
    sparse, affine = codec.sparse != "none", codec.dtype in _TOPS
    code = Code.of("size = int(np.prod(shape))", "numpy")
    if sparse or codec.scale == "channel":
        code += Code.of("channels = shape[0] if len(shape) > 1 else 1")
    groups = "channels" if codec.scale == "channel" else "1"
    code += _unpacked(codec, groups)
    if affine:
        code += Code.of(
            f"""
            scales, body = body[: 8 * {groups}], body[8 * {groups} :]
            low, step = np.frombuffer(scales, "<f4").astype(np.float64).reshape(-1, 2).T[:, :, None]
            """
        )
    count = "size"
    if sparse:
        code += _PLACES[codec.sparse] + Code.of("count = int(mask.sum())")
        count = "count"
    code += Code.of(_READ[codec.dtype].format(count=count))
    if sparse:
        code += Code.of(
            """
            some, numbers = numbers, np.zeros(size, numbers.dtype)
            numbers[mask] = some
            """
        )
    code += Code.of(_VALUES[codec.dtype].format(groups=groups))
    if sparse:
        code += Code.of("values = np.where(mask, values.ravel(), np.float32(0))")
    return code + Code.of("tensor = values.reshape(shape)")


_TOPS: Final = {"uint8": 255, "int4": 15}

_READ: Final = {
    "float32": 'numbers = np.frombuffer(body, "<f4", {count})',
    "float16": 'numbers = np.frombuffer(body, "<f2", {count})',
    "bfloat16": 'numbers = np.frombuffer(body, "<u2", {count})',
    "uint8": "numbers = np.frombuffer(body, np.uint8, {count})",
    "int4": """\
packed = np.frombuffer(body, np.uint8, ({count} + 1) // 2)
numbers = np.stack([packed & 15, packed >> 4], 1).ravel()[:{count}]""",
}

_SCALED: Final = """\
limit = float(np.finfo(np.float32).max)
values = np.clip(low + step * numbers.reshape({groups}, -1), -limit, limit).astype(np.float32)"""

_VALUES: Final = {
    "float32": "values = numbers.astype(np.float32)",
    "float16": "values = numbers.astype(np.float32)",
    "bfloat16": "values = (numbers.astype(np.uint32) << 16).view(np.float32)",
    "uint8": _SCALED,
    "int4": _SCALED,
}

_PLACES: Final = {
    "bitmap": Code.of(
        """
        used = (size + 7) // 8
        mask = np.unpackbits(np.frombuffer(body, np.uint8, used))[:size].astype(bool)
        body = body[used:]
        """
    ),
    "csr": Code.of(
        """
        width = size // max(channels, 1)
        kind = np.min_scalar_type(width)
        counts = np.frombuffer(body, kind, channels).astype(np.int64)
        kind, used = np.min_scalar_type(max(width - 1, 0)), channels * kind.itemsize
        places = np.frombuffer(body, kind, counts.sum(), used)
        mask = np.zeros((channels, width), bool)
        mask[np.repeat(np.arange(channels), counts), places] = True
        mask, body = mask.ravel(), body[used + places.nbytes :]
        """
    ),
    "delta": Code.of(
        """
        mask, position, used = np.zeros(size, bool), -1, 4
        for _ in range(struct.unpack_from("<I", body)[0]):
            gap = shift = 0
            while body[used] > 127:
                gap, shift, used = gap | (body[used] & 127) << shift, shift + 7, used + 1
            position += 1 + (gap | body[used] << shift)
            mask[position], used = True, used + 1
        body = body[used:]
        """,
        "struct",
    ),
}


def _unpacked(codec: Codec, groups: str) -> Code:
    if codec.compress == "none":
        return NOTHING
    # What no content exceeds: scales, places and numbers.
    scales = f" + 8 * {groups}" if codec.dtype in _TOPS else ""
    places = {"bitmap": " + size", "csr": " + 16 * (size + channels)", "delta": " + 4 + 5 * size"}
    limit = f"4 * size{scales}{places.get(codec.sparse, '')}"
    bounded = Code.of(f"greatest = {limit}")
    return bounded + {"zstd": _ZSTD, "lz4": _LZ4, "ans": _ANS}[codec.compress]


_ZSTD: Final = Code.of(
    """
    if not 0 <= zstandard.frame_content_size(body) <= greatest:
        raise ValueError(f"the payload must unpack to at most {greatest} bytes")
    body = zstandard.ZstdDecompressor().decompress(body)
    """,
    "zstandard",
)

_LZ4: Final = Code.of("body = lz4.block.decompress(body, uncompressed_size=greatest)", "lz4.block")

_ANS: Final = Code.of(
    """
    (length,) = struct.unpack_from("<I", body)
    if length > greatest:
        raise ValueError(f"the payload must unpack to at most {greatest} bytes")
    occurs = np.unpackbits(np.frombuffer(body, np.uint8, 32, 4)).astype(bool)
    kinds = int(occurs.sum())
    odds = np.zeros(256, np.float32)
    odds[occurs] = np.frombuffer(body, "<u2", kinds, 36)
    symbols = np.repeat(np.flatnonzero(occurs), length) if kinds < 2 else None
    if symbols is None:
        words = np.frombuffer(body, "<u4", offset=36 + 2 * kinds).astype(np.uint32)
        coder = constriction.stream.stack.AnsCoder(words)
        model = constriction.stream.model.Categorical(odds, perfect=False)
        symbols = coder.decode(model, length)
    body = np.asarray(symbols).astype(np.uint8).tobytes()
    """,
    "struct",
    "constriction",
)
