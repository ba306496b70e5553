"""`cuts`: where a network can be cut, and what crosses there."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from flexrel_sim.cli.consent import allow_factory_option
from flexrel_sim.cli.setting import set_option

if TYPE_CHECKING:
    from flexrel_sim.placement import Cut, CutTable

__all__ = ["cuts"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Where to draw: a .png, .svg or .pdf file, or a folder that gets cuts.png and cuts.svg.",
)
@set_option("model.network=other.yaml")
@click.option("--force", is_flag=True, help="Replace pictures that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as one JSON object.")
@allow_factory_option
def cuts(
    file: Path,
    output: Path | None,
    settings: tuple[str, ...],
    force: bool,
    as_json: bool,
    allow_factory: tuple[str, ...],
) -> None:
    """List every cut of the network of the scenario in FILE.

    Tells what crosses, and the MACs and bytes of weights on both sides. The sweep is left out;
    where the scenario removes filters, the network is pruned first.
    """
    from flexrel_sim import api
    from flexrel_sim.cli.show import table_console
    from flexrel_sim.scenario import parse_override

    overrides = dict(parse_override(text) for text in settings)
    found = api.cuts(file, output, overrides, allow_factory, force=force)
    if as_json:
        click.echo(json.dumps(asdict(found.table)))
        return
    table_console().print(_table(found.table))
    _print_uncounted(found.table)
    _print_not_entered(found.table)
    for picture in found.pictures:
        click.echo(f"picture   {picture}")


def _table(found: CutTable) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1))
    for head in ("cut", "boundary", "shape"):
        table.add_column(head, overflow="fold")
    for head in ("bytes", "head MACs", "tail MACs", "head weights / B", "tail weights / B"):
        table.add_column(head, justify="right", no_wrap=True)
    for cut in found.cuts:
        table.add_row(*_cells(cut))
    return table


def _cells(cut: Cut) -> list[str]:
    boundary = cut.boundary if cut.crosses_link else ()
    counts = (cut.head_macs, cut.tail_macs, cut.head_weight_bytes, cut.tail_weight_bytes)
    return [
        "\n= ".join((cut.name, *cut.blocks)),
        "\n".join(tensor.name for tensor in boundary),
        "\n".join("x".join(str(size) for size in tensor.shape) for tensor in boundary),
        f"{cut.boundary_bytes:,}",
        *(f"{number:,}" for number in counts),
    ]


def _print_uncounted(found: CutTable) -> None:
    if not found.uncounted:
        click.echo("Every operation is counted.")
        return
    click.echo("Not counted, and so not among the MACs:")
    for work in found.uncounted:
        click.echo(f"  {work.name} ({work.kind}): {work.kernel}, {work.times} x")


def _print_not_entered(found: CutTable) -> None:
    if not found.not_entered:
        return
    click.echo("Not entered, and so one operation each, with no cut inside:")
    for closed in found.not_entered:
        click.echo(f"  {closed.name} ({closed.forward}): {closed.reason}")
    click.echo(
        "To cut inside, let a forward decide nothing by the values of its input, or put what does"
        " into a module of its own; what is around that module is then entered."
    )
