"""Networks that a function of an installed package builds."""

from __future__ import annotations

import importlib

from torch import nn

from flexrel_sim.errors import CheckpointError
from flexrel_sim.networks.architectures import Factory

__all__ = ["build_by_factory"]


def build_by_factory(architecture: Factory) -> nn.Module:
    """Import the function on a card, and call it.

    Parameters
    ----------
    architecture
        Names the function, which runs with the rights of this process.

    Returns
    -------
    torch.nn.Module
        What it gave.

    Raises
    ------
    CheckpointError
        If the module or the function is missing, fails, or gives no ``torch.nn.Module``.
    """
    module_name, _, name = architecture.factory.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # noqa: BLE001 - a user's module may raise anything
        raise _refused(
            f"module {module_name!r} can't be imported ({_line(error)})",
            "install its package, or set PYTHONPATH to its folder",
        ) from None
    function = getattr(module, name, None)
    if not callable(function):
        raise _refused(f"{module_name!r} has no function {name!r}", "correct its name")
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


def _refused(rule: str, remedy: str) -> CheckpointError:
    return CheckpointError(f"architecture.factory: {rule}; {remedy}")


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
