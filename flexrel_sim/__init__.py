"""Split-computing edge/server simulator with FlexRel pruning."""

__version__ = "0.1.0"
