"""Warnings of commands: a line each on stderr, and none twice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from flexrel_sim.errors import Fault

__all__ = ["warn"]


def warn(faults: Iterable[Fault]) -> None:
    """Print what is right and perhaps not meant.

    Parameters
    ----------
    faults
        What to tell, in their order; the same line is told once.
    """
    for line in dict.fromkeys(map(str, faults)):
        click.echo(f"warning: {line}", err=True)
