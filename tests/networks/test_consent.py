"""A card with a factory is code: looked at without being run, called where there is consent."""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from pathlib import Path

import pytest

from flexrel_sim.errors import CheckpointError, InputError
from flexrel_sim.networks import Consent, called, consent_to, load_card, outline
from flexrel_sim.networks.consent import CONSENT_VARIABLE
from flexrel_sim.networks.factory import build_by_factory
from flexrel_sim.networks.lookup import files_of, importing_from

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


USES_HELPER = """\
from torch import nn
from {helper} import classes

def build() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes()))
"""
HELPER = "def classes() -> int:\n    return 3\n"


def test_a_module_beside_its_card_is_found_with_what_it_imports_and_python_s_path_is_as_before(
    tmp_path: Path,
) -> None:
    inner = tmp_path / "beside_package"
    inner.mkdir()
    (inner / "__init__.py").write_text("", encoding="utf-8")
    (inner / "nets.py").write_text(USES_HELPER.format(helper="beside_helper"), encoding="utf-8")
    (tmp_path / "beside_helper.py").write_text(HELPER, encoding="utf-8")
    before = (list(sys.path), list(sys.meta_path))
    card_file = load_card(card(tmp_path, "beside_package.nets:build"), Consent())
    assert called(card_file).built is not None
    assert (sys.path, sys.meta_path) == before


def test_a_file_beside_the_card_is_preferred_to_another_on_the_path(
    tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own_nearest.py").write_text(LOUD, encoding="utf-8")
    (tmp_path / "own" / "own_nearest.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert called(load_card(card(tmp_path / "own", "own_nearest:build"), Consent())).built


@pytest.mark.parametrize("module", ["random", "wave", "numpy", "iniconfig"])
def test_a_file_beside_the_card_hides_no_module_of_python_or_an_installed_package(
    tmp_path: Path, monkeypatch, module: str
) -> None:
    (tmp_path / f"{module}.py").write_text(LOUD, encoding="utf-8")
    assert not Consent(folders=(tmp_path,)).covers(module)
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with importing_from([tmp_path]):
        assert tmp_path / f"{module}.py" != Path(str(importlib.import_module(module).__file__))


def test_a_helper_of_another_folder_under_the_same_name_is_refused_and_not_used(
    tmp_path: Path,
) -> None:
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        text = USES_HELPER.format(helper="mixed_helper")
        (folder / f"mixed_{name}.py").write_text(text, encoding="utf-8")
        (folder / "mixed_helper.py").write_text(HELPER, encoding="utf-8")
    called(load_card(card(tmp_path / "one", "mixed_one:build"), Consent()))
    with pytest.raises(
        CheckpointError, match="'mixed_helper' is another one, .*one.* before .*two"
    ):
        called(load_card(card(tmp_path / "two", "mixed_two:build"), Consent()))


@pytest.mark.parametrize("module", ["none_such", "loud_package.none", "loud_folder"])
def test_a_module_that_is_nowhere_is_not_found_whether_it_was_named_or_not(
    package: Path, tmp_path: Path, module: str
) -> None:
    for consent in (Consent(), Consent(frozenset([module]))):
        card_file = load_card(card(tmp_path, f"{module}:build"), consent)
        with pytest.raises(CheckpointError) as told:
            called(card_file)
        assert f"module '{module}' is not found in {tmp_path}, nor on Python's path" in str(
            told.value
        )
        assert "consent" not in str(told.value)
