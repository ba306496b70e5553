"""`export`: halves that run without this package."""

from __future__ import annotations

from pathlib import Path

import click

from flexrel_sim.cli.consent import allow_factory_option
from flexrel_sim.cli.setting import set_option
from flexrel_sim.cli.warning import warn

__all__ = ["export"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=_PATH)
@click.option("-o", "--output", type=_PATH, required=True, help="Folder to write.")
@set_option("split.cut=pool1")
@allow_factory_option
def export(
    file: Path, output: Path, settings: tuple[str, ...], allow_factory: tuple[str, ...]
) -> None:
    """Export both halves of the pruned network of the scenario in FILE.

    Writes ONNX files, torch.export programs, the codec, a model card and two scripts that need
    only ONNX Runtime, NumPy and the codec's library. Its sweep is left out.
    """
    from flexrel_sim import api
    from flexrel_sim.scenario import parse_override

    overrides = dict(parse_override(text) for text in settings)
    told = api.export(file, output, overrides, allow_factory)
    warn(told.warnings)
    accuracy = told.accuracy
    interval = f"[{accuracy.low:.4f}, {accuracy.high:.4f}]"
    click.echo(f"accuracy  {accuracy.value:.4f} {interval}")
    click.echo(f"payload   {told.payload_bytes:,.1f} B in the mean")
    click.echo(f"ONNX      differs from torch by {told.difference:.1e} at most")
    for written in sorted(output.iterdir()):
        click.echo(f"file      {written}")
