from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from platformdirs import user_cache_path

from flexrel_sim.errors import InputError
from flexrel_sim.store import Store, cache_folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLEXREL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_cache_is_where_flexrel_cache_says(folder: Path) -> None:
    assert cache_folder() == folder


@pytest.mark.parametrize("value", [None, ""])
def test_without_flexrel_cache_it_is_in_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("FLEXREL_CACHE", raising=False)
    if value is not None:
        monkeypatch.setenv("FLEXREL_CACHE", value)
    assert cache_folder() == user_cache_path("flexrel_sim")


def test_what_is_kept_comes_back_by_its_key_until_it_is_replaced(folder: Path) -> None:
    store = Store("words")
    assert store.get("key", bytes) is None
    store.put("key", b"first\n\nlines")
    assert store.get("key", bytes) == b"first\n\nlines"
    store.put("key", b"")
    assert Store("words").get("key", bytes) == b""
    assert Store("others").get("key", bytes) is None
    assert [path.name for path in (folder / "words").iterdir()] == ["key"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=40), data=st.data())
def test_a_flipped_bit_or_a_cut_anywhere_is_said_and_the_entry_is_missing_from_then_on(
    folder: Path, caplog: pytest.LogCaptureFixture, content: bytes, data: st.DataObject
) -> None:
    store = Store("words")
    store.put("key", content)
    file = folder / "words" / "key"
    whole = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        whole[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del whole[place:]
    file.write_bytes(whole)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert store.get("key", bytes) is None
    assert caplog.messages == [f"{file}: a cached result is damaged; computing it again"]
    assert not file.exists()
    store.put("key", content)
    assert store.get("key", bytes) == content


def test_an_entry_under_another_ones_key_is_damage(folder: Path) -> None:
    store = Store("words")
    store.put("key", b"word")
    (folder / "words" / "key").rename(folder / "words" / "other")
    assert store.get("other", bytes) is None


def test_what_its_reader_refuses_is_damage(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store("numbers")
    store.put("key", b"no number")
    assert store.get("key", int) is None
    assert "damaged" in caplog.text
    assert list((folder / "numbers").iterdir()) == []


def test_a_store_removes_what_killed_processes_left_and_no_living_ones(folder: Path) -> None:
    (folder / "words").mkdir(parents=True)
    stray = folder / "words" / ".key-abcd1234.partial"
    stray.write_bytes(b"half")
    Store("words").get("key", bytes)
    assert not stray.exists()


def test_a_place_that_can_not_hold_a_store_is_told_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("FLEXREL_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="can't hold the cache: .*set FLEXREL_CACHE"):
        Store("words").get("key", bytes)


def test_an_entry_that_can_not_be_read_or_written_is_told_with_a_remedy(folder: Path) -> None:
    store = Store("words")
    (folder / "words" / "key").mkdir(parents=True)
    with pytest.raises(InputError, match="can't be read: .*set FLEXREL_CACHE"):
        store.get("key", bytes)
    with pytest.raises(InputError, match="can't be written to the cache: .*set FLEXREL_CACHE"):
        store.put("key", b"word")
