from __future__ import annotations

import math

import numpy as np
import pytest

from flexrel_sim.simulation import quantiles as module
from flexrel_sim.simulation.quantiles import RANK_ERROR, Quantiles

SHARES = (0.0, 0.01, 0.5, 0.95, 0.99, 0.999, 1.0)


@pytest.fixture
def few_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT_MAX", 1000)


def test_quantiles_of_a_short_stream_are_exact_however_it_comes() -> None:
    values = np.random.default_rng(0).exponential(size=999)
    quantiles = Quantiles()
    for part in np.split(values, [1, 500, 500]):
        quantiles.add(part)
    assert quantiles.exact
    assert quantiles.at(SHARES) == np.quantile(values, SHARES).tolist()


def test_quantiles_of_nothing_are_unknown() -> None:
    assert all(math.isnan(value) for value in Quantiles().at(SHARES))


@pytest.mark.usefixtures("few_exact")
@pytest.mark.parametrize("order", ["random", "ascending", "descending", "few values"])
def test_a_sketched_quantile_has_a_rank_within_the_stated_error(order: str) -> None:
    # Ninety-nine per cent confidence each: the sketch's own randomness is all that there is.
    rng = np.random.default_rng(7)
    values = {
        "random": rng.exponential(size=400_000),
        "ascending": np.arange(400_000.0),
        "descending": np.arange(400_000.0)[::-1],
        "few values": rng.integers(5, size=400_000).astype(float),
    }[order]
    quantiles = Quantiles()
    for part in np.array_split(values, 13):
        quantiles.add(part)
    assert not quantiles.exact
    ordered = np.sort(values)
    wrong = 0
    shares = np.linspace(0.001, 0.999, 200)
    for share, value in zip(shares, quantiles.at(shares), strict=True):
        below = np.searchsorted(ordered, value, side="left") / values.size
        up_to = np.searchsorted(ordered, value, side="right") / values.size
        wrong += not below - RANK_ERROR <= share <= up_to + RANK_ERROR
    assert wrong <= 0.02 * shares.size


def test_the_stated_error_is_small_beside_the_tail_that_is_reported() -> None:
    assert 0 < RANK_ERROR < 0.0005


@pytest.mark.usefixtures("few_exact")
def test_what_came_before_the_sketch_is_in_it_and_extremes_stay_exact() -> None:
    quantiles = Quantiles()
    quantiles.add(np.full(1000, 5.0))
    assert quantiles.exact
    quantiles.add(np.array([9.0]))
    assert not quantiles.exact
    assert quantiles.count == 1001
    assert quantiles.at((0.0, 0.5, 1.0)) == [5.0, 5.0, 9.0]


@pytest.mark.usefixtures("few_exact")
def test_a_sketch_takes_little_of_what_it_was_given() -> None:
    quantiles = Quantiles()
    for _ in range(20):
        quantiles.add(np.random.default_rng(0).random(100_000))
    assert quantiles._sketch.num_retained < 40_000
