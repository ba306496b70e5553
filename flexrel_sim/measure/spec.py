"""What a profile is measured from, in canonical form, and the key that names it. No torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from flexrel_sim.networks import CardFile
from flexrel_sim.profile import PROFILE_VERSION
from flexrel_sim.pruning import CRITERIA, DEFAULT_DELTA
from flexrel_sim.scenario import Scenario
from flexrel_sim.scenario.schema import CodecSection, PruningSection
from flexrel_sim.version import __version__

__all__ = ["MeasureSpec", "make_spec"]

# Whatever can change a measured number: a profile never outlives the code that measured it.
_MEASURING_CODE = (
    "networks",
    "datasets",
    "pruning",
    "codec",
    "measure",
    "partition.py",
    "threads.py",
)

_MEASURING_PACKAGES = ("torch", "torch-pruning", "numpy", "zstandard")


@dataclass(frozen=True)
class MeasureSpec:
    """One profile to be measured.

    Parameters
    ----------
    card_file
        The network.
    scenario
        The point that asks for it; only its model sections matter.
    operating_point
        Those sections, resolved: settings without effect are null, so that points that can't
        differ share a profile.
    provenance
        Hashes and versions of what it is measured from.
    """

    card_file: CardFile
    scenario: Scenario
    operating_point: dict[str, Any]
    provenance: dict[str, str]

    @property
    def key(self) -> str:
        """Name of the profile: a hash of all it is measured from."""
        return _digest({"point": self.operating_point, "from": self.provenance})

    @property
    def network_key(self) -> str:
        """Name of the pruned network, which all cuts and codecs share."""
        shared = {name: self.operating_point[name] for name in ("model", "data", "pruning")}
        return _digest({"network": shared, "from": self.provenance})


def make_spec(scenario: Scenario, card_file: CardFile) -> MeasureSpec:
    """Resolve the model sections of a point.

    Parameters
    ----------
    scenario
        The point.
    card_file
        Its network's card, with a recorded checkpoint.

    Returns
    -------
    MeasureSpec
        What to measure.
    """
    card = card_file.card
    data = scenario.data.model_dump()
    data["dataset"] = data["dataset"] or card.training.dataset
    point = {
        "model": {"network": card.name},
        "data": data,
        "pruning": _resolved_pruning(scenario.pruning),
        "split": scenario.split.model_dump(),
        "codec": _resolved_codec(scenario.codec, scenario.split.cut),
    }
    provenance = {
        "architecture_sha256": _digest(card.architecture.model_dump()),
        "checkpoint_sha256": card.checkpoint.sha256 if card.checkpoint else "",
        "code_sha256": _code_digest(),
        "flexrel_sim": __version__,
        "profile": str(PROFILE_VERSION),
        **{name: version(name) for name in _MEASURING_PACKAGES},
    }
    return MeasureSpec(card_file, scenario, point, provenance)


def _resolved_pruning(pruning: PruningSection) -> dict[str, Any]:
    if pruning.ratio == 0:
        return {"ratio": 0.0}
    data = pruning.model_dump()
    data["exclude"] = sorted(set(pruning.exclude))
    criterion = CRITERIA[pruning.criterion]
    if not criterion.uses_delta:
        del data["delta"]
    elif pruning.delta is None:
        data["delta"] = DEFAULT_DELTA
    if "relevance" not in criterion.signals:
        del data["relevance"]
    if "random" in criterion.signals:
        del data["normalise"]
    else:
        del data["seed"]
    return data


def _resolved_codec(codec: CodecSection, cut: str) -> dict[str, Any]:
    if cut == "edge":
        return {}
    data = codec.model_dump()
    if codec.compress == "none":
        del data["level"]
    return data


def _digest(data: object) -> str:
    text = json.dumps(data, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _code_digest() -> str:
    package = Path(str(files("flexrel_sim")))
    digest = hashlib.sha256()
    for name in _MEASURING_CODE:
        path = package / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()
