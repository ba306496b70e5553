"""The option that sets keys of a scenario, of every command that reads one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["set_option"]

F = TypeVar("F", bound=Callable[..., Any])


def set_option(example: str) -> Callable[[F], F]:
    """Make ``--set``.

    Parameters
    ----------
    example
        A setting that makes sense for the command, such as ``split.cut=pool1``.

    Returns
    -------
    Callable
        Decorates a command, which gets ``settings``.
    """
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="PATH=VALUE",
        help=f"Set a key, such as {example}; may be repeated. A mapping is merged key by key: what"
        " it does not name stays, other constraints too. null takes away a setting that is"
        " optional, such as updates; a constraint is changed or stays.",
    )
