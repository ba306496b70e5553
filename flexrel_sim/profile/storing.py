"""A profile as a folder of two files, ``profile.json`` and ``samples.npz``, read without torch."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.bounds import JSON_MAX_BYTES, file_too_large, npz_bytes, too_large
from flexrel_sim.errors import Fault, ProfileError
from flexrel_sim.profile.record import PROFILE_VERSION, SAMPLE_ARRAYS, Profile
from flexrel_sim.profile.schema import SchemaFault, checked
from flexrel_sim.reading import parsing, reading, reason_of

__all__ = ["load_profile", "profile_from_bytes", "profile_to_bytes", "save_profile"]

_JSON_NAME = "profile.json"
_ARRAYS_NAME = "samples.npz"

_REMEDY: Final = "measure it again with 'flexrel-sim run'"

_FAULTS_SHOWN = 20


def profile_to_bytes(profile: Profile) -> tuple[bytes, bytes]:
    """Give a profile as the content of its two files.

    Parameters
    ----------
    profile
        What to store.

    Returns
    -------
    bytes
        Of ``profile.json``.
    bytes
        Of ``samples.npz``.
    """
    buffer = io.BytesIO()
    data = asdict(profile)
    # The dict is annotated: numpy's stub takes any keyword for its own switch.
    held: dict[str, Any] = {name: data.pop(name) for name in SAMPLE_ARRAYS}
    np.savez_compressed(buffer, **held)
    arrays = buffer.getvalue()
    data["version"] = PROFILE_VERSION
    data["samples_sha256"] = hashlib.sha256(arrays).hexdigest()
    data["content_sha256"] = _content_digest(data)
    return json.dumps(data, indent=1).encode(), arrays


def save_profile(profile: Profile, folder: Path) -> None:
    """Write a profile as a folder of two files.

    Parameters
    ----------
    profile
        What to write.
    folder
        Where; it is made.
    """
    text, arrays = profile_to_bytes(profile)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _ARRAYS_NAME).write_bytes(arrays)
    (folder / _JSON_NAME).write_bytes(text)


def load_profile(folder: Path) -> Profile:
    """Read a profile.

    Parameters
    ----------
    folder
        The folder that `save_profile` wrote.

    Returns
    -------
    Profile
        The same profile.

    Raises
    ------
    ProfileError
        If the folder or one of its files is missing, truncated, changed, or of another version;
        or holds what no measuring gives, whatever its hashes say: with all faults at once.
    """
    contents = []
    for file, most in ((folder / _JSON_NAME, JSON_MAX_BYTES), (folder / _ARRAYS_NAME, None)):
        if rule := file_too_large(file, most):
            raise ProfileError(f"{file}: {rule}")
        with reading(file, _REMEDY, ProfileError):
            contents.append(file.read_bytes())
    return profile_from_bytes(contents[0], contents[1], folder)


def profile_from_bytes(text: bytes, arrays: bytes, folder: Path) -> Profile:
    """Give the profile of which `profile_to_bytes` gave the content.

    Parameters
    ----------
    text, arrays
        The content of its two files.
    folder
        Where they are from; for what is said.

    Returns
    -------
    Profile
        The same profile.

    Raises
    ------
    ProfileError
        As of `load_profile`.
    """
    json_file, arrays_file = folder / _JSON_NAME, folder / _ARRAYS_NAME
    refused = ProfileError(f"{json_file}: is not complete JSON; {_REMEDY}")
    with parsing(lambda _: refused):
        data = json.loads(text.decode())
    version = data.get("version") if isinstance(data, dict) else None
    if version != PROFILE_VERSION or isinstance(version, bool):
        raise ProfileError(
            f"{folder}: must be of version {PROFILE_VERSION}, got {version!r}; {_REMEDY}"
        )
    if _content_digest(data) != data.pop("content_sha256", None):
        raise ProfileError(f"{json_file}: was changed after it was measured; {_REMEDY}")
    if hashlib.sha256(arrays).hexdigest() != data.pop("samples_sha256", None):
        raise ProfileError(f"{arrays_file}: is truncated or changed; {_REMEDY}")
    del data["version"]
    profile, faults = checked(data, _arrays(arrays, arrays_file))
    if profile is None:
        raise _refusal(faults, json_file, arrays_file)
    return profile


def _refusal(faults: Sequence[SchemaFault], json_file: Path, arrays_file: Path) -> ProfileError:
    lines = []
    for path, rule, value in faults[:_FAULTS_SHOWN]:
        place = arrays_file if path.partition("[")[0] in SAMPLE_ARRAYS else json_file
        lines.append(str(Fault(path, rule, value, _REMEDY, str(place))))
    if more := len(faults) - len(lines):
        lines.append(f"{json_file}: breaks {more:,} more rules; {_REMEDY}")
    return ProfileError("\n".join(lines))


def _arrays(content: bytes, file: Path) -> dict[str, NDArray[Any]]:
    def refused(error: Exception) -> ProfileError:
        return ProfileError(f"{file}: {reason_of(error)}; {_REMEDY}")

    with parsing(refused), zipfile.ZipFile(io.BytesIO(content)) as archive:
        rule = too_large(npz_bytes(archive))
    if rule:
        raise ProfileError(f"{file}: {rule}")
    with parsing(refused), np.load(io.BytesIO(content), allow_pickle=False) as held:
        return {name: np.asarray(held[name]) for name in held}


def _content_digest(data: dict[str, Any]) -> str:
    content = {key: value for key, value in data.items() if key != "content_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
