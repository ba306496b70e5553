"""Halves of a network that run without this package. Needs torch, onnx and onnxscript."""

from flexrel_sim.export.card import Told
from flexrel_sim.export.write import CARD_NAME, write_export

__all__ = ["CARD_NAME", "Told", "write_export"]
