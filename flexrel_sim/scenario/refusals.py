"""Pydantic's refusals, said so that a person can act on them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from flexrel_sim.errors import Fault, ScenarioError
from flexrel_sim.scenario.link_sections import UNION_TAGS
from flexrel_sim.scenario.source import KeyPath, dotted, read_yaml
from flexrel_sim.scenario.suggest import did_you_mean

__all__ = ["FaultMaker", "fault_maker", "load_model", "validation_faults"]

M = TypeVar("M", bound=BaseModel)

FaultMaker = Callable[[str, object, str], Fault]
"""Makes a fault at a fixed place from its rule, value and remedy."""


def fault_maker(path: str, place: str) -> FaultMaker:
    """Fix the path and place of faults to come."""
    return partial(_fault, path, place)


def _fault(path: str, place: str, rule: str, value: object, remedy: str) -> Fault:
    return Fault(path, rule, value, remedy, place)


def load_model(schema: type[M], file: Path) -> M:
    """Read a YAML file as an instance of a pydantic class.

    Parameters
    ----------
    schema
        The class.
    file
        The file.

    Returns
    -------
    instance of ``schema``
        Its content.

    Raises
    ------
    ScenarioError
        With every fault of the file.
    """
    source = read_yaml(file)
    try:
        return schema.model_validate(source.data)
    except ValidationError as error:
        faults = validation_faults(
            schema, error, lambda path: fault_maker(dotted(path), source.place(path))
        )
        raise ScenarioError(faults) from None


def validation_faults(
    schema: type[BaseModel], error: ValidationError, placed: Callable[[KeyPath], FaultMaker]
) -> list[Fault]:
    """Translate pydantic's errors to faults.

    Parameters
    ----------
    schema
        The class that refused the data.
    error
        Its refusal.
    placed
        From a key path to a maker of faults there: ``placed(path)(rule, value, remedy)``.

    Returns
    -------
    list of Fault
        One per error, in pydantic's order.
    """
    return [_translated(schema, detail, placed) for detail in error.errors(include_url=False)]


def _translated(
    schema: type[BaseModel], detail: Any, placed: Callable[[KeyPath], FaultMaker]
) -> Fault:
    context = detail.get("ctx", {})
    path: KeyPath = context.get("path", detail["loc"])
    path = tuple(key for key in path if key not in UNION_TAGS)
    if path and path[-1] == "[key]":
        path = path[:-1]
    about = _description(schema, path)
    kind = detail["type"]
    value = detail["input"]
    if kind == "missing":
        fault = placed(path)("is required", None, f"add it: {about}")
    elif kind == "extra_forbidden":
        fault = placed(path)("unknown key", None, did_you_mean(str(path[-1]), _keys(schema, path)))
    elif kind == "literal_error":
        options = re.findall(r"'([^']*)'", context["expected"])
        rule = f"must be {context['expected']}"
        fault = placed(path)(rule, value, did_you_mean(str(value), options))
    elif "rule" in context:
        value = None if "path" in context else value
        fault = placed(path)(context["rule"], value, context["remedy"])
    elif kind == "invalid_key":
        key_path = (*path[:-1], str(path[-1]))
        fault = placed(key_path)("keys must be text", value, "put it in quotes, or remove it")
    elif kind in ("model_type", "dict_type") and value is None:
        fault = placed(path)("must be a mapping of keys, and is empty", None, f"fill it: {about}")
    elif kind in ("model_type", "dict_type"):
        fault = placed(path)(
            "must be a mapping of keys", value, f"write 'key: value' lines; {about}"
        )
    else:
        fault = placed(path)(_rule(detail), value, f"expected: {about}")
    return fault


def _rule(detail: Any) -> str:
    """Say a rule of pydantic's own in words that need no Python."""
    context = detail.get("ctx", {})
    if detail["type"] == "too_short":
        return f"must have {context['min_length']} or more entries"
    if detail["type"] == "too_long":
        return f"must have {context['max_length']} or fewer entries"
    if detail["type"] in ("list_type", "tuple_type"):
        return "must be a list, in brackets"
    message: str = detail["msg"]
    return message.replace("Input should ", "must ").replace("String should ", "must ")


def _schema_at(schema: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    current: type[BaseModel] | None = schema
    for key in path:
        fields = current.model_fields if current else {}
        annotation = fields[str(key)].annotation if str(key) in fields else None
        # An optional section is a union of its class and None.
        kinds = [annotation, *get_args(annotation)]
        current = next((kind for kind in kinds if _is_section(kind)), None)
    return current


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _keys(schema: type[BaseModel], path: KeyPath) -> list[str]:
    parent = _schema_at(schema, path[:-1])
    return list(parent.model_fields) if parent else []


def _description(schema: type[BaseModel], path: KeyPath) -> str:
    parent = _schema_at(schema, path[:-1])
    fields = parent.model_fields if parent else {}
    info = fields.get(str(path[-1])) if path else None
    if info is None:
        return "see 'flexrel-sim schema'"
    if info.description:
        return info.description
    kind = info.annotation
    doc = kind.__doc__ if isinstance(kind, type) and issubclass(kind, BaseModel) else None
    return " ".join((doc or "see 'flexrel-sim schema'").split())
