"""Time that encoding and decoding take on a device: memory traffic, and a compressor's cycles."""

from __future__ import annotations

from typing import Final

import numpy as np

from flexrel_sim.hardware.devices import Device
from flexrel_sim.profile import CodecCost

__all__ = ["ASSUMED_CLOCK_HZ", "decode_time_s", "encode_time_s"]

ASSUMED_CLOCK_HZ: Final = 2.0e9
"""Clock of a device that doesn't state one."""

# Cycles per byte that goes in, and that comes out again, on one core; the least of many runs of
# `python -m benchmarks.codec_bench`, on an AMD EPYC whose counter runs at 2.6 GHz, of uint8
# activations behind a ReLU (ratio 1.9) and of a smooth RGB image of 224 x 224: libraries zstandard
# 0.25, lz4 4.4, constriction 0.5, Pillow 13. zstd's README has 9.6 and 3.2 for level 1 (510 and
# 1550 MB/s at 4.9 GHz, Silesia corpus), lz4 7.3 and 1.3. In-order cores take more.
_CYCLES_PER_BYTE: Final[dict[str, tuple[float, float]]] = {
    "none": (0.0, 0.0),
    "lz4": (4.5, 0.95),
    "ans": (19.0, 85.0),
    "png": (210.0, 24.0),
    "jpeg": (8.0, 7.0),
    "webp": (87.0, 14.0),
    "webp-lossless": (1300.0, 21.0),
}

_ZSTD_LEVELS = (1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 14, 16, 18, 22)
_ZSTD_CYCLES = (7.2, 9.2, 11.6, 13, 30, 47, 58, 84, 95, 150, 630, 806, 1240, 1470)
_UNZSTD_CYCLES = 2.5


def encode_time_s(device: Device, cost: CodecCost) -> float:
    """Estimate what encoding one sample takes.

    Parameters
    ----------
    device
        Where it runs, on one core.
    cost
        What the codec does.

    Returns
    -------
    float
        Seconds: ``traffic / bandwidth + cycles per byte · bytes / clock``.
    """
    return _time_s(device, cost.encode_traffic_bytes, cost.content_bytes, _cycles(cost)[0])


def decode_time_s(device: Device, cost: CodecCost) -> float:
    """Estimate what decoding one sample takes; as `encode_time_s`."""
    return _time_s(device, cost.decode_traffic_bytes, cost.content_bytes, _cycles(cost)[1])


def _time_s(device: Device, traffic_bytes: float, packed_bytes: float, cycles: float) -> float:
    clock_hz = device.clock_hz or ASSUMED_CLOCK_HZ
    return traffic_bytes / device.memory_bandwidth_byte_per_s + packed_bytes * cycles / clock_hz


def _cycles(cost: CodecCost) -> tuple[float, float]:
    if cost.compressor == "zstd":
        # Between levels that were measured, on a line of logarithms: they grow by factors.
        packed = np.interp(cost.level, _ZSTD_LEVELS, np.log(_ZSTD_CYCLES))
        return float(np.exp(packed)), _UNZSTD_CYCLES
    return _CYCLES_PER_BYTE[cost.compressor]
