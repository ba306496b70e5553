"""`link`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flexrel_sim.cli.setting import set_option
from flexrel_sim.cli.warning import warn

if TYPE_CHECKING:
    from flexrel_sim.links.resolve import ResolvedLink

__all__ = ["link"]

_PATH = click.Path(path_type=Path)

_NAMES = ("up.trace", "down.trace")


@click.command()
@click.argument("file", type=_PATH)
@click.option("-o", "--output", type=_PATH, help="Draw the link: a .png, .svg or .pdf file.")
@click.option(
    "--traces", type=_PATH, help="Write up.trace and down.trace for Mahimahi into this folder."
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option("--duration", default=None, help="How long to look, such as '60 s'.")
@click.option(
    "--payload",
    type=click.IntRange(min=0, max=10**12),
    default=1000,
    show_default=True,
    help="Bytes of the messages whose delay is drawn.",
)
@set_option("'link.uplink=5 Mbit/s'")
def link(  # noqa: PLR0913, PLR0917 - one per option of the command
    file: Path,
    output: Path | None,
    traces: Path | None,
    force: bool,
    duration: str | None,
    payload: int,
    settings: tuple[str, ...],
) -> None:
    """Show the link of FILE, a scenario or a file that holds only a link.

    Prints its rates and the commands of tc and Mahimahi that make the same link on a real wire.
    """
    from flexrel_sim.files import demand_free
    from flexrel_sim.links.resolve import resolve
    from flexrel_sim.links.windows import duration_of
    from flexrel_sim.scenario import parse_override
    from flexrel_sim.scenario.link_file import load_link

    files = [] if traces is None else [traces / name for name in _NAMES]
    demand_free(files if output is None else [output, *files], force=force)
    section = load_link(file, dict(parse_override(text) for text in settings))
    resolved = resolve(section, file.parent)
    warn(resolved.warnings)
    capacities = (resolved.uplink.capacity, resolved.downlink.capacity)
    duration_s = max(map(duration_of, capacities)) if duration is None else _seconds(duration)
    _show_rates(resolved, duration_s, section.medium)
    names = _NAMES if traces is None else _write_traces(resolved, duration_s, traces)
    _show_commands(resolved, names)
    if output is not None:
        _draw(resolved, duration_s, payload, output, file.stem)
        click.echo(f"picture   {output}")


def _seconds(text: str) -> float:
    from flexrel_sim.errors import Fault, ScenarioError
    from flexrel_sim.units import QuantityKind, parse_quantity

    kind = QuantityKind("duration", "s", ("60 s", "5 min"), largest=1e6)
    try:
        return parse_quantity(text, kind)
    except ValueError as error:
        fault = Fault("--duration", str(error), text, kind.remedy, "command line")
        raise ScenarioError([fault]) from None


def _show_rates(resolved: ResolvedLink, duration_s: float, medium: str) -> None:
    import numpy as np

    from flexrel_sim.links.windows import window_rates, window_s

    click.echo(
        f"{medium}, {duration_s:g} s in windows of {window_s(duration_s):g} s; rates in Mbit/s"
    )
    heads = ("mean", "p5", "p50", "p95", "delay/ms", "loss", "payload")
    click.echo(f"{'':10}" + "".join(f"{head:>11}" for head in heads) + "  transport")
    for direction in (resolved.uplink, resolved.downlink):
        _, rates = window_rates(direction.capacity, duration_s)
        values = [np.mean(rates), *np.percentile(rates, (5, 50, 95))]
        cells = [f"{value / 1e6:.4g}" for value in values]
        loss = 0.0 if direction.loss is None else direction.loss.mean
        cells += [f"{1e3 * direction.delay_s:.4g}", f"{loss:.3%}"]
        cells.append(f"{direction.packets.efficiency:.1%}")
        click.echo(
            f"{direction.name:10}"
            + "".join(f"{cell:>11}" for cell in cells)
            + f"  {direction.transport}"
        )


def _show_commands(resolved: ResolvedLink, names: tuple[str, str]) -> None:
    from flexrel_sim.links.commands import mahimahi_command, tc_commands

    click.echo("\n# tc: $EDGE is the interface on the edge, $SERVER the one on the server")
    for direction, interface in ((resolved.uplink, "$EDGE"), (resolved.downlink, "$SERVER")):
        for line in tc_commands(direction, interface):
            click.echo(line)
    click.echo("\n# Mahimahi: --traces FOLDER writes the two files")
    for line in mahimahi_command(resolved.uplink, resolved.downlink, names):
        click.echo(line)


def _write_traces(resolved: ResolvedLink, duration_s: float, folder: Path) -> tuple[str, str]:
    from flexrel_sim.errors import InputError
    from flexrel_sim.files import write_whole
    from flexrel_sim.links.commands import mahimahi_stamps_ms

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for direction, name in zip((resolved.uplink, resolved.downlink), _NAMES, strict=True):
            stamps = mahimahi_stamps_ms(direction.capacity, duration_s)
            text = "\n".join(map(str, stamps.tolist())) + "\n"
            write_whole(folder / name, text.encode())
    except OSError as error:
        raise InputError(f"--traces {folder}: can't be written: {error.strerror}") from None
    return str(folder / _NAMES[0]), str(folder / _NAMES[1])


def _draw(
    resolved: ResolvedLink, duration_s: float, payload: int, output: Path, title: str
) -> None:
    from flexrel_sim.errors import InputError
    from flexrel_sim.files import write_whole
    from flexrel_sim.plots.link import link_picture
    from flexrel_sim.plots.style import picture, style

    kind = output.suffix.lower().removeprefix(".")
    if kind not in ("png", "svg", "pdf"):
        raise InputError(f"--output {output}: must end in .png, .svg or .pdf")
    with style():
        drawn = picture(link_picture(resolved, duration_s, payload, title), f".{kind}")
    try:
        write_whole(output, drawn)
    except OSError as error:
        raise InputError(f"--output {output}: can't be written: {error.strerror}") from None
