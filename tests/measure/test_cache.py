import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from flexrel_sim.measure import cached_profile, keep_profile
from flexrel_sim.store import Store
from tests.builders import make_profile

KEY = "k" * 64


def test_a_kept_profile_comes_back_by_its_key(cache: Path) -> None:
    assert cached_profile(KEY) is None
    keep_profile(make_profile())
    profile = cached_profile(KEY)
    assert profile is not None
    np.testing.assert_equal(asdict(profile), asdict(make_profile()))
    assert cached_profile("other") is None


def test_a_damaged_profile_is_said_removed_and_measured_again(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep_profile(make_profile())
    file = cache / "profiles" / KEY
    file.write_bytes(file.read_bytes()[:-9])
    with caplog.at_level(logging.WARNING):
        assert cached_profile(KEY) is None
    assert "is damaged; computing it again" in caplog.text
    assert not file.exists()
    keep_profile(make_profile())
    assert cached_profile(KEY) is not None


@pytest.mark.parametrize("content", [b"", b"-1\n", b"5\n{}", b"x\n{}"])
def test_what_is_no_profile_under_a_right_checksum_is_damage(cache: Path, content: bytes) -> None:
    Store("profiles").put(KEY, content)
    assert cached_profile(KEY) is None
    assert not (cache / "profiles" / KEY).exists()


def test_a_profile_that_was_kept_for_another_key_is_damage(cache: Path) -> None:
    keep_profile(make_profile())
    kept = Store("profiles").get(KEY, bytes)
    assert kept is not None
    Store("profiles").put("other", kept)
    assert cached_profile("other") is None
