"""The command line: parse, call one function, print. Heavy imports wait until they are used."""

from flexrel_sim.cli.app import app

__all__ = ["app"]
