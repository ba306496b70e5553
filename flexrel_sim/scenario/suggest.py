"""Remedies for words that are almost right."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean"]


_NAMES_MAX = 20


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name the nearest known word, and all of them as far as they fit.

    Parameters
    ----------
    word
        What the user wrote.
    known
        What would have been right.

    Returns
    -------
    str
        A remedy, such as ``did you mean 'delay'? known: delay, downlink, uplink``.
    """
    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
    return f"{hint}known: {', '.join(names[:_NAMES_MAX])}{more}"
