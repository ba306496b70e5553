"""Writing a checkpoint's record on a card that a user wrote: all else stays as it is. No torch."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import yaml

from flexrel_sim.errors import InputError
from flexrel_sim.files import write_whole
from flexrel_sim.networks.card import CardFile, CheckpointRecord

__all__ = ["checkpoint_to_write", "with_record", "write_checkpoint_record"]

_UNBROKEN = 10**6
"""A width at which no line of a card is broken."""

_NESTED = re.compile(r"^[^\s#-][^#\n]*:[ \t]*(?:#.*)?\n( +)[^\s#-]", re.MULTILINE)
"""The first key below another."""


def checkpoint_to_write(card_file: CardFile) -> Path:
    """Give the place of a card's checkpoint, where training may write it.

    Parameters
    ----------
    card_file
        The card.

    Returns
    -------
    pathlib.Path
        A ``.safetensors`` file in the card's folder or below; it need not be there.

    Raises
    ------
    InputError
        If the card records another kind of file, or one elsewhere.
    """
    file, home = card_file.checkpoint, card_file.file.parent
    if file.suffix != ".safetensors":
        raise InputError(
            f"{card_file.file}: checkpoint.file: must be a .safetensors file to be trained, got"
            f" {file.name!r}; remove the checkpoint section, and it is named after the card"
        )
    if not file.resolve().is_relative_to(home.resolve()):
        raise InputError(
            f"{card_file.file}: checkpoint.file: must be in the card's folder to be trained, got"
            f" {str(file)!r}; remove the checkpoint section, and it is written beside the card"
        )
    return file


def write_checkpoint_record(card_file: CardFile, record: CheckpointRecord) -> None:
    """Write the ``checkpoint`` section of a card, and leave the rest as its author wrote it.

    Parameters
    ----------
    card_file
        The card.
    record
        What to write.

    Raises
    ------
    InputError
        If the rest would not stay as it is; nothing is written then.
    """
    write_whole(card_file.file, with_record(card_file, record))


def with_record(card_file: CardFile, record: CheckpointRecord) -> bytes:
    """Give a card with another ``checkpoint`` section.

    Parameters
    ----------
    card_file
        The card, as it is on disk.
    record
        What the section is to hold.

    Returns
    -------
    bytes
        The card's text, with its comments, order, quotes and flow style.

    Raises
    ------
    InputError
        If the rest would not stay as it is.
    """
    # Here, not at the top: only who trains edits cards, and simulating needs no ruamel.yaml.
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    section = record.model_dump(mode="json", exclude_none=True)
    text = card_file.file.read_bytes().decode()
    before = text.replace("\r\n", "\n")
    try:
        after = _edited(before, section)
        wanted = yaml.safe_load(before) | {"checkpoint": section}
        kept = yaml.safe_load(after) == wanted and _comments(before) <= _comments(after)
    except (YAMLError, yaml.YAMLError, ValueError, AssertionError):
        kept = False
    if not kept:
        told = yaml.safe_dump({"checkpoint": section}, default_flow_style=True, width=_UNBROKEN)
        raise InputError(
            f"{card_file.file}: can't be edited without changing the rest of it; write it in"
            f" simpler YAML, or record the checkpoint yourself: {told.strip()}"
        )
    return (after.replace("\n", "\r\n") if "\r\n" in text else after).encode()


def _edited(text: str, section: dict[str, Any]) -> str:
    from ruamel.yaml import YAML  # noqa: PLC0415 - as in `with_record`
    from ruamel.yaml.comments import CommentedMap  # noqa: PLC0415
    from ruamel.yaml.util import load_yaml_guess_indent  # noqa: PLC0415

    document = yaml.compose(text, yaml.SafeLoader)
    in_blocks = isinstance(document, yaml.MappingNode) and not document.flow_style
    if "checkpoint" not in yaml.safe_load(text) and in_blocks:
        added = yaml.safe_dump({"checkpoint": section}, sort_keys=False, allow_unicode=True)
        return text.rstrip("\n") + "\n" + added
    _, indent, offset = load_yaml_guess_indent(text)
    writer = YAML()
    writer.preserve_quotes = True
    writer.width = _UNBROKEN
    nested = _NESTED.search(text)
    writer.indent(len(nested[1]) if nested else 2, indent or 2, offset or 0)
    writer.explicit_start = text.startswith("---")
    data = writer.load(text)
    held = data.get("checkpoint")
    if isinstance(held, CommentedMap) and held:
        # The last key stays: what follows the section, such as a comment, hangs on it.
        *others, last = held
        for key in others:
            if key not in section:
                del held[key]
        for key, value in section.items():
            if key in held:
                held[key] = value
            else:
                held.insert(len(held) - 1, key, value)
        if last not in section:
            following = held.ca.items.get(last)
            del held[last]
            if following:
                held.ca.items.setdefault(list(held)[-1], following)
    else:
        data["checkpoint"] = section
    stream = io.StringIO()
    writer.dump(data, stream)
    return stream.getvalue()


def _comments(text: str) -> set[str]:
    """Give the comments that have a line of their own, or follow a space."""
    lines = (f" {line}" for line in text.splitlines())
    return {line.partition(" #")[2].strip() for line in lines if " #" in line}
