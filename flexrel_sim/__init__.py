"""Split-computing edge/server simulator with FlexRel pruning.

`run` runs a scenario file and writes its results; `simulate` does so around a stored profile,
without torch; `prune` writes a pruned network, and `export` both its halves; `compare` compares
criteria; `cuts` lists where a network can be cut; `train_bottleneck` makes a cut narrower. All are
loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flexrel_sim.version import __version__

if TYPE_CHECKING:
    from flexrel_sim.api import (
        Cuts,
        Run,
        compare,
        cuts,
        export,
        prune,
        run,
        simulate,
        train_bottleneck,
    )

__all__ = [
    "Cuts",
    "Run",
    "__version__",
    "compare",
    "cuts",
    "export",
    "prune",
    "run",
    "simulate",
    "train_bottleneck",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from flexrel_sim import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
