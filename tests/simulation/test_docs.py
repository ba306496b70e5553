"""``docs/simulation.md`` can't drift from what it describes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from flexrel_sim.simulation import OUTCOMES, REASONS, Trace
from flexrel_sim.simulation.quantiles import EXACT_MAX, ROUNDING
from flexrel_sim.simulation.replication import _PARTS_FROM
from flexrel_sim.simulation.trace import STAMPS

ROOT = Path(__file__).parents[2]
TEXT = " ".join((ROOT / "docs" / "simulation.md").read_text(encoding="utf-8").split())


@pytest.mark.parametrize("column", [field.name for field in fields(Trace)])
def test_every_column_of_a_trace_is_explained(column: str) -> None:
    assert f"`{column}`" in TEXT


@pytest.mark.parametrize("word", [*OUTCOMES, *REASONS[1:]])
def test_every_outcome_and_reason_is_explained(word: str) -> None:
    assert f"`{word}`" in TEXT


def test_the_stamps_are_told_in_their_order() -> None:
    table = TEXT[TEXT.index("| column | meaning |") :]
    places = [table.index(f"`{stamp}`") for stamp in STAMPS]
    assert places == sorted(places)


def test_the_error_of_rounded_quantiles_is_that_of_12_bits() -> None:
    assert f"off by at most {ROUNDING * 100:.3f} %" in TEXT
    assert (EXACT_MAX, _PARTS_FROM) == (2_000_000, 1_000_000)
    assert "up to two million latencies" in TEXT
    assert "More than a million" in TEXT


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md"])
def test_the_page_is_linked(page: str) -> None:
    assert "docs/simulation.md" in (ROOT / page).read_text(encoding="utf-8")
