"""Halves of a network that run without this package. Needs torch, onnx and onnxscript."""

from flexrel_sim.export.card import Told
from flexrel_sim.export.write import EXPORT_NAMES, write_export

__all__ = ["EXPORT_NAMES", "Told", "write_export"]
