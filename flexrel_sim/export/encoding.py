"""The sender's half of a codec as a script: the same bytes, from only the code that it needs."""

from __future__ import annotations

from typing import Final

from flexrel_sim.codec import AnyCodec, ChannelCodec, Codec, ImageCodec
from flexrel_sim.export.code import NOTHING, Code, function

__all__ = ["encode_function"]


def encode_function(codec: AnyCodec) -> Code:
    """Write ``encode(tensor, about)``.

    Parameters
    ----------
    codec
        Any of ours.

    Returns
    -------
    Code
        A function from one sample's tensor, and what ``codec.json`` says of it, to the payload.

    Raises
    ------
    TypeError
        If the codec is none of ours.
    """
    chosen = NOTHING
    if isinstance(codec, ChannelCodec):
        chosen, codec = Code.of('tensor = tensor[about["sent"]]'), codec.inner
    if isinstance(codec, ImageCodec):
        body, checksum = _image(codec), codec.checksum
    elif isinstance(codec, Codec):
        body, checksum = _numbers(codec), codec.checksum
    else:
        raise TypeError(f"{type(codec).__name__} can't be written as a script")
    ending = _framed(codec.name) if checksum else Code.of("return body")
    summary = "Give the payload of one sample's tensor."
    return function("def encode(tensor, about):", summary, chosen + body + ending)


def _framed(name: str) -> Code:
    return Code.of(
        f"""
        start = zlib.crc32(f"{name} {{tensor.shape}}".encode())
        return zlib.crc32(body, start).to_bytes(4, "little") + body
        """,
        "zlib",
    )


def _image(codec: ImageCodec) -> Code:
    options = "".join(f", {key}={value!r}" for key, value in codec.save_options.items())
    return Code.of(
        f"""
        if not (tensor.min() >= 0 and tensor.max() <= 1):
            raise ValueError("an image must be finite and in 0..1 to be encoded")
        pixels = np.rint(tensor * np.float32(255)).astype(np.uint8)
        image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, 2))
        file = io.BytesIO()
        image.save(file, "{codec.form}"{options})
        body = file.getvalue()
        """,
        "io",
        "numpy",
        "PIL",
    )


def _numbers(codec: Codec) -> Code:
    code = Code.of(
        """
        if not np.isfinite(tensor).all():
            raise ValueError("a tensor must be finite to be encoded")
        """,
        "numpy",
    )
    sparse = codec.sparse != "none"
    if sparse or codec.scale == "channel":
        code += Code.of("channels = len(tensor) if tensor.ndim > 1 else 1")
    rows = "channels" if codec.scale == "channel" else "1"
    code += Code.of(f"table = np.ascontiguousarray(tensor, np.float32).reshape({rows}, -1)")
    if codec.keep < 1:
        code += Code.of(
            f"""
            left_out = table.size - int(np.ceil({codec.keep!r} * table.size))
            kept = table.ravel().copy()
            kept[np.argpartition(np.abs(kept), left_out)[:left_out]] = 0
            table = kept.reshape(table.shape)
            """
        )
    parts = ["scales"] if codec.dtype in _TOPS else []
    code += _affine(_TOPS[codec.dtype]) if codec.dtype in _TOPS else _FLOATS[codec.dtype]
    if sparse:
        code += Code.of("mask = (table != 0).reshape(channels, -1)")
        code += _PLACES[codec.sparse] + Code.of("numbers = numbers.ravel()[mask.ravel()]")
        parts.append("places")
    if codec.dtype == "int4":
        code += Code.of(
            """
            numbers = np.pad(numbers.ravel(), (0, numbers.size % 2))
            numbers = numbers[::2] | numbers[1::2] << 4
            """
        )
    parts.append("numbers.tobytes()")
    return code + Code.of(f"body = {' + '.join(parts)}") + _compressed(codec)


_TOPS: Final = {"uint8": 255, "int4": 15}

_FLOATS: Final = {
    "float32": Code.of('numbers = table.astype("<f4")'),
    "float16": Code.of('numbers = np.clip(table, -65504, 65504).astype("<f2")'),
    "bfloat16": Code.of(
        """
        whole = table.view(np.uint32)
        upper = (whole + 0x7FFF + ((whole >> 16) & 1)) >> 16
        numbers = (upper - ((upper & 0x7FFF) == 0x7F80)).astype("<u2")
        """
    ),
}


def _affine(top: int) -> Code:
    return Code.of(
        f"""
        low, high = table.min(1), table.max(1)
        steps = ((high.astype(np.float64) - low) / {top}).astype(np.float32)
        scales = np.stack([low, steps], 1).astype("<f4").tobytes()
        numbers = np.empty(table.shape, np.uint8)
        rows = max(1, 65536 // table.shape[1])
        for some in (slice(row, row + rows) for row in range(0, len(table), rows)):
            least, step = low[some, None].astype(np.float64), steps[some, None].astype(np.float64)
            inverse = np.divide(1, step, out=np.zeros_like(step), where=step > 0)
            size = np.maximum(np.abs(least), np.abs(least + step * {top}))
            fine = ((step > 2.0**-100) & (size < step * 2**10)) | (step == 0)
            kind = np.float32 if fine.all() else np.float64
            shift = np.where(step > 0, 0.5 - least * inverse, 0).astype(kind)
            numbers[some] = np.clip(table[some] * inverse.astype(kind) + shift, 0, {top})
        """
    )


_PLACES: Final = {
    "bitmap": Code.of("places = np.packbits(mask).tobytes()"),
    "csr": Code.of(
        """
        counts = np.count_nonzero(mask, axis=1).astype(np.min_scalar_type(mask.shape[1]))
        columns = np.nonzero(mask)[1].astype(np.min_scalar_type(max(mask.shape[1] - 1, 0)))
        places = counts.tobytes() + columns.tobytes()
        """
    ),
    "delta": Code.of(
        """
        positions = np.flatnonzero(mask).tolist()
        places = struct.pack("<I", len(positions))
        for before, position in zip([-1, *positions], positions):
            gap = position - before - 1
            while gap > 127:
                places += bytes([gap & 127 | 128])
                gap >>= 7
            places += bytes([gap])
        """,
        "struct",
    ),
}


def _compressed(codec: Codec) -> Code:
    if codec.compress == "zstd":
        text = f"body = zstandard.ZstdCompressor(level={codec.level}).compress(body)"
        return Code.of(text, "zstandard")
    return {"none": NOTHING, "lz4": _LZ4, "ans": _ANS}[codec.compress]


_LZ4: Final = Code.of("body = lz4.block.compress(body, store_size=False)", "lz4.block")

_ANS: Final = Code.of(
    """
    symbols = np.frombuffer(body, np.uint8)
    counts = np.bincount(symbols, minlength=256)
    occurs = counts > 0
    shares = np.maximum(counts[occurs] * 4096 // max(symbols.size, 1), 1).astype("<u2")
    coder = constriction.stream.stack.AnsCoder()
    if shares.size > 1:
        odds = np.zeros(256, np.float32)
        odds[occurs] = shares
        model = constriction.stream.model.Categorical(odds, perfect=False)
        coder.encode_reverse(symbols.astype(np.int32), model)
    words = coder.get_compressed().astype("<u4")
    head = struct.pack("<I", symbols.size) + np.packbits(occurs).tobytes()
    body = head + shares.tobytes() + words.tobytes()
    """,
    "struct",
    "constriction",
)
