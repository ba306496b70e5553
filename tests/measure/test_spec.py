import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flexrel_sim import __version__
from flexrel_sim.measure import spec as spec_module
from flexrel_sim.networks import CardFile
from flexrel_sim.pruning import CRITERIA
from tests.measure.scenarios import scenario_of, spec_of
from tests.networks.cards import CARD_YAML, write_card, write_checkpoint

Sections = dict[str, dict[str, Any]]

HALF = {"ratio": 0.5, "criterion": "flexrel-paper"}
MAGNITUDE = HALF | {"criterion": "magnitude"}
RANDOM = HALF | {"criterion": "random"}
ZSTD = {"compress": "zstd"}


def pruning(base: dict[str, Any], **changes: Any) -> Sections:
    return {"pruning": base | changes}


WITHOUT_EFFECT = {
    "delta for magnitude": (pruning(MAGNITUDE), pruning(MAGNITUDE, delta=0.7)),
    "the default delta spelled out": (
        pruning(HALF),
        pruning(HALF, delta=CRITERIA["flexrel-paper"].delta),
    ),
    "the default normalisation spelled out": (pruning(HALF), pruning(HALF, normalise="layer")),
    "the default form spelled out": (pruning(HALF), pruning(HALF, relevance={"form": "additive"})),
    "gamma without its rule": (pruning(HALF), pruning(HALF, relevance={"gamma": 0.5})),
    "what auto would try": (pruning(HALF), pruning(HALF, auto={"deltas": [0.5]})),
    "seed without chance": (pruning(HALF), pruning(HALF, seed=9)),
    "relevance for magnitude": (
        pruning(MAGNITUDE),
        pruning(MAGNITUDE, relevance={"target": "predicted", "sum": "signed"}),
    ),
    "criterion at ratio 0": (pruning({}), pruning({}, criterion="random", granularity="filters")),
    "exclude at ratio 0": (pruning({}), pruning({}, exclude=["fc1"], min_kept=0.5)),
    "order of excluded layers": (
        pruning(HALF, exclude=["fc1", "conv1_1"]),
        pruning(HALF, exclude=["conv1_1", "fc1"]),
    ),
    "level without zstd": ({"codec": {}}, {"codec": {"level": 9}}),
    "codec at cut edge": (
        {"split": {"cut": "edge"}},
        {"split": {"cut": "edge"}, "codec": {"dtype": "float16", "compress": "zstd"}},
    ),
    "the card's dataset spelled out": ({}, {"data": {"dataset": "digits"}}),
    "the system": ({}, {"link": {"uplink": "1 kbit/s"}, "workload": {"rate": "99 /s"}}),
}

WITH_EFFECT = {
    "ratio": (pruning(HALF), pruning(HALF, ratio=0.6)),
    "delta": (pruning(HALF), pruning(HALF, delta=0.7)),
    "criterion": (pruning(HALF), pruning(MAGNITUDE)),
    "the default criterion": (
        pruning({"ratio": 0.5}),
        pruning({"ratio": 0.5}, criterion="flexrel"),
    ),
    "granularity": (pruning(HALF), pruning(HALF, granularity="filters")),
    "normalise": (pruning(HALF), pruning(HALF, normalise="global")),
    "min_kept": (pruning(HALF), pruning(HALF, min_kept=0.3)),
    "exclude": (pruning(HALF), pruning(HALF, exclude=["fc1"])),
    "form": (pruning(HALF), pruning(HALF, relevance={"form": "message"})),
    "rule": (pruning(HALF), pruning(HALF, relevance={"rule": "z-plus"})),
    "combination": (pruning(HALF), pruning(HALF, combine="geometric")),
    "scope": (pruning(HALF), pruning(HALF, scope="layer")),
    "steps": (pruning(HALF), pruning(HALF, schedule={"steps": 2})),
    "fine-tuning": (pruning(HALF), pruning(HALF, schedule={"fine_tuning": {"epochs": 1}})),
    "target": (pruning(HALF), pruning(HALF, relevance={"target": "predicted"})),
    "sum": (pruning(HALF), pruning(HALF, relevance={"sum": "signed"})),
    "seed of chance": (pruning(RANDOM), pruning(RANDOM, seed=9)),
    "cut": ({}, {"split": {"cut": "pool2"}}),
    "dtype": ({}, {"codec": {"dtype": "float16"}}),
    "zstd": ({}, {"codec": ZSTD}),
    "level of zstd": ({"codec": ZSTD}, {"codec": ZSTD | {"level": 9}}),
    "calibration": ({}, {"data": {"calibration": 31}}),
    "validation": ({}, {"data": {"validation": 41}}),
    "test": ({}, {"data": {"test": 51}}),
    "balance of calibration": (
        pruning(HALF),
        pruning(HALF) | {"calibration": {"balance": "classes"}},
    ),
    "seed of samples": ({}, {"data": {"seed": 1}}),
}


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_a_setting_without_effect_does_not_change_the_key(tiny: CardFile, name: str) -> None:
    first, second = (spec_of(tiny, **sections) for sections in WITHOUT_EFFECT[name])
    assert first.key == second.key
    assert first.network_key == second.network_key


@pytest.mark.parametrize("name", WITH_EFFECT)
def test_a_setting_with_effect_changes_the_key(tiny: CardFile, name: str) -> None:
    first, second = (spec_of(tiny, **sections) for sections in WITH_EFFECT[name])
    assert first.key != second.key


@pytest.mark.parametrize("name", WITH_EFFECT)
def test_cuts_and_codecs_share_a_pruned_network_and_nothing_else_does(
    tiny: CardFile, name: str
) -> None:
    first, second = WITH_EFFECT[name]
    shared = not {"pruning", "data", "calibration"} & (first.keys() | second.keys())
    keys = {spec_of(tiny, **sections).network_key for sections in (first, second)}
    assert (len(keys) == 1) == shared


def test_cuts_share_no_pruned_network_where_the_channels_at_the_cut_are_removed(
    tiny: CardFile,
) -> None:
    cuts = [{"split": {"cut": cut}} for cut in ("pool1", "pool2")]
    for settings, networks in ((HALF, 1), (HALF | {"cut_ratio": 0.5}, 2)):
        keys = {spec_of(tiny, pruning=settings, **cut).network_key for cut in cuts}
        assert len(keys) == networks


def test_another_architecture_or_checkpoint_is_another_key(tmp_path: Path) -> None:
    keys = set()
    wider = CARD_YAML.replace("classifier: [16]", "classifier: [17]")
    for index, (text, checkpoint) in enumerate(
        [(CARD_YAML, b"one"), (CARD_YAML, b"two"), (wider, b"one")]
    ):
        folder = tmp_path / str(index)
        folder.mkdir()
        keys.add(spec_of(write_checkpoint(folder, checkpoint, text)).key)
    assert len(keys) == 3


def test_where_the_card_lies_does_not_change_the_key(tmp_path: Path) -> None:
    keys = set()
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        keys.add(spec_of(write_checkpoint(tmp_path / name, b"same")).key)
    assert len(keys) == 1


def test_another_package_version_or_code_is_another_key(
    tiny: CardFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = spec_of(tiny)
    assert before.provenance["flexrel_sim"] == __version__
    assert {"torch", "torch-pruning", "numpy", "zstandard"} <= before.provenance.keys()
    assert before.provenance["checkpoint_sha256"] == tiny.card.checkpoint.sha256
    monkeypatch.setattr(spec_module, "version", lambda _: "0.0")
    versions = spec_of(tiny).key
    monkeypatch.setattr(spec_module, "code_digest", lambda _: "0")
    assert len({before.key, versions, spec_of(tiny).key}) == 3


def test_a_key_is_a_sha256_and_the_same_every_time(tiny: CardFile) -> None:
    key = spec_of(tiny).key
    assert key == spec_of(tiny).key == replace(spec_of(tiny), scenario=scenario_of()).key
    assert len(bytes.fromhex(key)) == 32


def test_a_card_without_checkpoint_has_a_key_of_its_own(tmp_path: Path, tiny: CardFile) -> None:
    spec = spec_of(write_card(tmp_path))
    assert spec.provenance["checkpoint_sha256"] == ""
    assert spec.key != spec_of(tiny).key


def test_the_code_that_measures_is_part_of_the_key_and_other_code_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = spec_module._MEASURING_CODE

    def digest() -> str:
        return spec_module.code_digest.__wrapped__(names)

    installed = digest()
    package = Path(spec_module.__file__).parents[1]
    shutil.copytree(package, tmp_path / "copy")
    monkeypatch.setattr(spec_module, "files", lambda _: tmp_path / "copy")
    assert digest() == installed
    (tmp_path / "copy" / "theory" / "waits.py").write_text("changed = True", encoding="utf-8")
    assert digest() == installed
    seen = {installed}
    for name in (
        "codec/payload.py",
        "partition/graph.py",
        "pruning/select.py",
        "measure/network.py",
    ):
        (tmp_path / "copy" / name).write_text("changed = True", encoding="utf-8")
        seen.add(digest())
    assert len(seen) == 5
