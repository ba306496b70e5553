"""A half of a network as an ONNX file, and as torch's own exported program."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from flexrel_sim.errors import InputError, one_line

__all__ = ["Exported", "Half", "demand_onnx", "exported", "largest_difference"]

_NEEDED = ("onnx", "onnxscript", "onnxruntime")

# Version of the operators: runtimes since ONNX Runtime 1.14 know it.
_OPSET = 18

# Sums in another order: of the greatest value, or of 1 where all are smaller.
_TOLERANCE = 1e-4


class Half(nn.Module):
    """One half, whose results are a tuple even where it is of one tensor.

    Parameters
    ----------
    half
        Head or tail.
    """

    def __init__(self, half: nn.Module) -> None:
        super().__init__()
        self.inner = half

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run it."""
        found = self.inner(*tensors)
        return found if isinstance(found, tuple) else (found,)


def demand_onnx() -> None:
    """Raise InputError, which tells what to install, unless ONNX files can be written."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(
            f"export needs {' and '.join(missing)}: install them with"
            " pip install 'flexrel_sim[export]'"
        )


@dataclass(frozen=True)
class Exported:
    """A half as the contents of files.

    Parameters
    ----------
    onnx, pt2
        Of a ``.onnx`` and of a ``.pt2`` file. Where in the code an operation was called is in
        neither: that would be paths of this machine.
    any_batch
        Whether they take any number of samples, or one.
    """

    onnx: bytes
    pt2: bytes
    any_batch: bool


def exported(
    half: nn.Module, example: Sequence[Tensor], inputs: Sequence[str], outputs: Sequence[str]
) -> Exported:
    """Export a half for any batch, or for one sample where its code allows no other.

    Parameters
    ----------
    half
        Head or tail, in evaluation mode.
    example
        What it takes, of two samples or more.
    inputs, outputs
        Names of what it takes and gives, in the file.

    Returns
    -------
    Exported
        The files.

    Raises
    ------
    ValueError
        If torch can't export it.
    """
    with _quiet():
        try:
            return _exported(half, example, inputs, outputs, any_batch=True)
        except Exception:  # noqa: BLE001 - whatever torch makes of a user's network
            one = [tensor[:1].clone() for tensor in example]
        try:
            return _exported(half, one, inputs, outputs, any_batch=False)
        except Exception as error:  # noqa: BLE001 - as above
            told = one_line(str(error))
            raise ValueError(f"torch can't export it: {told}") from None


def _exported(
    half: nn.Module,
    example: Sequence[Tensor],
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    any_batch: bool,
) -> Exported:
    axes: dict[str, Any] = {"tensors": tuple({0: torch.export.Dim.DYNAMIC} for _ in example)}
    names: dict[str, Any] = {"tensors": tuple({0: "batch"} for _ in example)}
    program = torch.export.export(
        Half(half).eval(),
        tuple(example),
        dynamic_shapes=axes if any_batch else None,
        strict=False,
    )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    written = torch.onnx.export(
        program,
        dynamo=True,
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_shapes=names if any_batch else None,
        opset_version=_OPSET,
        external_data=False,
        verbose=False,
    )
    if written is None:
        raise ValueError("it gave no ONNX program")
    model = written.model_proto
    del model.metadata_props[:]
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del part.metadata_props[:]
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return Exported(model.SerializeToString(deterministic=True), buffer.getvalue(), any_batch)


def largest_difference(files: Exported, half: nn.Module, example: Sequence[Tensor]) -> float:
    """Run the ONNX file, and compare what it gives with what torch gives.

    Parameters
    ----------
    files
        What `exported` gave.
    half
        What was exported.
    example
        What it takes; the first sample of it, where the files take one.

    Returns
    -------
    float
        The largest difference of any value.

    Raises
    ------
    ValueError
        If that is more than rounding explains.
    """
    import onnxruntime  # noqa: PLC0415 - an extra, and what starts it must be able to tell so

    session = onnxruntime.InferenceSession(files.onnx, providers=["CPUExecutionProvider"])
    example = example if files.any_batch else [tensor[:1] for tensor in example]
    names = [argument.name for argument in session.get_inputs()]
    given = {name: tensor.numpy() for name, tensor in zip(names, example, strict=True)}
    got = [torch.from_numpy(array) for array in session.run(None, given)]
    with torch.inference_mode():
        expected = Half(half)(*example)
    pairs = list(zip(got, expected, strict=True))
    largest = max(float((one - other).abs().max()) for one, other in pairs)
    size = max(float(other.abs().max()) for _, other in pairs)
    if not largest <= _TOLERANCE * max(1.0, size):
        raise ValueError(f"ONNX Runtime's values differ from torch's by {largest:.2g}")
    return largest


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's talk of its own inside, such as that torchvision isn't installed."""
    talkers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [talker.level for talker in talkers]
    try:
        for talker in talkers:
            talker.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for talker, level in zip(talkers, levels, strict=True):
            talker.setLevel(level)
