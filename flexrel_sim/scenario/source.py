"""YAML text to plain data, with the line of every key, and nothing executed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from flexrel_sim.bounds import TEXT_MAX_BYTES
from flexrel_sim.errors import Fault, ScenarioError
from flexrel_sim.reading import reading

__all__ = ["KeyPath", "YamlSource", "dotted", "plain_data", "read_yaml"]

KeyPath = tuple[str | int, ...]

_BASE_60: Final = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")

# Aliases can make a small file huge ("billion laughs"): no honest scenario has this many nodes.
_NODES_MAX = 20_000

_INTEGER_MAX_BITS = 1023


@dataclass(frozen=True)
class YamlSource:
    """A YAML file as plain data, and where each key stands.

    Parameters
    ----------
    file
        The file, as the user named it.
    data
        Its content.
    lines
        Line number of each key path, from 1.
    sha256
        Hash of the file as it was read.
    options
        Key paths that the command line set, and the option that did.
    """

    file: Path
    data: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)
    sha256: str = ""
    options: dict[KeyPath, str] = field(default_factory=dict)

    def place(self, path: KeyPath) -> str:
        """Give the option, or ``file:line``, that set a key path or its nearest known ancestor."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.options:
                return self.options[path[:length]]
            if path[:length] in self.lines:
                return f"{self.file}:{self.lines[path[:length]]}"
        return f"{self.file}:1"

    def fault(self, path: KeyPath, rule: str, value: object = None, remedy: str = "") -> Fault:
        """Make a fault at a key path."""
        return Fault(dotted(path), rule, value, remedy, self.place(path))


def dotted(path: KeyPath) -> str:
    """Write a key path the way users do: ``sweep.split.cut[2]``."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text or "(file)"


def read_yaml(file: Path) -> YamlSource:
    """Read a YAML file whose top level is a mapping.

    Parameters
    ----------
    file
        Path of the file.

    Returns
    -------
    YamlSource
        Its data and line numbers.

    Raises
    ------
    ScenarioError
        If the file can't be read, is larger than 1 MiB, is not YAML, holds a tag that would run
        code, names a key twice, unfolds to more than 20,000 nodes, or is no mapping.
    """
    with reading(file, "check the path"), file.open("rb") as stream:
        # Bounded: YAML takes a thousand times its size in memory, and a second per 50 kB.
        content = stream.read(TEXT_MAX_BYTES + 1)
    if len(content) > TEXT_MAX_BYTES:
        rule = f"must be at most {TEXT_MAX_BYTES:,} bytes"
        raise _error(file, 1, rule, "write fewer keys, or split the file")
    with reading(file, "save it as UTF-8"):
        text = content.decode("utf-8")
    with reading(file, "simplify the file"):
        try:
            root = yaml.compose(text, Loader=_Loader)
            lines = _lines(file, root)
            data = plain_data(text)
        except yaml.MarkedYAMLError as error:
            raise _yaml_error(file, error) from None
        except yaml.YAMLError as error:
            raise _error(file, 1, f"is not YAML: {error}", "check the file's characters") from None
    if not isinstance(data, dict):
        remedy = "start it with a key, such as 'name: my-scenario'"
        raise _error(file, 1, "must be a mapping of keys to values", remedy)
    return YamlSource(file, data, lines, hashlib.sha256(content).hexdigest())


def plain_data(text: str) -> Any:
    """Read YAML as plain data: nothing that it names is executed.

    Parameters
    ----------
    text
        YAML. ``2:4`` is text, as in YAML 1.2, and not 124, a number of base 60.

    Returns
    -------
    object
        Mappings, sequences, numbers, texts and None.

    Raises
    ------
    yaml.YAMLError
        If it is not YAML, holds a tag, or a value that is not of its tag, such as ``!!bool maybe``.
    RecursionError
        If it is nested too deeply.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader


class _Loader(yaml.SafeLoader):
    """Reads plain data; `2:4` is text, as in YAML 1.2, and not a number of base 60."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode and implicit[0] and _BASE_60.fullmatch(value):
            return self.DEFAULT_SCALAR_TAG
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def compose_node(self, parent: Any, index: Any) -> Any:
        # Composing is slow: a file of some MB must not be read to its end to be refused. A key and
        # its value are two nodes.
        self.composed = getattr(self, "composed", 0) + 1
        if self.composed > 2 * _NODES_MAX + 1:
            raise ValueError(f"has more than {_NODES_MAX:,} nodes")
        return super().compose_node(parent, index)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return _plain(super().construct_object(node, deep))
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:
            # A value that is not of its tag leads PyYAML to any error, which knows no line.
            kind = node.tag.rpartition(":")[2]
            problem = f"{node.value!r:.60} can't be read as {kind}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


def _plain(value: object) -> object:
    """Pass a value on; raise ValueError if nobody could write it down, or compute with it."""
    if isinstance(value, str):
        # Half of a surrogate pair is no character.
        value.encode("utf-8")
    if isinstance(value, int) and value.bit_length() > _INTEGER_MAX_BITS:
        raise ValueError("is beyond all floating-point numbers")
    return value


def _lines(file: Path, root: yaml.Node | None) -> dict[KeyPath, int]:
    lines: dict[KeyPath, int] = {}
    faults: list[Fault] = []
    twice: set[KeyPath] = set()
    for count, (path, line) in enumerate(_walk(root, ())):
        if count > _NODES_MAX:
            remedy = "write repeated parts out, or use fewer anchors and aliases"
            raise _error(file, 1, f"must not unfold to more than {_NODES_MAX:,} nodes", remedy)
        if path in lines and path[:-1] not in twice:
            rule = f"is given twice, first on line {lines[path]}"
            faults.append(
                Fault(dotted(path), rule, remedy="keep one of the two", place=f"{file}:{line}")
            )
        if path in lines:
            # What stands below a key that is given twice is twice there too.
            twice.add(path)
        lines.setdefault(path, line)
    if faults:
        raise ScenarioError(faults)
    return lines


def _walk(node: yaml.Node | None, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            yield inner, key.start_mark.line + 1
            yield from _walk(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            inner = (*path, index)
            yield inner, value.start_mark.line + 1
            yield from _walk(value, inner)


def _yaml_error(file: Path, error: yaml.MarkedYAMLError) -> ScenarioError:
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    problem = error.problem or "is not YAML"
    if "tag" in problem:
        rule = f"must hold plain data only: {problem}"
        return _error(file, line, rule, "remove the '!' tag and write a plain value")
    return _error(file, line, f"is not YAML: {problem}", "check indentation, brackets and quotes")


def _error(file: Path, line: int, rule: str, remedy: str) -> ScenarioError:
    return ScenarioError([Fault("(file)", rule, None, remedy, f"{file}:{line}")])
