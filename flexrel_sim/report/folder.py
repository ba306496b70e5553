"""The result folder: there whole, or not at all; earlier results stay until it is."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from flexrel_sim.checksums import strangers, write_sums
from flexrel_sim.errors import InputError
from flexrel_sim.files import note_written
from flexrel_sim.report.workplace import Workplace, workplace
from flexrel_sim.signals import held

__all__ = ["CURVES_NAME", "PROVENANCE_NAME", "SUMMARY_NAME", "TRACES_NAME", "result_folder"]

CURVES_NAME = "curves.jsonl"
"""All curves of a comparison."""

PROVENANCE_NAME = "provenance.json"
"""Says what wrote a folder."""

SUMMARY_NAME = "summary.json"
"""All figures of a run."""

TRACES_NAME = "traces"
"""Folder of the traces, a Parquet file for each point."""

_SHOWN = 3


@contextmanager
def result_folder(target: Path, mark: str) -> Iterator[Path]:
    """Write results beside their place, and move them there at the end.

    What is written is recorded in ``SHA256SUMS``. Whatever else a folder holds, and whatever of it
    was changed since, is somebody's work, and never replaced.

    Parameters
    ----------
    target
        Where the results belong.
    mark
        A file that all results of this kind have: those of another command are not replaced.

    Yields
    ------
    pathlib.Path
        An empty folder to write to. If the body raises (Ctrl-C too), it is removed and the target
        is left as it was.

    Raises
    ------
    InputError
        If the target is a file, or a folder with something else in it, or can't be made, or
        another run is writing there. If something else came while the body worked, the results
        are beside the target, and the message says where.
    """
    with ExitStack() as stack:
        try:
            target = target.resolve()
            if target.exists() and not target.is_dir():
                raise InputError(f"{target}: must be a folder, and is a file; give another with -o")
            target.parent.mkdir(parents=True, exist_ok=True)
            place = stack.enter_context(workplace(target))
            _demand_ours(place, mark)
        except OSError as error:
            raise InputError(
                f"{target}: can't be made: {error.strerror}; give another with -o"
            ) from None
        except RuntimeError:
            # How Path.resolve tells a loop before Python 3.13.
            rule = "can't be made: it is a loop of symbolic links"
            raise InputError(f"{target}: {rule}; give another with -o") from None
        yield place.new
        write_sums(place.new)
        _swap(place, mark)


def _demand_ours(place: Workplace, mark: str) -> None:
    """Raise InputError if there is something that no run of ours wrote."""
    if foreign := _foreign(place.target, mark, place.ignored):
        raise InputError(
            f"{place.target}: must be empty or hold an earlier result only, and holds {foreign},"
            " which no run wrote or which was changed since; move it, or give another with -o"
        )
    # A run was killed when its results were in their place, and the earlier ones not yet gone.
    if foreign := _foreign(place.old, mark):
        raise InputError(
            f"{place.old}: is an earlier result, and holds {foreign}, which no run wrote; move it"
        )
    place.finish()


def _swap(place: Workplace, mark: str) -> None:
    """Put the new result in the place of the earlier one, if that is still a run's alone."""
    with held():
        foreign = _foreign(place.target, mark, place.ignored)
        if not foreign:
            place.put_away()
            try:
                place.put_in()
                # Once more, where nobody finds it any more to write into.
                foreign = _foreign(place.old, mark)
            except BaseException:
                place.take_back()
                raise
            if foreign:
                place.take_back()
        if foreign:
            free = place.set_aside()
            note_written(free)
            raise InputError(
                f"{place.target}: {foreign} appeared while the run was working, and the folder is"
                f" left as it is; the new results are in {free}"
            )
        place.finish()
        note_written(place.target)


def _foreign(folder: Path, mark: str, ignored: Collection[str] = ()) -> str:
    """Name what a folder holds beside an earlier result of the same kind; empty if nothing."""
    if not folder.is_dir():
        return repr(folder.name) if folder.exists() else ""
    names = strangers(folder, ignored)
    found = sorted(path.name for path in folder.iterdir() if path.name not in ignored)
    if not names and found and not _is_result(folder, mark):
        names = found
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


def _is_result(folder: Path, mark: str) -> bool:
    # Others record their files in the same form; ours tell the version that wrote them.
    try:
        data = json.loads((folder / PROVENANCE_NAME).read_text(encoding="utf-8"))
        return "flexrel_sim" in data["versions"] and (folder / mark).exists()
    except (OSError, ValueError, KeyError, TypeError):
        return False
