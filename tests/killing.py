"""A process that runs the command line in children of its own, so that a run costs no imports.

It reads lines of words as JSON; each is run in a forked child in a group of its own, whose number
it prints. An empty list asks for the child's exit code, negative for a signal.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from flexrel_sim.__main__ import main
from flexrel_sim.files import written


def run(words: list[str]) -> int:
    sys.argv = ["flexrel-sim", *words]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def forked(words: list[str], log: str) -> int:
    child = os.fork()
    if child:
        return child
    os.setsid()
    written.clear()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os._exit(run(words))


if __name__ == "__main__":
    speaking = os.dup(1)
    os.dup2(2, 1)
    child = 0
    for line in sys.stdin:
        words = json.loads(line)
        if words and words[0] == "here":
            answer = run(words[1:])
        elif words:
            answer = child = forked(words, "killed.log")
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(speaking, f"{answer}\n".encode())
