"""A card with a factory is code: looked at without being run, called where there is consent."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import pytest

from flexrel_sim.errors import CheckpointError, InputError
from flexrel_sim.networks import Consent, called, consent_to, load_card, outline
from flexrel_sim.networks.consent import CONSENT_VARIABLE, files_of
from flexrel_sim.networks.factory import build_by_factory

LOUD = "raise SystemExit('ran')\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "scenario"
    inner = folder / "loud_package" / "inner"
    inner.mkdir(parents=True)
    for file in (inner.parent / "__init__.py", inner / "__init__.py", inner / "nets.py"):
        file.write_text(LOUD, encoding="utf-8")
    plain = folder / "loud_folder" / "inner"
    plain.mkdir(parents=True)
    (plain / "nets.py").write_text(LOUD, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    return folder


def test_the_files_of_a_module_are_found_without_running_any_of_its_packages(package: Path) -> None:
    names = [str(file.relative_to(package)) for file in files_of("loud_package.inner.nets")]
    assert names == [
        "loud_package/__init__.py",
        "loud_package/inner/__init__.py",
        "loud_package/inner/nets.py",
    ]
    (only,) = files_of("loud_folder.inner.nets")
    assert only == package / "loud_folder" / "inner" / "nets.py"
    assert not any(name.startswith("loud_") for name in sys.modules)


@pytest.mark.parametrize("module", ["loud_package.none", "none.at.all", "loud_folder", "sys"])
def test_what_is_no_file_has_no_files(package: Path, module: str) -> None:
    assert files_of(module) == []


def test_modules_under_a_folder_are_covered_and_others_only_by_their_whole_name(
    package: Path, tmp_path: Path
) -> None:
    module = "loud_package.inner.nets"
    assert Consent(folders=(package,)).covers(module)
    assert Consent().beside(tmp_path).covers(module)
    # Importing it would run its packages, too.
    assert not Consent(folders=(package / "loud_package" / "inner",)).covers(module)
    assert not Consent(folders=(tmp_path / "elsewhere",)).covers(module)
    assert Consent(frozenset([module])).covers(module)
    assert not Consent(frozenset(["loud_package.inner"])).covers(module)
    assert not Consent(frozenset(["loud_package.inner.nets.more"])).covers(module)


@pytest.mark.parametrize("module", ["os", "subprocess", "posix", "numpy", "torch.hub", "pip"])
def test_no_folder_covers_python_or_what_is_installed(module: str) -> None:
    everywhere = Consent(folders=(Path("/"), Path(os.__file__).parents[3], Path(sys.prefix)))
    assert not everywhere.covers(module)
    assert Consent(frozenset([module])).covers(module)


def test_a_link_that_leads_out_of_the_folder_is_not_covered(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "scenario"
    folder.mkdir()
    (tmp_path / "outside.py").write_text(LOUD, encoding="utf-8")
    (folder / "linked_out.py").symlink_to(tmp_path / "outside.py")
    monkeypatch.syspath_prepend(folder)
    assert not Consent(folders=(folder,)).covers("linked_out")


def test_consent_is_what_was_named_and_what_the_environment_lists(monkeypatch) -> None:
    monkeypatch.setenv(CONSENT_VARIABLE, " own.nets ,, other ")
    assert consent_to(["third"]).modules == {"own.nets", "other", "third"}
    assert consent_to("third").modules == {"own.nets", "other", "third"}
    monkeypatch.delenv(CONSENT_VARIABLE)
    assert consent_to() == Consent()


@pytest.mark.parametrize("name", ["os:system", "", "own nets", "../own", "own."])
def test_a_name_that_is_no_modules_is_refused_with_where_it_was_said(
    name: str, monkeypatch
) -> None:
    with pytest.raises(InputError, match="--allow-factory: must name modules"):
        consent_to([name])
    if name:
        monkeypatch.setenv(CONSENT_VARIABLE, name)
        with pytest.raises(InputError, match=f"{CONSENT_VARIABLE}: must name modules"):
            consent_to()


def card(folder: Path, factory: str, more: str = "") -> Path:
    file = folder / "card.yaml"
    file.write_text(
        "name: own\narchitecture: {family: factory, input_shape: [1, 8, 8], classes: 3,"
        f" factory: '{factory}', trained: true{more}}}\n",
        encoding="utf-8",
    )
    return file


def test_a_card_is_read_and_outlined_without_running_its_code(package: Path) -> None:
    card_file = load_card(card(package, "loud_package.inner.nets:build"))
    with pytest.raises(CheckpointError, match="is code, which is not run to look at a network"):
        outline(card_file)
    with pytest.raises(CheckpointError, match="there is no consent to the module 'loud_package"):
        called(card_file)


def test_a_command_on_a_card_is_not_run(tmp_path: Path) -> None:
    arguments = f", arguments: {{command: 'touch {tmp_path / 'touched'}'}}"
    for consent in (None, Consent(), Consent(frozenset(["os"]))):
        card_file = load_card(card(tmp_path, "os:system", arguments), consent)
        with pytest.raises(CheckpointError, match="no consent to the module 'os'|must be a class"):
            called(card_file)
    assert not (tmp_path / "touched").exists()


def test_the_refusal_says_how_to_consent(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="say --allow-factory torch.hub, or list it in FLEX"):
        called(load_card(card(tmp_path, "torch.hub:load"), Consent()))


OWN = """\
from torch import nn

def build() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
"""


def test_consent_goes_with_the_card_into_another_process(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "own_consented.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    card_file = called(load_card(card(tmp_path, "own_consented:build"), Consent()))
    sent = pickle.loads(pickle.dumps(card_file))  # noqa: S301 - what a spawned worker gets
    assert (sent, sent.consent) == (card_file, card_file.consent)
    assert called(sent).built == card_file.built


def test_a_module_that_was_loaded_from_elsewhere_is_not_called(tmp_path: Path, monkeypatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "own_twice.py").write_text(OWN, encoding="utf-8")
        monkeypatch.syspath_prepend(folder)
        if folder == first:
            called(load_card(card(first, "own_twice:build"), Consent()))
    with pytest.raises(CheckpointError, match="is another one, .*first.*loaded before .*second"):
        called(load_card(card(second, "own_twice:build"), Consent()))


def test_types_for_checkers_only_do_not_hide_what_a_function_returns(
    tmp_path: Path, monkeypatch
) -> None:
    text = OWN.replace("def build()", "def build(size: 'Unknown' = 3)")
    text = (
        f"from __future__ import annotations\n{text}\n\ndef lost() -> Gone:\n    return build()\n"
    )
    (tmp_path / "own_typed.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert called(load_card(card(tmp_path, "own_typed:build"), Consent())).built is not None
    lost = load_card(card(tmp_path, "own_typed:lost"), Consent())
    with pytest.raises(CheckpointError, match="say that it returns one by its annotation"):
        build_by_factory(lost.card.architecture, lost.consent)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["site-packages", "dist-packages"])
def test_packages_that_are_installed_inside_the_folder_did_not_come_with_it(
    tmp_path: Path, monkeypatch, name: str
) -> None:
    place = tmp_path / "environment" / name
    place.mkdir(parents=True)
    (place / "own_installed.py").write_text(LOUD, encoding="utf-8")
    monkeypatch.syspath_prepend(place)
    assert not Consent(folders=(tmp_path,)).covers("own_installed")
    assert Consent(folders=(place,)).covers("own_installed")
