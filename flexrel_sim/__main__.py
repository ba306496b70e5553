"""`python -m flexrel_sim` is `flexrel-sim`: signals first, so that a stop at any time is a line."""

from __future__ import annotations

import signal
import sys

from flexrel_sim.files import written
from flexrel_sim.signals import STOPPING, Stopped, stop_on_signals

__all__ = ["main"]


def main() -> None:
    """Run the command line.

    SIGINT and SIGTERM end it with one line, and with 128 and their number: 130 and 143.
    """
    stop_on_signals()
    try:
        # Here, not at the top: Ctrl-C may come while modules are imported.
        from flexrel_sim.cli import app  # noqa: PLC0415

        app()
    except Stopped as stop:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        sys.stderr.write(f"{_told(stop.number)}\n")
        sys.exit(128 + stop.number)
    finally:
        # What is left is the interpreter's own end, which would show a traceback.
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)


def _told(number: int) -> str:
    word = "interrupted" if number == signal.SIGINT else "terminated"
    if not written:
        return f"{word}; nothing was written, earlier results are as they were"
    return f"{word}; written before that, and whole: {', '.join(map(str, written))}"


if __name__ == "__main__":
    main()
