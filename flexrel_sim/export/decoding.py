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
        tensor. It refuses what the codec's own `decode` refuses: by ValueError, or by an error of
        the compressor's or Pillow's. It unpacks to no more than the tensor can need.

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
    decode = function("def decode(payload, about):", summary, opening + body + ending)
    return Code(f"{_DEMAND.text}\n\n\n{decode.text}", decode.modules)


_DEMAND: Final = function(
    "def demand(holds, rule):",
    "Raise unless a payload keeps a rule.",
    Code.of(
        """
        if not holds:
            raise ValueError(f"the payload {rule}")
        """
    ),
)


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
        intact = payload[:4] == expected.to_bytes(4, "little")
        demand(intact, "is damaged, or of another codec or shape; send it again")
        """,
        "zlib",
    )


def _image(codec: ImageCodec) -> Code:
    # A gray image comes as RGB from WebP, which has no gray.
    modes = '(mode, "RGB")' if codec.form == "webp" else "(mode,)"
    return Code.of(
        f"""
        image = Image.open(io.BytesIO(body), formats=["{codec.form}"])
        mode = "L" if shape[0] == 1 else "RGB"
        sized = image.size == (shape[2], shape[1])
        demand(sized, f"must be {{shape}}, and says {{image.size}} pixels")
        demand(image.mode in {modes}, f"must be {{mode}}, and says {{image.mode}}")
        pixels = np.asarray(image.convert(mode))
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
            demand(len(body) >= 8 * {groups}, "must hold an offset and a scale for each group")
            scales, body = np.frombuffer(body[: 8 * {groups}], "<f4"), body[8 * {groups} :]
            demand(np.isfinite(scales).all(), "must hold a finite offset and scale")
            low, step = scales.astype(np.float64).reshape(-1, 2).T[:, :, None]
            """
        )
    count = "size"
    if sparse:
        code += _PLACES[codec.sparse] + Code.of("count = int(mask.sum())")
        count = "count"
    code += Code.of(f"wanted = {_BYTES[codec.dtype].format(count=count)}")
    code += Code.of('demand(len(body) == wanted, f"must hold {wanted} bytes of numbers")')
    code += Code.of(_READ[codec.dtype].format(count=count))
    if sparse:
        code += Code.of(
            """
            some, numbers = numbers, np.zeros(size, numbers.dtype)
            numbers[mask] = some
            """
        )
    code += Code.of(_VALUES[codec.dtype].format(groups=groups))
    if not affine:
        code += Code.of('demand(np.isfinite(values).all(), "must hold finite numbers")')
    if sparse:
        code += Code.of("values = np.where(mask, values.ravel(), np.float32(0))")
    return code + Code.of("tensor = values.reshape(shape)")


_TOPS: Final = {"uint8": 255, "int4": 15}

_BYTES: Final = {
    "float32": "4 * {count}",
    "float16": "2 * {count}",
    "bfloat16": "2 * {count}",
    "uint8": "{count}",
    "int4": "({count} + 1) // 2",
}

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
        demand(len(body) >= used, f"must hold a bitmap of {used} bytes")
        bits = np.unpackbits(np.frombuffer(body, np.uint8, used))
        demand(not bits[size:].any(), f"must have a bitmap that ends after {size} bits")
        mask, body = bits[:size].astype(bool), body[used:]
        """
    ),
    "csr": Code.of(
        """
        width = size // max(channels, 1)
        kind = np.min_scalar_type(width)
        head = channels * kind.itemsize
        demand(len(body) >= head, f"must hold {channels} counts")
        counts = np.frombuffer(body, kind, channels).astype(np.int64)
        kind, total = np.min_scalar_type(max(width - 1, 0)), int(counts.sum())
        used = head + total * kind.itemsize
        demand((counts <= width).all() and len(body) >= used, f"must hold {total} places")
        places = np.frombuffer(body, kind, total, head)
        demand((places < width).all(), f"must have places below {width}")
        mask = np.zeros((channels, width), bool)
        mask[np.repeat(np.arange(channels), counts), places] = True
        demand(np.count_nonzero(mask) == total, "must name a place once")
        mask, body = mask.ravel(), body[used:]
        """
    ),
    "delta": Code.of(
        """
        demand(len(body) >= 4, "must hold a count")
        (total,) = struct.unpack_from("<I", body)
        demand(total <= size, f"must hold a count of at most {size}")
        mask, position, used = np.zeros(size, bool), -1, 4
        for _ in range(total):
            gap = shift = 0
            while shift < 35 and used < len(body) and body[used] > 127:
                gap, shift, used = gap | (body[used] & 127) << shift, shift + 7, used + 1
            demand(shift < 35 and used < len(body), f"must hold {total} positions")
            position += 1 + (gap | body[used] << shift)
            demand(position < size, f"must have positions below {size}")
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
    fits = 0 <= zstandard.frame_content_size(body) <= greatest
    demand(fits, f"must unpack to at most {greatest} bytes")
    body = zstandard.ZstdDecompressor().decompress(body, allow_extra_data=False)
    """,
    "zstandard",
)

_LZ4: Final = Code.of("body = lz4.block.decompress(body, uncompressed_size=greatest)", "lz4.block")

_ANS: Final = Code.of(
    """
    demand(len(body) >= 36, "must hold a head of 36 bytes")
    (length,) = struct.unpack_from("<I", body)
    demand(length <= greatest, f"must unpack to at most {greatest} bytes")
    occurs = np.unpackbits(np.frombuffer(body, np.uint8, 32, 4)).astype(bool)
    kinds = int(occurs.sum())
    rest, odd = divmod(len(body) - 36 - 2 * kinds, 4)
    demand(not odd and rest >= 0, "must hold shares and words")
    demand((length > 0) == (kinds > 0), "must say which values occur")
    odds = np.zeros(256, np.float32)
    odds[occurs] = np.frombuffer(body, "<u2", kinds, 36)
    if kinds < 2:
        demand(rest == 0, "must hold no words for a single value")
        symbols = np.repeat(np.flatnonzero(occurs), length)
    else:
        demand(odds[occurs].all(), "must have a share for what occurs")
        words = np.frombuffer(body, "<u4", offset=36 + 2 * kinds).astype(np.uint32)
        coder = constriction.stream.stack.AnsCoder(words)
        model = constriction.stream.model.Categorical(odds, perfect=False)
        symbols = coder.decode(model, length)
        demand(coder.is_empty(), f"must be empty after {length} symbols")
    body = np.asarray(symbols).astype(np.uint8).tobytes()
    """,
    "struct",
    "constriction",
)
