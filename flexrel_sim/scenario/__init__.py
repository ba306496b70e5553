"""Scenarios: what a user writes, checked whole, with every fault on its line."""

from flexrel_sim.scenario.load import (
    Point,
    ScenarioFile,
    load_scenario,
    load_system_scenario,
    option_points,
    parse_override,
)
from flexrel_sim.scenario.refusals import load_model
from flexrel_sim.scenario.schema import Scenario, Section, SystemScenario
from flexrel_sim.scenario.source import YamlSource, read_yaml
from flexrel_sim.scenario.suggest import did_you_mean

__all__ = [
    "Point",
    "Scenario",
    "ScenarioFile",
    "Section",
    "SystemScenario",
    "YamlSource",
    "did_you_mean",
    "load_model",
    "load_scenario",
    "load_system_scenario",
    "option_points",
    "parse_override",
    "read_yaml",
]
