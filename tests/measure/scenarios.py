"""Scenarios of the small network of digits."""

from __future__ import annotations

from typing import Any

from flexrel_sim.measure import MeasureSpec, make_spec
from flexrel_sim.networks import CardFile
from flexrel_sim.scenario import Scenario

SYSTEM: dict[str, Any] = {
    "edge": {"device": "raspberry-pi-4"},
    "link": {"uplink": "10 Mbit/s", "downlink": "20 Mbit/s"},
    "server": {"device": "t4"},
    "workload": {"rate": "12 /s"},
}


def scenario_of(**sections: Any) -> Scenario:
    """Make a scenario; the keys of the given sections are merged over the base."""
    data: dict[str, Any] = SYSTEM | {
        "model": {"network": "tiny.yaml"},
        "data": {"calibration": 30, "validation": 40, "test": 50},
        "split": {"cut": "pool1"},
    }
    for name, section in sections.items():
        data[name] = data.get(name, {}) | section
    return Scenario.model_validate(data)


def spec_of(card_file: CardFile, **sections: Any) -> MeasureSpec:
    """Resolve such a scenario."""
    return make_spec(scenario_of(**sections), card_file)
