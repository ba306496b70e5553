"""Pieces of a generated script."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent, indent

__all__ = ["NOTHING", "Code", "function"]

_STANDARD = frozenset({"hashlib", "io", "json", "struct", "sys", "zlib"})


@dataclass(frozen=True)
class Code:
    """Lines of Python, and the modules that they use.

    Parameters
    ----------
    text
        Without indentation.
    modules
        Names to import.
    """

    text: str
    modules: frozenset[str] = frozenset()

    @classmethod
    def of(cls, text: str, *modules: str) -> Code:
        """Take an indented text."""
        return cls(dedent(text).strip("\n"), frozenset(modules))

    def __add__(self, other: Code) -> Code:
        """Put one after the other."""
        text = "\n".join(part for part in (self.text, other.text) if part)
        return Code(text, self.modules | other.modules)

    @property
    def libraries(self) -> list[str]:
        """Modules that Python does not bring, sorted."""
        return sorted(module for module in self.modules if module.split(".")[0] not in _STANDARD)

    @property
    def imports(self) -> str:
        """Import statements of all modules, in two groups."""
        own = sorted(self.modules - set(self.libraries))
        lines = [f"import {module}" for module in own] + ["from pathlib import Path", ""]
        lines += [_import(module) for module in self.libraries]
        return "\n".join(lines)


NOTHING = Code("")


def function(head: str, summary: str, body: Code) -> Code:
    """Make a function of some lines."""
    return Code(f'{head}\n    """{summary}"""\n{indent(body.text, "    ")}', body.modules)


def _import(module: str) -> str:
    return {"numpy": "import numpy as np", "PIL": "from PIL import Image"}.get(
        module, f"import {module}"
    )
