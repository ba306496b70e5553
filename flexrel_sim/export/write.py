"""A scenario's operating point as halves that run without this package."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from flexrel_sim.errors import WorkError
from flexrel_sim.export.card import Told, card_text, codec_json
from flexrel_sim.export.files import demand_onnx, exported, largest_difference
from flexrel_sim.export.scripts import Script, head_script, tail_script
from flexrel_sim.measure import MeasureSpec
from flexrel_sim.measure.layers import layers_of
from flexrel_sim.measure.network import Ready, measure_cuts, ready
from flexrel_sim.partition import EDGE, SERVER, split_graph
from flexrel_sim.profile import Layer
from flexrel_sim.threads import one_thread
from flexrel_sim.version import __version__

__all__ = ["CARD_NAME", "write_export"]

CARD_NAME: Final = "model_card.md"
"""What an export is, for its reader."""

_TRIED = 8
"""Test samples on which the files are compared with torch."""


def write_export(spec: MeasureSpec, folder: Path) -> Told:
    """Prune, cut and export a network.

    Parameters
    ----------
    spec
        The operating point.
    folder
        An empty folder, which gets all files; `result_folder` records their sums, without which
        the scripts refuse to run.

    Returns
    -------
    Told
        What the model card says.

    Raises
    ------
    InputError
        If what writes ONNX files is not installed.
    WorkError
        If the network can't be pruned or exported, or answers otherwise from its files.
    """
    demand_onnx()
    with one_thread():
        try:
            found = ready([spec])
            told, scripts = _halves(spec, found, folder)
        except ValueError as error:
            raise WorkError(f"{spec.card_file.file}: can't be exported: {error}") from None
    for name, script in scripts.items():
        (folder / name).write_text(script.text, encoding="utf-8")
    if told.codecs:
        (folder / "codec.json").write_text(codec_json(told), encoding="utf-8")
    (folder / CARD_NAME).write_text(card_text(told), encoding="utf-8")
    versions = {name: version(name) for name in ("torch", "onnx", "onnxscript", "onnxruntime")}
    provenance = {"versions": {"flexrel_sim": __version__} | versions, "from": spec.provenance}
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")
    return told


def _halves(spec: MeasureSpec, found: Ready, folder: Path) -> tuple[Told, dict[str, Script]]:
    """Write the halves; give what is known of them, and their scripts."""
    graph, test = found.whole.graph, found.samples.test
    _, name, codecs, split = found.points[0]
    cut = graph.cut(name)
    head, tail = split_graph(graph, cut)
    images = torch.from_numpy(test.images)
    # The first again at the end, so that there are two even of one sample.
    some = images[[*range(min(_TRIED, len(images))), 0]]
    with torch.inference_mode():
        boundary = head(some)
        tensors = boundary if isinstance(boundary, tuple) else (boundary,)
    inputs = [f"tensor_{place}" for place in range(len(tensors))]
    tried: list[tuple[float, bool]] = []
    if cut.name != SERVER:
        outputs = ["logits"] if cut.name == EDGE else inputs
        tried.append(_write(folder / "head", head, [some], ["image"], outputs))
    if cut.name != EDGE:
        tried.append(_write(folder / "tail", tail, list(tensors), inputs, ["logits"]))
    network, shape = spec.card_file.card.name, list(images.shape[1:])
    # A cut behind a bottleneck has the name of its encoder.
    scripts = {"run_head.py": head_script(network, cut.name, codecs, shape)}
    if cut.name != EDGE:
        scripts["run_tail.py"] = tail_script(network, cut.name, codecs)
    (measured,) = measure_cuts(graph, [(name, codecs)], images)
    layers = layers_of(graph, name, found.whole.costs)
    told = Told(
        network=network,
        cut=cut.name,
        codecs=codecs,
        tensors=tuple(
            (graph.names[value], tuple(tensor.shape[1:]))
            for value, tensor in zip(cut.values, tensors, strict=True)
        )
        if codecs
        else (),
        image_shape=shape,
        labels=test.labels,
        predicted=measured.answers,
        payload_bytes=float(measured.payload_bytes.mean()),
        difference=max(difference for difference, _ in tried),
        any_batch=all(any_batch for _, any_batch in tried),
        macs=_sums(layers, lambda layer: layer.macs),
        weights=_sums(layers, lambda layer: layer.weights),
        operating_point=spec.operating_point | {"split": split},
        packages=tuple(sorted({name for one in scripts.values() for name in one.packages})),
    )
    return told, scripts


def _write(
    file: Path, half: nn.Module, example: list[Tensor], inputs: list[str], outputs: list[str]
) -> tuple[float, bool]:
    """Export one half; give how far its answers are from torch's, and if it takes any batch."""
    # A tensor of inference mode can't be traced.
    tensors = [tensor.clone() for tensor in example]
    files = exported(half, tensors, inputs, outputs)
    difference = largest_difference(files, half, tensors)
    file.with_suffix(".onnx").write_bytes(files.onnx)
    file.with_suffix(".pt2").write_bytes(files.pt2)
    return difference, files.any_batch


def _sums(layers: Sequence[Layer], count: Callable[[Layer], int]) -> tuple[int, int]:
    sides = [[count(layer) for layer in layers if layer.side == side] for side in ("head", "tail")]
    return sum(sides[0]), sum(sides[1])
