"""Class by class: ``recall.csv``, and which class is answered as which in ``confusion.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from flexrel_sim.accuracy import confusion
from flexrel_sim.profile import Profile

__all__ = ["CONFUSION_NAME", "RECALL_NAME", "write_classes"]

RECALL_NAME: Final = "recall.csv"

CONFUSION_NAME: Final = "confusion.csv"


def write_classes(profiles: Iterable[Profile], folder: Path) -> None:
    """Write the recall of every class and the confusion of all, of the test samples.

    Parameters
    ----------
    profiles
        Operating points; a row names its own by its key, as ``summary.json`` does.
    folder
        Where. Pairs of label and answer that don't occur have no row.
    """
    with (
        (folder / RECALL_NAME).open("w", newline="", encoding="utf-8") as recalls,
        (folder / CONFUSION_NAME).open("w", newline="", encoding="utf-8") as confusions,
    ):
        by_class, by_pair = csv.writer(recalls), csv.writer(confusions)
        by_class.writerow(("profile", "label", "samples", "recall", "recall_low", "recall_high"))
        by_pair.writerow(("profile", "label", "answer", "samples"))
        for profile in profiles:
            counts = profile.recalls.samples
            for (label, recall), count in zip(
                profile.recalls.per_class.items(), counts, strict=True
            ):
                row = (profile.key, label, count, recall.value, recall.low, recall.high)
                by_class.writerow(row)
            rows = confusion(profile.labels, profile.predicted)
            by_pair.writerows((profile.key, *row) for row in rows)
