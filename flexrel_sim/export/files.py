"""A half of a network as an ONNX file, and as torch's own exported program."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from flexrel_sim.errors import InputError

__all__ = ["Half", "demand_onnx", "exported", "largest_difference"]

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


def exported(
    half: nn.Module, example: Sequence[Tensor], inputs: Sequence[str], outputs: Sequence[str]
) -> tuple[bytes, bytes]:
    """Export a half for any batch.

    Parameters
    ----------
    half
        Head or tail, in evaluation mode.
    example
        What it takes, of two samples.
    inputs, outputs
        Names of what it takes and gives, in the file.

    Returns
    -------
    onnx, pt2
        Contents of a ``.onnx`` and of a ``.pt2`` file. Where in the code an operation was called
        is in neither: that would be paths of this machine.

    Raises
    ------
    ValueError
        If torch can't export it.
    """
    dynamic = {"tensors": tuple({0: torch.export.Dim.DYNAMIC} for _ in example)}
    with _quiet():
        try:
            program = torch.export.export(
                Half(half).eval(), tuple(example), dynamic_shapes=dynamic, strict=False
            )
            for node in program.graph.nodes:
                node.meta.pop("stack_trace", None)
            written = torch.onnx.export(
                program,
                dynamo=True,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes={"tensors": tuple({0: "batch"} for _ in example)},
                opset_version=_OPSET,
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # noqa: BLE001 - whatever torch makes of a user's network
            told = " ".join(str(error).split())
            raise ValueError(f"torch can't export it: {told}") from None
        if written is None:
            raise ValueError("torch can't export it")
        model = written.model_proto
        del model.metadata_props[:]
        for part in (*model.graph.node, *model.graph.value_info, *model.graph.initializer):
            if hasattr(part, "metadata_props"):
                del part.metadata_props[:]
        buffer = io.BytesIO()
        torch.export.save(program, buffer)
    return model.SerializeToString(deterministic=True), buffer.getvalue()


def largest_difference(onnx: bytes, half: nn.Module, example: Sequence[Tensor]) -> float:
    """Run an ONNX file, and compare what it gives with what torch gives.

    Parameters
    ----------
    onnx
        Content of the file.
    half
        What was exported.
    example
        What it takes.

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

    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
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
