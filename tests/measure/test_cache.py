from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from platformdirs import user_cache_path

from flexrel_sim.measure import cache_folder, cached_profile, keep_profile
from tests.builders import make_profile

KEY = "k" * 64


def test_the_cache_is_where_flexrel_cache_says(cache: Path) -> None:
    assert cache_folder() == cache


@pytest.mark.parametrize("value", [None, ""])
def test_without_flexrel_cache_it_is_in_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("FLEXREL_CACHE", raising=False)
    if value is not None:
        monkeypatch.setenv("FLEXREL_CACHE", value)
    assert cache_folder() == user_cache_path("flexrel_sim") / "profiles"


def test_a_kept_profile_comes_back_by_its_key(cache: Path) -> None:
    assert cached_profile(KEY) is None
    keep_profile(make_profile())
    assert (cache / KEY).is_dir()
    profile = cached_profile(KEY)
    assert profile is not None
    np.testing.assert_equal(asdict(profile), asdict(make_profile()))
    assert cached_profile("other") is None


@pytest.mark.parametrize("name", ["profile.json", "samples.npz"])
def test_a_damaged_profile_is_removed_and_measured_again(cache: Path, name: str) -> None:
    keep_profile(make_profile())
    file = cache / KEY / name
    file.write_bytes(file.read_bytes()[:-9])
    assert cached_profile(KEY) is None
    assert not (cache / KEY).exists()
    keep_profile(make_profile())
    assert cached_profile(KEY) is not None


def test_a_profile_under_another_ones_key_is_removed(cache: Path) -> None:
    keep_profile(make_profile())
    (cache / KEY).rename(cache / "other")
    assert cached_profile("other") is None
    assert not (cache / "other").exists()


def test_a_half_written_folder_is_removed(cache: Path) -> None:
    (cache / KEY).mkdir(parents=True)
    assert cached_profile(KEY) is None
    assert not (cache / KEY).exists()
