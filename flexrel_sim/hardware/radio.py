"""Radios: what sending, receiving and staying awake afterwards cost."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from flexrel_sim.hardware.presets import found, shipped
from flexrel_sim.scenario import Section, load_model

__all__ = ["Radio", "find_radio", "list_radios", "transfer_energy_j"]


class Radio(Section):
    """A radio's power by state: transmitting or receiving, tail, idle.

    While anything is on the air it draws ``alpha_u * uplink rate + alpha_d * downlink rate +
    beta``; after the last transfer of a burst it stays in the tail state, until the tail ends or
    the next burst starts.

    References
    ----------
    Huang et al., *A Close Examination of Performance and Power Characteristics of 4G LTE
    Networks*, MobiSys 2012, section 4.
    """

    description: str
    """What it is."""
    transmit_j_per_bit: float = Field(ge=0)
    """Slope of power over transmit rate, alpha_u: 1 mW per Mbit/s is 1e-9 J/bit."""
    receive_j_per_bit: float = Field(ge=0)
    """Slope of power over receive rate, alpha_d."""
    active_power_w: float = Field(ge=0)
    """Power while anything is on the air, whatever the rate, beta."""
    tail_power_w: float = Field(ge=0)
    """Power in the tail state."""
    tail_s: float = Field(ge=0)
    """Length of the tail."""
    idle_power_w: float = Field(ge=0)
    """Power when nothing is on the air and the tail is over."""
    source: str = Field(min_length=1)
    """Who states these figures."""
    assumptions: str = ""
    """What no source states."""

    @property
    def is_silent(self) -> bool:
        """Whether its energy is zero whatever it does."""
        slopes = (self.transmit_j_per_bit, self.receive_j_per_bit)
        return not any((*slopes, self.active_power_w, self.tail_power_w, self.idle_power_w))


def list_radios() -> dict[str, Radio]:
    """Give all presets by name; ``none`` is a radio whose energy is zero, and says so."""
    return dict(_presets())


def find_radio(name: str, folder: Path) -> Radio:
    """Find a preset, or read a radio file.

    Parameters
    ----------
    name
        Name of a preset, or path of a YAML file with the fields of `Radio`.
    folder
        Where a relative path starts.

    Returns
    -------
    Radio
        The radio.

    Raises
    ------
    LookupError
        If the name is no preset and no file; the message is the remedy.
    ScenarioError
        If the radio file is wrong.
    """
    return found("radio", name, folder, _presets(), partial(load_model, Radio))


def transfer_energy_j(
    radio: Radio,
    payload_bytes: ArrayLike,
    duration_s: ArrayLike,
    direction: Literal["transmit", "receive"],
) -> NDArray[np.float64]:
    """Give what transfers cost while they are on the air, alone and without their tail.

    Parameters
    ----------
    radio
        The radio.
    payload_bytes, duration_s
        Size and time on the air of each transfer, of one shape.
    direction
        Which slope counts.

    Returns
    -------
    ndarray
        Joules of each transfer. They don't add up to a device's energy where transfers overlap
        (the radio is on once) and lack the tails: `radio_energy` gives that.
    """
    slope = radio.transmit_j_per_bit if direction == "transmit" else radio.receive_j_per_bit
    bits = 8 * np.asarray(payload_bytes, dtype=np.float64)
    return slope * bits + radio.active_power_w * np.asarray(duration_s, dtype=np.float64)


@cache
def _presets() -> dict[str, Radio]:
    return shipped(Radio, "radios.yaml")
