"""The base of all sections of a file."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict

__all__ = ["SEED_MAX", "Section"]

SEED_MAX: Final = 2**63 - 1
"""Largest seed that a file may give."""


class Section(BaseModel):
    """Base of all sections: unknown keys and silent conversions are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
