"""What a profile is measured from, in canonical form, and the key that names it. No torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from flexrel_sim.datasets import DATASETS, DatasetInfo
from flexrel_sim.hardware import Device
from flexrel_sim.links import Direction
from flexrel_sim.networks import CardFile, network_digests
from flexrel_sim.networks.bottleneck_card import BottleneckFile
from flexrel_sim.profile import PROFILE_VERSION
from flexrel_sim.pruning import CRITERIA
from flexrel_sim.scenario import Scenario
from flexrel_sim.scenario.schema import CodecSection, PruningSection
from flexrel_sim.version import __version__

__all__ = ["BEST", "MeasureSpec", "Target", "code_digest", "make_spec"]

BEST: Final = "best"
"""The cut that is chosen for the devices and the link."""

# Whatever can change a measured number: a profile never outlives the code that measured it. Checks,
# caches and what is printed are left out, so that a better message costs nobody a day.
_MEASURING_CODE = (
    "networks",
    "datasets",
    "pruning",
    "training",
    "codec",
    "measure/best.py",
    "measure/bottleneck.py",
    "measure/codecs.py",
    "measure/layers.py",
    "measure/network.py",
    "measure/passes.py",
    "measure/pruned.py",
    "measure/sending.py",
    "partition",
    "placement",
    "hardware/codec_time.py",
    "hardware/devices.py",
    "hardware/profiled.py",
    "hardware/roofline.py",
    "hardware/sparsity.py",
    "hardware/traits.py",
    "links/direction.py",
    "threads.py",
)

_MEASURING_PACKAGES = (
    "torch",
    "torch-pruning",
    "numpy",
    "scipy",
    "pillow",
    "zstandard",
    "lz4",
    "constriction",
    "networkx",
)


@dataclass(frozen=True)
class Target:
    """What a cut is chosen for.

    Parameters
    ----------
    edge, server
        The devices.
    uplink, downlink
        The link's directions.
    """

    edge: Device
    server: Device
    uplink: Direction
    downlink: Direction


@dataclass(frozen=True)
class MeasureSpec:
    """One profile to be measured.

    Parameters
    ----------
    card_file
        The network.
    scenario
        The point that asks for it; only its model sections matter.
    dataset
        Where its samples come from.
    operating_point
        Those sections, resolved: settings without effect are null, so that points that can't
        differ share a profile.
    provenance
        Hashes and versions of what it is measured from.
    trained_on
        The dataset of the network's recipe, for fine-tuning; None where there is none.
    bottleneck
        What narrows its cut, if anything does.
    target
        What the cut is chosen for, where it is.
    """

    card_file: CardFile
    scenario: Scenario
    dataset: DatasetInfo
    operating_point: dict[str, Any]
    provenance: dict[str, str]
    trained_on: DatasetInfo | None = None
    bottleneck: BottleneckFile | None = None
    target: Target | None = None

    @property
    def seeks_best(self) -> bool:
        """Whether the cut is still to be chosen."""
        return self.scenario.split.cut == BEST

    @property
    def key(self) -> str:
        """Name of the profile: a hash of all it is measured from."""
        return _digest({"point": self.operating_point, "from": self.provenance})

    @property
    def network_key(self) -> str:
        """Name of the pruned network, which all cuts and codecs share."""
        shared = {
            name: self.operating_point[name] for name in ("model", "data", "pruning", "weights")
        }
        if self.scenario.pruning.cut_ratio or self.bottleneck is not None:
            # Which channels go, and which layers are put in, depends on where the network is cut.
            shared["split"] = self.operating_point["split"]
        return _digest({"network": shared, "from": self.provenance})

    @property
    def dense_key(self) -> str:
        """Name of the dense network and its samples, which all prunings, cuts and codecs share."""
        shared = {name: self.operating_point[name] for name in ("model", "data")}
        return _digest({"dense": shared, "from": self.provenance})

    @property
    def bottleneck_key(self) -> str:
        """Hash of the network, pruning and cut that a bottleneck is trained for."""
        names = ("model", "data", "pruning", "weights")
        point = {name: self.operating_point[name] for name in names}
        network = network_digests(self.card_file)
        return _digest({"point": point, "cut": self.scenario.split.cut, "network": network})


def make_spec(
    scenario: Scenario,
    card_file: CardFile,
    dataset: DatasetInfo | None = None,
    trained_on: DatasetInfo | None = None,
    bottleneck: BottleneckFile | None = None,
    target: Target | None = None,
) -> MeasureSpec:
    """Resolve the model sections of a point.

    Parameters
    ----------
    scenario
        The point.
    card_file
        Its network's card, with a recorded checkpoint; one with a factory has been through
        `called`.
    dataset
        What `open_dataset` gave for the point; the one of the catalogue that it names when None.
    trained_on
        What it gave for the card's recipe, where the point fine-tunes.
    bottleneck
        The card that its split names, read.
    target
        The devices and the link; needed by `cut: best` only.

    Returns
    -------
    MeasureSpec
        What to measure.
    """
    card = card_file.card
    data = scenario.data.model_dump()
    recipe = card.training
    dataset = dataset or DATASETS[data["dataset"] or (recipe.dataset if recipe else "")]
    # A user's own is known by its hash, wherever it lies.
    data["dataset"] = Path(dataset.name).name if dataset.digest else dataset.name
    data["deployment"]["classes"] = _resolved_classes(scenario, dataset)
    data["balance"] = scenario.calibration.balance
    point = {
        "model": {"network": card.name},
        "data": data,
        "pruning": _resolved_pruning(scenario.pruning),
        "weights": scenario.weights.model_dump(),
        "split": _resolved_split(scenario, bottleneck, target),
        "codec": _resolved_codec(scenario.codec, scenario.split.cut),
    }
    provenance = {
        **network_digests(card_file),
        "dataset_sha256": dataset.digest,
        "code_sha256": code_digest(_MEASURING_CODE),
        "flexrel_sim": __version__,
        "profile": str(PROFILE_VERSION),
        **{name: version(name) for name in _MEASURING_PACKAGES},
    }
    if trained_on and trained_on.digest:
        provenance["training_dataset_sha256"] = trained_on.digest
    return MeasureSpec(
        card_file, scenario, dataset, point, provenance, trained_on, bottleneck, target
    )


def _resolved_split(
    scenario: Scenario, bottleneck: BottleneckFile | None, target: Target | None
) -> dict[str, Any]:
    cut = scenario.split.cut
    if cut != BEST:
        # A bottleneck is known by its weights, wherever it lies.
        digest = bottleneck.card.checkpoint.sha256 if bottleneck else None
        return {"cut": cut} | ({"bottleneck": digest} if digest else {})
    if target is None:
        raise ValueError("cut 'best' needs the devices and the link that it is chosen for")
    # What it is chosen for is part of the question; of a trace, its mean rate is all that counts.
    return {
        "cut": cut,
        "objective": scenario.split.objective,
        "edge": target.edge.model_dump(),
        "server": target.server.model_dump(),
        "precisions": [scenario.edge.precision, scenario.server.precision],
        "devices": scenario.edge.count,
        "workers": scenario.server.workers,
        "link": scenario.link.model_dump(),
        "rates_bit_per_s": [way.mean_rate_bit_per_s for way in (target.uplink, target.downlink)],
    }


def _resolved_classes(scenario: Scenario, dataset: DatasetInfo) -> list[int] | None:
    # In whatever order, and all of them is the same as none named.
    classes = sorted(scenario.data.deployment.classes or [])
    return classes if classes and len(classes) < dataset.classes else None


def _resolved_pruning(pruning: PruningSection) -> dict[str, Any]:
    """Fill in what is left to the criterion, and drop what changes nothing."""
    if not pruning.prunes:
        return {"ratio": 0.0}
    criterion = CRITERIA[pruning.criterion]
    data = pruning.model_dump()
    data["exclude"] = sorted(set(pruning.exclude))
    data["normalise"] = pruning.normalise or criterion.normalise
    data["ratio_of"] = pruning.ratio_of or pruning.granularity
    if criterion.uses_delta:
        data["delta"] = criterion.delta if pruning.delta is None else pruning.delta
        data["combine"] = pruning.combine or criterion.combine
        data["relevance"]["form"] = pruning.relevance.form or criterion.form
    else:
        del data["delta"], data["combine"], data["relevance"]["form"]
    if pruning.delta != "auto":
        del data["auto"]
    if "propagation" not in criterion.needs:
        del data["relevance"]
    else:
        if pruning.relevance.rule != "gamma":
            del data["relevance"]["gamma"]
        if pruning.relevance.rule != "integrated-gradients":
            del data["relevance"]["steps"]
    if "random" in criterion.signals:
        del data["normalise"]
    else:
        del data["seed"]
    if pruning.schedule.fine_tuning.epochs == 0:
        del data["schedule"]["fine_tuning"]
    return data


def _resolved_codec(codec: CodecSection, cut: str) -> dict[str, Any]:
    if cut == "edge":
        return {}
    if codec.image is not None:
        return codec.model_dump(include={"image", "checksum"})
    data = codec.model_dump(exclude={"image"})
    if codec.compress != "zstd":
        del data["level"]
    return data


def _digest(data: object) -> str:
    text = json.dumps(data, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def code_digest(names: tuple[str, ...]) -> str:
    """Hash modules and packages of this package, named by their paths."""
    package = Path(str(files("flexrel_sim")))
    digest = hashlib.sha256()
    for name in names:
        path = package / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()
