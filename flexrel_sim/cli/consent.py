"""The option by which the user consents to run a card's code, the same for every command."""

from __future__ import annotations

import click

__all__ = ["allow_factory_option"]

allow_factory_option = click.option(
    "--allow-factory",
    "allow_factory",
    multiple=True,
    metavar="MODULE",
    help="Let cards call functions of MODULE, such as torchvision.models, with your rights; may be"
    " repeated. FLEXREL_ALLOW_FACTORY lists more, separated by commas. Modules in files under the"
    " folder of FILE or of the card need no consent.",
)
