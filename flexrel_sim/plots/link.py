"""A link in one picture: what it carries when, how much in all, and what it delays."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flexrel_sim.links.direction import Direction
from flexrel_sim.links.resolve import ResolvedLink
from flexrel_sim.links.transfers import transfers
from flexrel_sim.links.windows import window_rates
from flexrel_sim.plots.style import COLOURS

__all__ = ["link_picture"]

_MESSAGES = 20_000

_LINES = (("-", COLOURS[0]), ("--", COLOURS[1]))


def link_picture(link: ResolvedLink, duration_s: float, payload_bytes: int, title: str) -> Figure:
    """Draw both directions of a link.

    Parameters
    ----------
    link
        The link.
    duration_s
        Until when.
    payload_bytes
        Size of the messages whose delay is drawn.
    title
        What the link is called.

    Returns
    -------
    matplotlib.figure.Figure
        Rate and carried bytes over time, and the distribution of what delays a message beyond its
        serialisation, from draws of seed 0.
    """
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    grid = figure.add_gridspec(2, 2)
    rate = figure.add_subplot(grid[0, :])
    carried = figure.add_subplot(grid[1, 0])
    delay = figure.add_subplot(grid[1, 1])
    for direction, (dash, colour) in zip((link.uplink, link.downlink), _LINES, strict=True):
        edges_s, rates = window_rates(direction.capacity, duration_s)
        label = f"{direction.name}, mean {np.mean(rates) / 1e6:.3g} Mbit/s"
        style: dict[str, Any] = {"linestyle": dash, "color": colour}
        rate.stairs(rates / 1e6, edges_s, baseline=None, linewidth=1.2, label=label, **style)
        sent = direction.capacity.sent_bytes(edges_s)
        carried.plot(edges_s, sent / 1e6, label=direction.name, **style)
        delays_ms = 1e3 * _delays_s(direction, payload_bytes)
        delay.ecdf(delays_ms, label=direction.name, **style)
    rate.set_title(title)
    _axes(rate, "time / s", "rate / (Mbit/s)")
    rate.set_xlim(0, duration_s)
    _axes(carried, "time / s", "carried when busy / MB")
    carried.set_xlim(0, duration_s)
    _axes(delay, f"delay of {payload_bytes:,} B beyond serialisation / ms", "share of messages")
    delay.set_xlim(left=0)
    delay.set_ylim(0, 1.03)
    rate.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.1)
    carried.legend(loc="upper left")
    return figure


def _delays_s(direction: Direction, payload_bytes: int) -> NDArray[np.float64]:
    sizes = np.full(_MESSAGES, payload_bytes, dtype=np.int64)
    drawn = transfers(direction, sizes, np.random.default_rng(0))
    # A lost message has no delay; the curve is of those that arrive.
    arrived = drawn.extra_delay_s[~drawn.lost]
    return direction.delay_s + (arrived if arrived.size else np.zeros(1))


def _axes(axes: Axes, horizontal: str, vertical: str) -> None:
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
    axes.set_ylim(bottom=0)
