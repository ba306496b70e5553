"""Devices, and what a network costs on them."""

from flexrel_sim.hardware.codec_time import decode_time_s, encode_time_s
from flexrel_sim.hardware.devices import Device, SparseKernels, find_device, list_devices
from flexrel_sim.hardware.roofline import FUSED_KINDS, layer_time_s, service_time_s

__all__ = [
    "FUSED_KINDS",
    "Device",
    "SparseKernels",
    "decode_time_s",
    "encode_time_s",
    "find_device",
    "layer_time_s",
    "list_devices",
    "service_time_s",
]
