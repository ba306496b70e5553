"""What the exported folder says of itself: the codec as data, and the model card."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from string import Template
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from flexrel_sim.accuracy import ACCURACY_FIGURES, Recalls, confusion
from flexrel_sim.codec import AnyCodec, ChannelCodec
from flexrel_sim.errors import Fault
from flexrel_sim.partition import EDGE, SERVER
from flexrel_sim.statistics import Estimate
from flexrel_sim.version import __version__

__all__ = ["Told", "card_text", "channels_of", "codec_json"]


@dataclass(frozen=True)
class Told:
    """What is measured of an export.

    Parameters
    ----------
    network, cut
        Their names.
    codecs
        What encodes each tensor that crosses.
    tensors
        Name of the operation that gave each, and its shape.
    image_shape
        Shape of an image.
    labels, predicted
        Of the scenario's test samples the classes, and the answers, with the codec.
    payload_bytes
        Mean of the same samples.
    difference
        Largest difference of the ONNX files' answers from torch's, on some of them.
    any_batch
        Whether the files take any number of samples; one otherwise.
    macs, weights
        Of the halves.
    operating_point
        The scenario's model sections, resolved.
    packages
        Packages that the scripts need.
    warnings
        What is right and perhaps not meant.
    """

    network: str
    cut: str
    codecs: tuple[AnyCodec, ...]
    tensors: tuple[tuple[str, tuple[int, ...]], ...]
    image_shape: list[int]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    payload_bytes: float
    difference: float
    any_batch: bool
    macs: tuple[int, int]
    weights: tuple[int, int]
    operating_point: dict[str, Any]
    packages: tuple[str, ...]
    warnings: tuple[Fault, ...] = ()

    @cached_property
    def recalls(self) -> Recalls:
        """Right answers by class."""
        return Recalls.of(self.labels, self.predicted)

    @property
    def accuracy(self) -> Estimate:
        """Accuracy on the test samples."""
        return self.recalls.figures["accuracy"]


def codec_json(told: Told) -> str:
    """Give the content of ``codec.json``, which both scripts read."""
    tensors = [
        {"name": f"tensor_{place}", "operation": name, "shape": list(shape), **channels_of(codec)}
        for place, (codec, (name, shape)) in enumerate(zip(told.codecs, told.tensors, strict=True))
    ]
    data = {
        "codec": told.operating_point["codec"],
        "names": [codec.name for codec in told.codecs],
        "tensors": tensors,
        "written_by": f"flexrel_sim {__version__}",
    }
    return json.dumps(data, indent=1) + "\n"


def channels_of(codec: AnyCodec) -> dict[str, Any]:
    """Give which channels are sent, and what the others are taken for, if not all are sent."""
    if not isinstance(codec, ChannelCodec):
        return {}
    return {"sent": list(codec.sent), "fill": list(codec.fill)}


def card_text(told: Told) -> str:
    """Give the content of ``model_card.md``: data for programs first, then words."""
    head_macs, tail_macs = told.macs
    head_weights, tail_weights = told.weights
    data = {
        "network": told.network,
        "cut": told.cut,
        "codec": [codec.name for codec in told.codecs],
        "image": {"shape": told.image_shape, "dtype": "float32", "range": [0, 1]},
        **{name: asdict(estimate) for name, estimate in told.recalls.figures.items()},
        "recall": {label: asdict(one) for label, one in told.recalls.per_class.items()},
        "confusion": [
            {"label": label, "answer": answer, "samples": count}
            for label, answer, count in confusion(told.labels, told.predicted)
        ],
        "mean_payload_bytes": told.payload_bytes,
        "head": {"macs": head_macs, "weights": head_weights},
        "tail": {"macs": tail_macs, "weights": tail_weights},
        "batch": "any" if told.any_batch else 1,
        "largest_difference": told.difference,
        "python_packages": list(told.packages),
        "operating_point": told.operating_point,
        "written_by": f"flexrel_sim {__version__}",
    }
    front = yaml.safe_dump(_plain(data), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n{_words(told)}"


def _plain(data: Any) -> Any:
    # Tuples and numbers of numpy would become tags that only Python reads.
    return json.loads(json.dumps(data, default=str))


_WORDS = """\
# $network, cut at $cut

$halves
The first axis is the batch, of $batch. Pixels are scaled inside of the network: it takes images
as they are, float32 in 0..1. Weights are stored as float32, those that are zero or rounded among
them: only filters that were removed make the files smaller.

Accuracy on $test test samples that no training saw, with the codec: $accuracy, 95 % interval
$low to $high, where the classes are as frequent as there. Always answering the most frequent one,
$frequent, would have $share.$doubt The mean of the classes' recalls is $balanced ($balanced_low to
$balanced_high), the lowest $worst ($worst_low to $worst_high).

$table

The mean payload is $payload bytes. ONNX Runtime's values differ from torch's by
$difference at most; where numbers are rounded for sending, such a difference may round one to its
other neighbour.

```
$commands
```

The scripts need $packages.
`*.pt2` are the same halves for `torch.export.load`; they give a tuple of tensors.
`sha256sum -c SHA256SUMS` tells whether a file has changed.
"""


def _words(told: Told) -> str:
    halves = {
        EDGE: "All of it is in `head.onnx`; nothing is sent, so there is no tail and no codec.",
        SERVER: "The input is sent as it is, so there is no `head.onnx`: `run_head.py` only"
        " encodes, and `tail.onnx` is the whole network.",
    }.get(told.cut, f"`head.onnx` ends, and `tail.onnx` starts, after `{told.cut}`.")
    commands = "python run_head.py images.npy payloads\npython run_tail.py payloads answers.npy"
    return Template(_WORDS).substitute(
        network=told.network,
        cut=told.cut,
        halves=halves,
        batch="any size" if told.any_batch else "one sample: the network's code allows no other",
        test=told.operating_point["data"]["test"],
        **_accuracy_words(told),
        payload=f"{told.payload_bytes:,.1f}",
        difference=f"{told.difference:.1e}",
        commands="python run_head.py images.npy answers.npy" if told.cut == EDGE else commands,
        packages=", ".join(told.packages),
    )


def _accuracy_words(told: Told) -> dict[str, str]:
    names = dict(zip(ACCURACY_FIGURES, ("", "balanced", "worst"), strict=True))
    words: dict[str, str] = {}
    for figure, name in names.items():
        estimate = told.recalls.figures[figure]
        prefix = f"{name}_" if name else ""
        words |= {
            name or "accuracy": f"{estimate.value:.4f}",
            f"{prefix}low": f"{estimate.low:.4f}",
            f"{prefix}high": f"{estimate.high:.4f}",
        }
    label, share = told.recalls.most_frequent
    doubt = "" if told.recalls.is_informed else " **This network is not known to be any better.**"
    return words | {
        "frequent": f"{label}",
        "share": f"{share:.4f}",
        "doubt": doubt,
        "table": _recall_table(told),
    }


def _recall_table(told: Told) -> str:
    """List the recall of every class, and what its samples are taken for most."""
    taken: dict[int, tuple[int, int]] = {}
    for label, answer, count in confusion(told.labels, told.predicted):
        if answer != label and count > taken.get(label, (0, 0))[1]:
            taken[label] = answer, count
    heads = ("class", "samples", "recall", "95 % interval", "most often taken for")
    rows = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    counts = told.recalls.samples
    for (label, recall), count in zip(told.recalls.per_class.items(), counts, strict=True):
        wrong = f"{taken[label][0]} ({taken[label][1]})" if label in taken else ""
        rows.append(
            f"| {label} | {count} | {recall.value:.4f} | {recall.low:.4f} to {recall.high:.4f}"
            f" | {wrong} |"
        )
    return "\n".join(rows)
