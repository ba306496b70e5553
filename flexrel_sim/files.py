"""Files that are there whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(file: Path, data: bytes) -> None:
    """Write a file beside its place, and move it there when it is whole.

    Parameters
    ----------
    file
        Where it belongs; what is there is replaced. Its folder exists.
    data
        What it holds.

    Raises
    ------
    OSError
        If it can't be written; what was there is as it was.
    """
    # A name of its own: two processes may write the same file, and neither must see half of it.
    handle, name = tempfile.mkstemp(prefix=f".{file.name}-", suffix=".partial", dir=file.parent)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        partial.chmod(0o644)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
