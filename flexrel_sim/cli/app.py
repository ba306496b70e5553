"""The command group, and the only place where errors become exit codes."""

from __future__ import annotations

from typing import Any

import click

from flexrel_sim.cli.cuts import cuts
from flexrel_sim.cli.exporting import export
from flexrel_sim.cli.link import link
from flexrel_sim.cli.listing import criteria, datasets, devices, networks
from flexrel_sim.cli.pruning import compare, prune
from flexrel_sim.cli.running import run, simulate
from flexrel_sim.cli.scenarios import schema, validate
from flexrel_sim.cli.training import train, train_bottleneck
from flexrel_sim.errors import InputError, ScenarioError, WorkError
from flexrel_sim.version import __version__

__all__ = ["app", "main"]

FAILED, WRONG_INPUT = 1, 2


class _App(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; say in a line what went wrong, and exit with its code."""
        if ctx.params.get("debug"):
            return super().invoke(ctx)
        try:
            return super().invoke(ctx)
        except (ScenarioError, InputError) as error:
            click.echo(str(error), err=True)
            ctx.exit(WRONG_INPUT)
        except WorkError as error:
            click.echo(f"failed: {error}", err=True)
            ctx.exit(FAILED)
        except KeyboardInterrupt:
            click.echo(
                "interrupted; nothing was written, earlier results are as they were", err=True
            )
            ctx.exit(FAILED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: a line, not a traceback
            detail = " ".join(str(error).split())
            click.echo(
                f"failed: {type(error).__name__}: {detail}; 'flexrel-sim --debug …' shows where",
                err=True,
            )
            ctx.exit(FAILED)


@click.group(cls=_App, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flexrel-sim")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def app(debug: bool) -> None:
    """Prune, split, encode and simulate a network between an edge device and a server."""
    del debug


for _command in (
    run, simulate, prune, export, compare, cuts, link, validate, schema, train, train_bottleneck,
    networks, datasets, criteria, devices,
):  # fmt: skip
    app.add_command(_command)


def main() -> None:
    """Run the command line."""
    app()
