"""Devices and radios, and what a network costs on them in time and energy."""

from flexrel_sim.hardware.batching import (
    BatchTime,
    RooflineBatchTime,
    TableBatchTime,
    batch_time,
    linear_batch_time,
    roofline_batch_time,
)
from flexrel_sim.hardware.codec_time import decode_time_s, encode_time_s
from flexrel_sim.hardware.devices import Device, Rate, find_device, list_devices
from flexrel_sim.hardware.energy import ComputeEnergy, battery_life_h, compute_energy
from flexrel_sim.hardware.profiled import FUSED_KINDS, ProfiledTable
from flexrel_sim.hardware.radio import Radio, find_radio, list_radios, transfer_energy_j
from flexrel_sim.hardware.radio_meter import RadioEnergy, RadioMeter, Transfers, radio_energy
from flexrel_sim.hardware.roofline import LayerTimes, layer_time_s, layer_times, service_time_s
from flexrel_sim.hardware.sparsity import SparseKernels, SparseTable, StructuredKernels
from flexrel_sim.hardware.traits import NetworkTraits, Pattern, Precision

__all__ = [
    "FUSED_KINDS",
    "BatchTime",
    "ComputeEnergy",
    "Device",
    "LayerTimes",
    "NetworkTraits",
    "Pattern",
    "Precision",
    "ProfiledTable",
    "Radio",
    "RadioEnergy",
    "RadioMeter",
    "Rate",
    "RooflineBatchTime",
    "SparseKernels",
    "SparseTable",
    "StructuredKernels",
    "TableBatchTime",
    "Transfers",
    "batch_time",
    "battery_life_h",
    "compute_energy",
    "decode_time_s",
    "encode_time_s",
    "find_device",
    "find_radio",
    "layer_time_s",
    "layer_times",
    "linear_batch_time",
    "list_devices",
    "list_radios",
    "radio_energy",
    "roofline_batch_time",
    "service_time_s",
    "transfer_energy_j",
]
