"""A file that is replaced again and again, and the one before it: what was kept last survives damage and power cuts."""

import os
from pathlib import Path
from typing import Any

from streamreg.errors import CorruptError, DataError
from streamreg.persist import archive


def before(path: Path) -> Path:
    """Return the name of the file before a file."""
    return path.with_name(path.name + ".before")


def keep(path: Path, kind: str, values: dict[str, Any], arrays: archive.Arrays) -> None:
    """Replace a file by plain values and arrays, and keep the one that it was.

    The new file is on disk before it takes its place.

    Raises
    ------
    NotFound, DataError
        It cannot be written; the files that there are stay.
    """
    new = path.with_name(path.name + ".new")
    archive.write(new, kind, values, arrays)
    with new.open("rb") as file:
        os.fsync(file.fileno())
    if path.is_file():
        path.replace(before(path))
    new.replace(path)


def latest(path: Path, kind: str) -> tuple[dict[str, Any], archive.Arrays] | None:
    """Return what was kept last, or before that where the last is damaged; None if nothing was.

    Raises
    ------
    CorruptError
        All that is there is damaged.
    DataError
        There is a folder of that name.
    """
    for file in (path, before(path), path.with_name(path.name + ".new")):
        if file.is_dir():
            raise DataError(f"{file}: is a folder, and a file is to be kept there; remove it, or choose another place")
    for half in path.parent.glob(f".{path.name}-*.new"):  # of a process that was killed while it wrote
        half.unlink(missing_ok=True)
    damaged: CorruptError | None = None
    for file in (path, before(path)):
        if not file.is_file():
            continue
        try:
            return archive.load(file, kind)
        except CorruptError as error:
            damaged = damaged or error
    if damaged is not None:
        raise CorruptError(f"{damaged}, or remove {str(path.parent)!r} to begin again")
    return None
