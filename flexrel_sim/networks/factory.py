"""Networks that a function of a user or of an installed package builds, where that is consented."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from torch import nn

from flexrel_sim.errors import CheckpointError, one_line
from flexrel_sim.networks.architectures import Factory
from flexrel_sim.networks.consent import CONSENT_VARIABLE, Consent
from flexrel_sim.networks.lookup import files_of, importing_from, loaded_from_elsewhere

__all__ = ["build_by_factory"]


def build_by_factory(architecture: Factory, consent: Consent | None) -> nn.Module:
    """Import the function on a card, and call it.

    Parameters
    ----------
    architecture
        Names the function, which runs with the rights of this process.
    consent
        Which modules may be imported; None for none at all.

    Returns
    -------
    torch.nn.Module
        What it gave.

    Raises
    ------
    CheckpointError
        If its module is not found, or there is no consent to it; if a loaded module of another file
        has the name of one beside the card; if the module or the function fails, is missing, or
        gives no ``torch.nn.Module``; or if the function does not say that it gives one: it must be
        a class of ``torch.nn.Module``, or have one as the annotation of what it returns.
    """
    module_name, _, name = architecture.factory.partition(":")
    if consent is not None and not consent.finds(module_name):
        raise _not_found(module_name, consent)
    if consent is None or not consent.covers(module_name):
        raise _refused(
            f"{architecture.factory} is code that would run with your rights, and there is no"
            f" consent to the module {module_name!r}",
            f"where you trust it, say --allow-factory {module_name}, or list it in"
            f" {CONSENT_VARIABLE}; a module in a file under the scenario's or the card's folder"
            " needs neither",
        )
    # Around the call, too: functions may import when they run.
    with importing_from(consent.places):
        function = _function(_imported(module_name, consent), name)
        try:
            network = function(**architecture.arguments)
        except Exception as error:  # noqa: BLE001 - a user's function may raise anything
            raise _refused(
                f"{architecture.factory} failed ({_line(error)})", "correct it, or its arguments"
            ) from None
    if not isinstance(network, nn.Module):
        raise _refused(
            f"{architecture.factory} must return a torch.nn.Module, got {type(network).__name__}",
            "name a function that builds a network",
        )
    return network


def _imported(name: str, consent: Consent) -> ModuleType:
    expected = files_of(name, consent.places)
    if (mixed := loaded_from_elsewhere(consent.places)) is not None:
        # Its own module, or one that it may import, would silently be the other folder's.
        raise _another(*mixed)
    try:
        module = importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - a user's module may raise anything
        raise _refused(
            f"module {name!r} can't be imported ({_line(error)})",
            "correct it, or install what it imports",
        ) from None
    file = getattr(module, "__file__", None)
    if name not in consent.modules and (file is None or Path(file).resolve() != expected[-1]):
        # Loaded before, under the name of the file that there is consent to.
        raise _another(name, file or "a part of Python", expected[-1])
    return module


def _function(module: ModuleType, name: str) -> Callable[..., Any]:
    function: Any = getattr(module, name, None)
    if not callable(function):
        raise _refused(f"{module.__name__!r} has no function {name!r}", "correct its name")
    given = function if isinstance(function, type) else _returned(function)
    if not (isinstance(given, type) and issubclass(given, nn.Module)):
        raise _refused(
            f"{module.__name__}:{name} must be a class of torch.nn.Module, or say that it returns"
            " one by its annotation",
            "write 'def build(…) -> torch.nn.Module:', if need be around it in a module of yours",
        )
    return function  # type: ignore[no-any-return]


def _returned(function: Callable[..., Any]) -> object:
    """Give the type that a function says it returns; None where it doesn't, or can't be told."""
    inner = inspect.unwrap(function)
    annotation = getattr(inner, "__annotations__", {}).get("return")
    bare = SimpleNamespace(__annotations__={"return": annotation})
    try:
        # Of the return alone: other annotations may name what exists for type checkers only.
        hints = typing.get_type_hints(bare, getattr(inner, "__globals__", {}))
    except (NameError, TypeError, SyntaxError, AttributeError):
        return None
    return hints["return"]


def _not_found(name: str, consent: Consent) -> CheckpointError:
    folders = ", ".join(map(str, consent.places)) or "no folder of a card"
    return _refused(
        f"module {name!r} is not found in {folders}, nor on Python's path",
        "correct its name, put its file beside the card or the scenario, install its package, or"
        " set PYTHONPATH to its folder",
    )


def _another(name: str, loaded: object, hidden: Path) -> CheckpointError:
    return _refused(
        f"module {name!r} is another one, {loaded}, and was loaded before {hidden}",
        "rename one, or run them in commands of their own",
    )


def _refused(rule: str, remedy: str) -> CheckpointError:
    return CheckpointError(f"architecture.factory: {rule}; {remedy}")


def _line(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}")
