"""The link of a scenario file, or a file that holds nothing but a link."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flexrel_sim.errors import ScenarioError
from flexrel_sim.scenario.link_sections import LinkSection
from flexrel_sim.scenario.overrides import overridden
from flexrel_sim.scenario.refusals import fault_maker, validation_faults
from flexrel_sim.scenario.source import KeyPath, dotted, read_yaml

__all__ = ["load_link"]


def load_link(file: Path, overrides: Mapping[str, Any] | None = None) -> LinkSection:
    """Read a link.

    Parameters
    ----------
    file
        A scenario, of which only ``link`` is looked at and no sweep, or the keys of a link alone.
    overrides
        Dotted paths and values that replace the file's.

    Returns
    -------
    LinkSection
        The link.

    Raises
    ------
    ScenarioError
        With every fault of the link.
    """
    source = overridden(read_yaml(file), overrides or {})
    prefix: KeyPath = ("link",) if "link" in source.data else ()
    try:
        return LinkSection.model_validate(source.data["link"] if prefix else source.data)
    except ValidationError as error:
        faults = validation_faults(
            LinkSection,
            error,
            lambda path: fault_maker(dotted((*prefix, *path)), source.place((*prefix, *path))),
        )
        raise ScenarioError(faults) from None
