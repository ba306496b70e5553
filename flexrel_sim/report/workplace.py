"""Where a run works until its results are whole, and how they come to their place.

A run has a folder of its own beside its target, ``.NAME.partial``::

    lock    held by the run as long as it lives
    new     what it writes
    old     the earlier result, between the two renames that swap it for the new one
    gone    the earlier result, when the new one is in its place

A killed run leaves it as it was; the next run of the same target gets the lock, and puts in order
what it finds. A mount point can't be renamed: there the folder lies in the target itself, and
names are moved one by one.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flexrel_sim.checksums import SUMS_NAME
from flexrel_sim.errors import InputError
from flexrel_sim.files import try_lock
from flexrel_sim.signals import held

__all__ = ["Workplace", "workplace"]

_LOG = logging.getLogger(__name__)

_INSIDE_NAME = ".flexrel_sim.partial"

_NAMES = frozenset({"lock", "new", "old", "gone"})

# Every ext4 file system has one at its root.
_OF_THE_MOUNT = frozenset({_INSIDE_NAME, "lost+found"})


@dataclass(frozen=True)
class Workplace:
    """A run's own folder, and where its results belong.

    Parameters
    ----------
    target
        Where the results belong.
    folder
        The run's folder, beside the target or in it.
    """

    target: Path
    folder: Path

    @property
    def new(self) -> Path:
        """What the run writes."""
        return self.folder / "new"

    @property
    def old(self) -> Path:
        """The earlier result, while it is swapped."""
        return self.folder / "old"

    @property
    def inside(self) -> bool:
        """Whether the target can't be renamed."""
        return self.folder.parent == self.target

    @property
    def ignored(self) -> frozenset[str]:
        """Names at the top of the target that are no part of a result."""
        return _OF_THE_MOUNT if self.inside else frozenset()

    def put_away(self) -> None:
        """Move the earlier result out of its place, if there is one."""
        if not self.inside:
            if self.target.exists():
                self.target.rename(self.old)
            return
        self.old.mkdir()
        for name in self._names(self.target):
            (self.target / name).rename(self.old / name)

    def put_in(self) -> None:
        """Move the new result into its place."""
        if not self.inside:
            self.new.rename(self.target)
            return
        # The record last: where it is missing among the new, the move was finished.
        for name in sorted(self._names(self.new), key=lambda name: name == SUMS_NAME):
            (self.new / name).rename(self.target / name)

    def take_back(self) -> None:
        """Undo `put_in` and `put_away`, however far they came."""
        if not self.old.exists():
            return
        if not self.inside:
            if self.target.exists():
                self.target.rename(self.new)
            self.old.rename(self.target)
            return
        # All that is in the target now is new, unless not all of the old was moved out.
        for name in self._names(self.target):
            if not (self.new / name).exists() and self._was_new(name):
                (self.target / name).rename(self.new / name)
        for name in self._names(self.old):
            (self.old / name).rename(self.target / name)
        self.old.rmdir()

    def _was_new(self, name: str) -> bool:
        """Tell a new name from an old one that was not moved out yet."""
        sums = (self.new / SUMS_NAME, self.target / SUMS_NAME)
        text = next((file.read_text("utf-8") for file in sums if file.exists()), "")
        recorded = {line.partition("  ")[2].partition("/")[0] for line in text.splitlines()}
        return name in recorded | {SUMS_NAME}

    def finish(self) -> None:
        """Give up the earlier result: the new one is in its place."""
        if self.old.exists():
            self.old.rename(self.folder / "gone")

    def set_aside(self) -> Path:
        """Move the new result to a free place beside its own.

        Returns
        -------
        pathlib.Path
            Where it is.
        """
        base = self.target / self.target.name if self.inside else self.target
        number = 2
        while (free := base.with_name(f"{base.name}-{number}")).exists():
            number += 1
        self.new.rename(free)
        return free

    def restore(self) -> None:
        """Put in order what a killed run left.

        Raises
        ------
        InputError
            If something else has come to where an earlier result belongs.
        """
        shutil.rmtree(self.folder / "gone", ignore_errors=True)
        put_in = not (self.new / SUMS_NAME).exists()
        there = self.inside or self.target.exists()
        if self.old.exists() and not self.inside and there and not put_in:
            raise InputError(
                f"{self.old}: is the earlier result, whose place {self.target} is taken; move one"
            )
        # Where the new result is in its place, the earlier one has only to go.
        if self.old.exists() and not (there and put_in):
            self.take_back()
            _LOG.warning("%s: a run was killed, its earlier result is restored", self.target)
        shutil.rmtree(self.new, ignore_errors=True)

    def clear(self) -> None:
        """Remove the run's folder, its lock last."""
        for name in ("new", "gone"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / "lock").unlink(missing_ok=True)
        # Another run may have come for it already.
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in folder.iterdir() if path.name not in self.ignored)


@contextmanager
def workplace(target: Path) -> Iterator[Workplace]:
    """Make a run's own folder, and remove it at the end.

    Parameters
    ----------
    target
        Where the results belong; the folder above it exists.

    Yields
    ------
    Workplace
        With an empty folder ``new``.

    Raises
    ------
    InputError
        If another run works for the same target, or the folder's name is taken.
    OSError
        If it can't be made.
    """
    if _is_fixed(target):
        place = Workplace(target, target / _INSIDE_NAME)
    else:
        place = Workplace(target, target.with_name(f".{target.name}.partial"))
    with _locked(place):
        place.restore()
        place.new.mkdir()
        try:
            yield place
        finally:
            with held():
                place.clear()


def _is_fixed(target: Path) -> bool:
    """Whether a folder can't be renamed: something is mounted there, or all around is read-only."""
    if not target.is_dir():
        return False
    if os.path.ismount(target) or not os.access(target.parent, os.W_OK):
        return True
    # A folder of the same file system that is mounted elsewhere, as containers do.
    mounts = Path("/proc/self/mountinfo")
    if not mounts.exists():
        return False
    named = str(target).replace("\\", r"\134").replace(" ", r"\040").replace("\t", r"\011")
    return any(line.split()[4] == named for line in mounts.read_text("utf-8").splitlines())


@contextmanager
def _locked(place: Workplace) -> Iterator[None]:
    handle = _claimed(place)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        os.close(handle)


def _claimed(place: Workplace) -> int:
    """Lock a run's folder, and give the open lock."""
    file = place.folder / "lock"
    while True:
        fresh = not place.folder.exists()
        place.folder.mkdir(exist_ok=True)
        foreign = sorted({path.name for path in place.folder.iterdir()} - _NAMES)
        if foreign:
            raise InputError(
                f"{place.folder}: must be a run's own, and holds {foreign[0]!r}; move it away"
            )
        try:
            handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            continue  # the run that had it has just ended
        locked = try_lock(handle)
        if locked is False or (locked is None and not fresh):
            holder = os.read(handle, 20).decode() or "unknown"
            os.close(handle)
            # Without locks a run that lives and one that was killed look the same.
            told = f", or was killed: remove {place.folder} then" if locked is None else ""
            raise InputError(
                f"{place.target}: another run is writing there (process {holder}){told}; wait for"
                " it, or give another with -o"
            )
        try:
            if os.path.samestat(os.fstat(handle), file.stat()):
                return handle
        except FileNotFoundError:
            pass  # as above
        os.close(handle)
