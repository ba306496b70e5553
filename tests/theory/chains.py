"""Markov chains solved without any formula."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

State = int | tuple[int, ...]


def stationary(
    start: State, moves: Callable[[State], Iterable[tuple[State, float]]]
) -> dict[State, float]:
    """Solve the balance equations of all states that are reached from one."""
    found, todo = {start: 0}, [start]
    while todo:
        for target, _ in moves(todo.pop()):
            if target not in found:
                found[target] = len(found)
                todo.append(target)
    rates = np.zeros((len(found), len(found)))
    for state, place in found.items():
        for target, rate in moves(state):
            rates[place, found[target]] += rate
            rates[place, place] -= rate
    # One of the balance equations follows from the others: their sum to one takes its place.
    rates[:, 0] = 1.0
    chances = np.linalg.solve(rates.T, np.eye(len(found))[0])
    return {state: float(chances[place]) for state, place in found.items()}
