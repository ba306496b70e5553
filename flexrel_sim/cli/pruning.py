"""`prune` and `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flexrel_sim.cli.consent import allow_factory_option
from flexrel_sim.cli.setting import set_option
from flexrel_sim.cli.warning import warn

if TYPE_CHECKING:
    from flexrel_sim.measure.shipping import Shipped

__all__ = ["compare", "prune"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=_PATH)
@click.option(
    "-o", "--output", type=_PATH, required=True, help="Where to write, a .safetensors file."
)
@set_option("pruning.ratio=0.6")
@click.option(
    "--since",
    type=_PATH,
    metavar="CARD",
    help="Card of an earlier version: print the bytes of an update from it.",
)
@click.option("--force", is_flag=True, help="Replace a network and a card that are there.")
@allow_factory_option
def prune(
    file: Path,
    output: Path,
    settings: tuple[str, ...],
    since: Path | None,
    force: bool,
    allow_factory: tuple[str, ...],
) -> None:
    """Prune the network of the scenario in FILE, and write it with its card.

    Its sweep is left out. Prints accuracy, weights, MACs and bytes before and after.
    """
    from flexrel_sim import api
    from flexrel_sim.scenario import parse_override

    overrides = dict(parse_override(text) for text in settings)
    _show(api.prune(file, output, overrides, since, allow_factory, force=force))


@click.command()
@click.argument("file", type=_PATH)
@click.option("-o", "--output", type=_PATH, help="Result folder; results/<name> by default.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Processes to use; all cores by default."
)
@allow_factory_option
def compare(
    file: Path, output: Path | None, workers: int | None, allow_factory: tuple[str, ...]
) -> None:
    """Compare pruning criteria on many networks and seeds, as FILE says.

    What was computed before is not computed again: an interrupted comparison goes on.
    """
    from flexrel_sim import api
    from flexrel_sim.cli.show import progress

    folder = api.compare(file, output, workers, progress, allow_factory)
    click.echo(f"report    {folder / 'report.md'}")
    for picture in sorted(folder.glob("*.png")):
        click.echo(f"picture   {picture}")


def _show(shipped: Shipped) -> None:
    warn(shipped.warnings)
    before, after = shipped.before, shipped.after
    click.echo(f"{'':10}{'before':>24}{'after':>24}{'kept':>9}")
    accuracies = [
        f"{size.accuracy.value:.4f} [{size.accuracy.low:.4f}, {size.accuracy.high:.4f}]"
        for size in (before, after)
    ]
    click.echo(f"{'accuracy':10}{accuracies[0]:>24}{accuracies[1]:>24}")
    for name in ("weights", "macs", "bytes"):
        old, new = getattr(before, name), getattr(after, name)
        label = "MACs" if name == "macs" else name
        kept = f"{new / old:.1%}" if old else "-"
        click.echo(f"{label:10}{old:>24,}{new:>24,}{kept:>9}")
    if shipped.choice:
        from flexrel_sim.metrics import choice_text

        click.echo(f"auto      {choice_text(shipped.choice)}")
    if shipped.update:
        head = shipped.update.head_bytes
        part = "" if head is None else f", {head:,} of them the head's, for updates.bytes"
        click.echo(f"update    {shipped.update.bytes:,} bytes{part}")
    click.echo(f"network   {shipped.checkpoint}")
    click.echo(f"card      {shipped.card}")
