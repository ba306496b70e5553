"""The command group, and the only place where errors become exit codes."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click

from flexrel_sim.cli.cuts import cuts
from flexrel_sim.cli.exporting import export
from flexrel_sim.cli.link import link
from flexrel_sim.cli.listing import criteria, datasets, devices, networks
from flexrel_sim.cli.pruning import compare, prune
from flexrel_sim.cli.running import run, simulate
from flexrel_sim.cli.scenarios import schema, validate
from flexrel_sim.cli.training import train, train_bottleneck
from flexrel_sim.errors import InputError, ScenarioError, WorkError, one_line
from flexrel_sim.processes import mark_warnings
from flexrel_sim.signals import Stopped, stopped_by
from flexrel_sim.version import __version__

__all__ = ["app"]

FAILED, WRONG_INPUT = 1, 2

_PIPE_CLOSED = 141
"""As a shell tells of a program that SIGPIPE ended."""


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
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            _leave_pipe()
        except Exception as error:  # noqa: BLE001 - the last resort: a line, not a traceback
            if number := stopped_by():
                raise Stopped(number) from None
            detail = one_line(str(error))
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
    mark_warnings()


for _command in (
    run, simulate, prune, export, compare, cuts, link, validate, schema, train, train_bottleneck,
    networks, datasets, criteria, devices,
):  # fmt: skip
    app.add_command(_command)


def _leave_pipe() -> NoReturn:
    """End as other tools do whose reader has gone, such as `head`."""
    # What is still in buffers would fail again at the interpreter's end.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    sys.exit(_PIPE_CLOSED)
